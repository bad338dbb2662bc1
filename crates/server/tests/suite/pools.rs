//! Pools of workers: runs of tenants whose plan names one are carried out by its workers and by nobody else.

use crate::harness::{Server, assert_refused, send_json};
use crate::two_servers::{Pair, Stopped};
use crate::work::{eventually, over, start, until, workflow};
use http::Method;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a server, a worker and a look at what waits may take together.
const A_WHILE: Duration = Duration::from_secs(3);

/// A worker of a pool.
fn worker(pair: &Pair, pool: &str) -> Stopped {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(["worker", "--pool", pool, "--data"]).arg(pair.place.file(&format!("worker-{pool}")));
    command.arg("--config").arg(pair.one.folder().join("tenantry.toml"));
    command.arg("--master-key-file").arg(pair.place.file("master.key"));
    command.arg("--log").arg(pair.place.file("pool.log"));
    Stopped(command.stdout(Stdio::null()).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_runs_wait_for_its_workers() {
    let pair = Pair::start().await;
    let limits = json!({"concurrent_runs": 4, "pool": "gold"});
    let tenant = pair.one.tenant_on("golden", &limits, "Acme").await;
    let other = pair.one.tenant("Beta").await;
    let definition = pair.calls(&["/ok/step"]);
    let (own, others) = (workflow(&tenant, &definition).await, workflow(&other, &definition).await);
    let first = start(&tenant.owner, &own, Value::Null).await;
    let beside = start(&other.owner, &others, Value::Null).await;
    assert_eq!(over(&other.owner, &beside).await["status"], "succeeded", "{}", pair.logs());
    let silver = worker(&pair, "silver");
    tokio::time::sleep(A_WHILE).await;
    let seen = until(&tenant.owner, &first, |_| true).await;
    assert_eq!(seen["status"], "queued", "{seen}\n{}", pair.logs());
    assert_eq!(seen["held_up"], json!({"missing": "pool_worker", "last_seen": null}));
    assert_eq!(pair.service.seen("/ok").len(), 1, "the other tenant's");

    let gold = worker(&pair, "gold");
    assert_eq!(over(&tenant.owner, &first).await["status"], "succeeded", "{}", pair.logs());
    let again = start(&tenant.owner, &own, Value::Null).await;
    assert_eq!(over(&tenant.owner, &again).await["status"], "succeeded", "{}", pair.logs());
    drop((gold, silver));

    // Without its worker it waits again, until its plan names no pool any more.
    let last = start(&tenant.owner, &own, Value::Null).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(until(&tenant.owner, &last, |_| true).await["status"], "queued", "{}", pair.logs());
    let plan = pair.one.operator.get("/v1/plans/golden").await.unwrap();
    assert_eq!(plan["pool"], "gold");
    let without = json!({"ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": null,
        "concurrent_runs": 4, "storage_bytes": null});
    let put = send_json(&pair.two.operator, Method::PUT, "/v1/plans/golden", &without).await;
    assert!(put.status.is_success(), "{}", put.text());
    assert_eq!(over(&tenant.owner, &last).await["status"], "succeeded", "{}", pair.logs());
    eventually(|| pair.service.seen("/ok").len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_of_a_pool_is_cancelled_anywhere() {
    let pair = Pair::start().await;
    let tenant = pair.one.tenant_on("golden", &json!({"pool": "gold"}), "Acme").await;
    let own = workflow(&tenant, &pair.calls(&["/ok/step"])).await;
    let run = start(&tenant.owner, &own, Value::Null).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cancelled = pair.at_two(&tenant).post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.unwrap();
    assert_eq!(cancelled["status"], "cancelled", "{}", pair.logs());
    assert!(pair.service.seen("/ok").is_empty());
}

#[tokio::test]
async fn where_nobody_shares_the_store_there_are_no_pools() {
    let server = Server::start();
    let plan = json!({"ai_calls_per_hour": 1, "api_calls_per_hour": 1, "requests_per_second": 1,
        "concurrent_runs": 1, "storage_bytes": 1, "pool": "gold"});
    let put = send_json(&server.operator, Method::PUT, "/v1/plans/golden", &plan).await;
    assert_refused(&put, 409, "conflict");
    assert!(put.text().contains("pool"), "{}", put.text());
}
