//! What a tenant's own home and the platform's database cannot commit together: after a crash between the two each
//! still knows what holds.

use crate::homes::{Scene, run};
use context::{Create, Read, Tenant, on};
use serde_json::json;
use store::{
    ApiKeyRecord, Commit, Isolation, Mark, Objects as _, RecordStore as _, TenantLifecycle as _,
    WorkIndex as _, WorkKind,
};
use store_postgres::PostgresStore;
use store_tests::samples::record;

#[test]
fn work_is_looked_for_in_homes_where_there_may_be_some() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let tenant = scene.create(Isolation::Schema).await.unwrap();
        let (kind, id) = (WorkKind::Run, [7; 16]);
        let write = async |store: &PostgresStore, number: u8, mark: Mark| {
            let commit = Commit::default().and_mark(mark);
            let written = scene.world.visit(tenant, async |visit| {
                let access = visit.authorize::<Create<on::Record>>().unwrap();
                store.create_record(&access, record(number, json!({})), commit).await.is_ok()
            });
            assert!(written.await);
        };
        let noted = async || {
            let count = "SELECT count(*) FROM tenantry.work_elsewhere";
            scene.admin.query_typed_one(count, &[]).await.unwrap().get::<_, i64>(0)
        };
        let listed = async || scene.store.pending(kind).await.unwrap().len();
        assert_eq!((noted().await, listed().await), (0, 0));
        write(&scene.store, 1, Mark::Open { kind, id, due: None }).await;
        assert_eq!((noted().await, listed().await), (1, 1));
        // The note holds as long as there is work, however old it is.
        let old = "UPDATE tenantry.work_elsewhere SET until = until - interval '1 hour'";
        scene.admin.batch_execute(old).await.unwrap();
        assert_eq!((listed().await, noted().await), (1, 1));
        write(&scene.store, 2, Mark::Closed { kind, id }).await;
        assert_eq!((listed().await, noted().await), (0, 0));
        // Another server says so again.
        let other = scene.place().open(&scene.env()).await;
        write(&other, 3, Mark::Open { kind, id, due: None }).await;
        assert_eq!((listed().await, noted().await), (1, 1));
    });
}

/// The rows of a tenant's data keys, by what they are kept as.
async fn data_keys(scene: &Scene) -> Vec<(String, String, Vec<u8>)> {
    let select =
        "SELECT kind, tenant_key.name, wrapped FROM tenantry.tenant_key JOIN tenantry.tenant ON id = tenant
        WHERE kind LIKE '%data' AND isolation = 'dedicated'";
    let rows = scene.admin.query_typed(select, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[test]
fn a_new_data_key_that_was_stopped_half_way_holds_or_does_not() {
    run(async {
        use tokio_postgres::types::Type;
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let tenant = scene.create(Isolation::Dedicated).await.unwrap();
        let before = data_keys(&scene).await;
        scene.store.change_data_key(scene.operator(), tenant).await.unwrap();
        let after = data_keys(&scene).await;
        assert!(before.len() == 1 && after.len() == 1 && before[0].1 != after[0].1, "{before:?} {after:?}");
        // The tables are sealed under the new one. The platform may know it as the next, or as the one that is,
        // with one that never held beside it.
        for (data, next) in [(&before[0], &after[0]), (&after[0], &before[0])] {
            let put = "INSERT INTO tenantry.tenant_key SELECT id, $1, $2, $3 FROM tenantry.tenant
                    WHERE isolation = 'dedicated'
                ON CONFLICT (tenant, kind) DO UPDATE SET name = $2, wrapped = $3";
            for (kind, key) in [("data", data), ("next data", next)] {
                let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                    [(&kind, Type::TEXT), (&key.1, Type::TEXT), (&key.2, Type::BYTEA)];
                scene.admin.execute_typed(put, &values).await.unwrap();
            }
            let store = scene.place().open(&scene.env()).await;
            assert!(
                scene.world.visit(tenant, async |visit| first_key(&store, &visit).await).await,
                "{}",
                data.1
            );
        }
        let store = scene.place().open(&scene.env()).await;
        store.change_data_key(scene.operator(), tenant).await.unwrap();
        let last = data_keys(&scene).await;
        assert!(last.len() == 1 && last[0].1 != after[0].1, "{last:?}");
        assert!(scene.world.visit(tenant, async |visit| first_key(&store, &visit).await).await);
    });
}

/// Whether the tenant's first key is there and opens.
async fn first_key(store: &PostgresStore, visit: &Tenant<'_>) -> bool {
    let access = visit.authorize::<Read<on::ApiKey>>().unwrap();
    let listed = store.list::<ApiKeyRecord>(&access, &store_tests::page(10, None)).await;
    listed.is_ok_and(|listed| store_tests::out(visit, listed).data.len() == 1)
}
