//! Several servers on one database: what one changes holds on the others soon, whatever they remember.

use crate::homes::{Scene, run};
use context::{CredentialIndex as _, IndexedSubject, KeyedHash, TenantStatus};
use ids::{HookId, Id as _, WorkflowId};
use std::time::{Duration, Instant};
use store::{PlatformStore as _, TenantRow};
use store_postgres::PostgresStore;

const HASH: KeyedHash = KeyedHash([3; 32]);

/// How long it takes until something no longer holds.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
async fn until(over: impl AsyncFn() -> bool) -> Duration {
    let begun = Instant::now();
    while !over().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[test]
fn what_one_server_revokes_and_changes_holds_on_another_within_a_second() {
    run(async {
        let scene = Scene::set().await;
        let (here, there): (&PostgresStore, &PostgresStore) = (&scene.store, scene.world.store());
        let (tenant, operator) = (scene.world.one, scene.operator());
        let id = HookId::from_bytes([4; 16]);
        let hook = IndexedSubject::Hook { id, workflow: WorkflowId::from_bytes([5; 16]) };
        let visit = scene.world.visit(tenant, async |visit| {
            here.index_credential(&visit, HASH, hook.clone(), None).await.unwrap();
        });
        visit.await;
        assert!(there.find(&HASH).await.unwrap().is_some());

        let row = here.tenant(operator, tenant).await.unwrap();
        here.update_tenant(operator, TenantRow { status: TenantStatus::Suspended, ..row }).await.unwrap();
        let status = async || there.find(&HASH).await.unwrap().unwrap().tenant.unwrap().status;
        assert!(until(async || status().await == TenantStatus::Suspended).await < Duration::from_secs(1));
        let standing = there.standing(tenant).await.unwrap().unwrap();
        assert_eq!(standing.status, TenantStatus::Suspended);

        let row = here.tenant(operator, tenant).await.unwrap();
        here.update_tenant(operator, TenantRow { status: TenantStatus::Active, ..row }).await.unwrap();
        until(async || status().await == TenantStatus::Active).await;
        let revoked = scene.world.visit(tenant, async |visit| {
            here.revoke_credential(&visit, &id.to_string()).await.unwrap();
        });
        revoked.await;
        assert!(here.find(&HASH).await.unwrap().is_none());
        let gone = async || there.find(&HASH).await.unwrap().is_none();
        assert!(until(gone).await < Duration::from_secs(1));
    });
}
