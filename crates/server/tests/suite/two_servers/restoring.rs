//! One server restores a tenant, and the other leaves its runs alone meanwhile.

use super::{Pair, signal};
use crate::harness::Tenant;
use crate::lifecycle::back_up;
use crate::work::{eventually, over, start, workflow};
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// A run that is to begin a step late, and a restore to before that at the first server, which waits in its midst for as
/// long as the administrator holds a table.
struct Stage {
    pair: Pair,
    tenant: Tenant,
    run: String,
    admin: Client,
}

impl Stage {
    async fn set() -> Self {
        let pair = Pair::start().await;
        let url = postgres_instance::address("postgres", &pair.place.database());
        let (admin, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let tenant = pair.one.tenant("Acme").await;
        let slow = workflow(&tenant, &pair.calls(&["/slow/500", "/ok"])).await;
        let run = start(&tenant.owner, &slow, Value::Null).await;
        eventually(|| !pair.service.seen("/slow/500").is_empty()).await;
        let backup = back_up(&pair.one, &tenant).await;
        admin.batch_execute("BEGIN; LOCK TABLE pooled.record IN EXCLUSIVE MODE").await.unwrap();
        let (operator, path) = (pair.one.operator.clone(), format!("/v1/tenants/{}/restore", tenant.id));
        tokio::spawn(async move {
            let call = operator.call(http::Method::POST, &path).body("application/octet-stream", backup);
            // The server may be gone before it is over.
            drop(call.send().await);
        });
        let stage = Self { pair, tenant, run, admin };
        for _ in 0..500 {
            if stage.count("SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0 {
                return stage;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the restore did not begin\n{}", stage.pair.logs())
    }

    async fn count(&self, select: &str) -> i64 {
        self.admin.query_one(select, &[]).await.unwrap().get(0)
    }

    /// How often a run of the tenant's was given to somebody.
    async fn given(&self) -> i64 {
        self.count("SELECT coalesce(sum(fence), 0)::int8 FROM tenantry.work WHERE kind = 'run'").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_is_taken_up_while_its_tenant_is_restored() {
    let stage = Stage::set().await;
    let before = stage.given().await;
    // Longer than a pause lasts that nobody prolongs.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(stage.given().await, before, "{}", stage.pair.logs());
    let calls = stage.pair.service.seen("/slow/500").len();
    stage.admin.batch_execute("ROLLBACK").await.unwrap();
    let owner = stage.pair.at_two(&stage.tenant);
    assert_eq!(over(&owner, &stage.run).await["status"], "succeeded", "{}", stage.pair.logs());
    let service = &stage.pair.service;
    assert_eq!((calls, service.seen("/ok").len()), (1, 1), "{}", stage.pair.logs());
    // The pause is over with the restore, and leaves nothing.
    assert_eq!(stage.count("SELECT count(*) FROM tenantry.work WHERE kind = 'pause'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_on_where_whoever_restores_their_tenant_dies() {
    let stage = Stage::set().await;
    signal(&stage.pair.one, "-KILL");
    stage.admin.batch_execute("ROLLBACK").await.unwrap();
    let owner = stage.pair.at_two(&stage.tenant);
    assert_eq!(over(&owner, &stage.run).await["status"], "succeeded", "{}", stage.pair.logs());
    assert_eq!(stage.pair.service.seen("/ok").len(), 1);
}
