//! Range indexes: the database finds and orders by them, and keeps them as the records are.

use crate::connect;
use crate::homes::{Scene, hex, run};
use crate::policies::token;
use context::{Delete, Tenant, Update, on};
use serde_json::{Value, json};
use store::{
    CollectionSettings, Commit, Isolation, RecordChange, RecordStore as _, RestoreOptions,
    TenantLifecycle as _,
};
use store_postgres::PostgresStore;
use store_tests::records;
use store_tests::samples::{NOW, object, record, record_id};

async fn declare(store: &PostgresStore, tenant: &Tenant<'_>, ranges: &[&str]) {
    let access = tenant.authorize::<Update<on::Record>>().unwrap();
    let range_indexes = ranges.iter().map(|field| (*field).to_owned()).collect();
    let settings = CollectionSettings { indexes: Vec::new(), range_indexes };
    let contacts = "contacts".parse().unwrap();
    store.declare_collection(&access, &contacts, settings, Commit::default()).await.unwrap();
}

/// The scores of the records that a query finds, which reads no others.
async fn scores(scene: &Scene, filter: &str, sort: Option<&str>, limit: u32) -> Vec<Value> {
    let found = scene.world.visit(scene.world.one, async |tenant| {
        let wanted = records::wanted(filter, sort, limit, None);
        let page = records::query(&scene.store, &tenant, &wanted).await.unwrap();
        page.data.into_iter().map(|record| record.data["score"].clone()).collect()
    });
    found.await
}

// Most of the rows hold what no key opens: who reads the whole collection fails.
#[test]
fn what_is_beyond_a_value_is_read_and_nothing_else() {
    run(async {
        let scene = Scene::set().await;
        let visit = scene.world.visit(scene.world.one, async |tenant| {
            declare(&scene.store, &tenant, &["score"]).await;
            for number in 1..=3u8 {
                let data = json!({"score": 1_000_000 + u32::from(number)});
                records::create(&scene.store, &tenant, record(number, data)).await.unwrap();
            }
        });
        visit.await;
        let one = hex(scene.world.one);
        let many = format!(
            "INSERT INTO pooled.record SELECT '\\x{one}', 'contacts', 'rec_' || n, 0, 0, 1, ''
                FROM generate_series(1, 20000) AS n;
             INSERT INTO pooled.record_range SELECT '\\x{one}', 'contacts', 'score', 1, n, '', 'rec_' || n
                FROM generate_series(1, 20000) AS n;
             ANALYZE pooled.record_range; ANALYZE pooled.record"
        );
        scene.admin.batch_execute(&many).await.unwrap();
        assert_eq!(scores(&scene, "score gt 1000001", None, 9).await, [json!(1_000_002), json!(1_000_003)]);
        assert_eq!(scores(&scene, "score gt 20001 and score le 1000001", None, 9).await, [json!(1_000_001)]);
        assert_eq!(scores(&scene, "", Some("-score"), 2).await, [json!(1_000_003), json!(1_000_002)]);
        let role = connect(&scene.place().url()).await;
        let token = token(&scene.admin, scene.world.one, 30_000).await;
        let explain = format!(
            "BEGIN; SELECT set_config('tenantry.tenant', '{token}', true); SET LOCAL search_path = pooled"
        );
        role.batch_execute(&explain).await.unwrap();
        for condition in
            ["AND rank = 1 AND number >= 1000001", "ORDER BY rank DESC, number DESC, text DESC LIMIT 3"]
        {
            let explain = format!(
                "EXPLAIN SELECT id FROM record_range WHERE collection = 'contacts' AND field = 'score' {condition}"
            );
            let plan = role.simple_query(&explain).await.unwrap();
            let plan = format!("{plan:?}");
            assert!(plan.contains("record_range_in_order") && !plan.contains("Seq Scan"), "{plan}");
        }
    });
}

#[test]
fn a_range_index_is_kept_by_changes_restores_and_declarations_in_every_kind_of_home() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let folder = tempfile::TempDir::new().unwrap();
        for (place, isolation) in
            [Isolation::Pooled, Isolation::Schema, Isolation::Dedicated].into_iter().enumerate()
        {
            let (tenant, store) = (scene.create(isolation).await.unwrap(), &scene.store);
            let found = async |filter: &str| {
                let visit = scene.world.visit(tenant, async |tenant| {
                    let wanted = records::wanted(filter, Some("-score"), 9, None);
                    let found = records::query(store, &tenant, &wanted).await.unwrap();
                    found.data.iter().map(|it| it.data["score"].as_i64().unwrap()).collect::<Vec<_>>()
                });
                visit.await
            };
            let change = async |number: u8, score: i64| {
                let visit = scene.world.visit(tenant, async |tenant| {
                    let access = tenant.authorize::<Update<on::Record>>().unwrap();
                    let change = RecordChange::Merge(object(json!({"score": score})));
                    let (contacts, id) = ("contacts".parse().unwrap(), record_id(number));
                    let changed =
                        store.change_record(&access, &contacts, id, change, None, NOW, Commit::default());
                    changed.await.map(drop).unwrap();
                });
                visit.await;
            };
            // Those that are there when it is declared, and one that comes later.
            scene
                .world
                .visit(tenant, async |tenant| {
                    records::create(store, &tenant, record(1, json!({"score": 1}))).await.unwrap();
                    records::create(store, &tenant, record(2, json!({"score": 2}))).await.unwrap();
                    declare(store, &tenant, &["score"]).await;
                    records::create(store, &tenant, record(3, json!({"score": 3}))).await.unwrap();
                })
                .await;
            assert_eq!(found("score ge 2").await, [3, 2]);
            let backup = folder.path().join(place.to_string());
            store.backup(scene.operator(), tenant, &backup).await.unwrap();
            change(1, 10).await;
            scene
                .world
                .visit(tenant, async |tenant| {
                    let access = tenant.authorize::<Delete<on::Record>>().unwrap();
                    let contacts = "contacts".parse().unwrap();
                    store
                        .delete_record(&access, &contacts, record_id(3), None, Commit::default())
                        .await
                        .unwrap();
                })
                .await;
            assert_eq!((found("score ge 2").await, found("").await), (vec![10, 2], vec![10, 2]));
            let options = RestoreOptions { allow_older: false, accept_loss: false };
            store.restore(scene.operator(), tenant, backup, options).await.unwrap();
            assert_eq!((found("score ge 2").await, found("").await), (vec![3, 2], vec![3, 2, 1]));
            // What is declared no more stands in clear no more.
            scene.world.visit(tenant, async |tenant| declare(store, &tenant, &[]).await).await;
            let client =
                connect(&postgres_instance::address("postgres", &scene.database(tenant, isolation))).await;
            let schema = if isolation == Isolation::Pooled {
                "pooled".to_owned()
            } else {
                crate::homes::schema(tenant)
            };
            let left =
                format!("SELECT count(*) FROM {schema}.record_range WHERE tenant_id = '\\x{}'", hex(tenant));
            assert_eq!(client.query_typed_one(&left, &[]).await.unwrap().get::<_, i64>(0), 0, "{isolation}");
            assert_eq!(found("score ge 2").await, [3, 2]);
        }
    });
}
