//! Nothing that a tenant stores can be read in any file of the data folder.

use crate::folder::Embedded;
use crate::opening::contents;
use serde_json::json;
use store::{CallKind, Commit, IdempotencyStore as _, Objects as _, RunStatus, UsageStore as _};
use store_tests::samples::{NOW, agent, call, claim, draft, record, run};
use store_tests::{World, audit_trail, records, runs};

const CANARY: &str = "canary-7f3a91";

#[test]
fn no_file_shows_what_tenants_store() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    let access = tenant.authorize::<context::Create<context::on::Agent>>().unwrap();
                    store.create(&access, &agent(1, CANARY), Commit::default()).await.unwrap();
                    records::create(store, &tenant, record(1, json!({"a": CANARY}))).await.unwrap();
                    let stored = run(1, store_tests::samples::id(1), CANARY);
                    runs::create(store, &tenant, stored.clone(), Some(CANARY)).await.unwrap();
                    runs::advance(store, &tenant, &stored.run, RunStatus::Running, CANARY).await.unwrap();
                    let call = call(1, CallKind::Service, CANARY, NOW);
                    store.begin_call(&tenant, &call, Commit::default()).await.unwrap();
                    let mut draft = draft(&tenant, CANARY);
                    draft.personal.insert("email".into(), CANARY.into());
                    use store::AuditTrail as _;
                    store.append_events(&tenant, vec![draft]).await.unwrap();
                    let body = CANARY.as_bytes().to_vec();
                    store.remember(&tenant, &claim(&world.env(), 1), 200, body).await.unwrap();
                    audit_trail::append(store, &tenant, &[CANARY]).await;
                })
                .await;
        }
        let folder = world.backend.folder();
        let look = |when: &str| {
            let files = contents(&folder);
            assert!(files.keys().any(|path| path.ends_with("journal.db")));
            assert!(files.values().map(Vec::len).sum::<usize>() > 100_000);
            for (path, bytes) in files {
                let shown = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
                assert!(!shown, "{when}: {} shows what was stored", path.display());
                let plain = bytes.windows(8).any(|window| window == b"contacts");
                assert!(!plain, "{when}: {} shows a collection's name", path.display());
            }
        };
        // The journal has everything and the tenants' files have it too, in their logs and in themselves.
        look("open");
        use store::TenantLifecycle as _;
        store.backup(&world.operator, world.one, &folder.join("backup")).await.unwrap();
        look("backed up");
        store.close().await;
        look("closed");
    });
}
