//! Connections: a pooler between the store and the database, where many of the server's share few of the database's, and
//! each kind of home works through it with its own role; and how many homes a server has open.

use crate::conformance::{SharedBehindPooler, Tier};
use crate::connect;
use crate::homes::{Scene, run};
use futures::future::join_all;
use ids::TenantId;
use metering::plan::Limits;
use std::num::NonZeroUsize;
use std::time::Duration;
use store::{Isolation, PlatformStore as _, TenantLifecycle as _, TenantRow};
use store_postgres::{PostgresStore, Settings};
use store_tests::World;

#[test]
fn many_share_few_and_nobody_takes_anothers() {
    run(async {
        let world = World::<Tier<SharedBehindPooler>>::new(1).await;
        let place = &world.backend.place;
        place.provision(&world.env());
        let mut tenants = vec![world.one, world.two];
        for isolation in [Isolation::Schema, Isolation::Dedicated, Isolation::Schema] {
            let id: TenantId = world.fixture.tenant(Limits::default());
            let row = TenantRow { isolation, ..world.row(id, None) };
            world.store().create_tenant(&world.operator, world.new_tenant(row)).await.unwrap();
            tenants.push(id);
        }
        let written = tenants.iter().cycle().take(200).map(async |tenant| {
            world
                .visit(*tenant, async |visit| {
                    store_tests::audit_trail::append(world.store(), &visit, &["a word"]).await;
                })
                .await;
            world.store().stored_bytes(&world.operator, *tenant).await.unwrap()
        });
        assert!(join_all(written).await.iter().all(|bytes| *bytes > 0));
        for tenant in tenants {
            let seen = world.visit(tenant, async |visit| {
                store_tests::audit_trail::verified(world.store(), &visit, None).await.events
            });
            assert_eq!(seen.await, store_tests::audit_trail::FIRST + 40, "{tenant}");
        }
        let admin = connect(&place.admin_url()).await;
        let open = format!(
            "SELECT usename::text, count(*) FROM pg_stat_activity WHERE usename LIKE '{}%' GROUP BY usename",
            place.database
        );
        let rows = admin.query_typed(&open, &[]).await.unwrap();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.get::<_, i64>(1) <= 2), "{rows:?}");
    });
}

#[test]
fn no_more_homes_are_open_than_there_may_be() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let settings = Settings { own_homes: NonZeroUsize::MIN, ..scene.place().settings() };
        let kms = scene.place().kms(&scene.env());
        let store = PostgresStore::open(settings, kms, scene.env()).await.unwrap();
        let mut tenants = Vec::new();
        for isolation in [Isolation::Schema, Isolation::Schema, Isolation::Dedicated] {
            tenants.push(scene.create(isolation).await.unwrap());
        }
        let asked = tenants.iter().cycle().take(60);
        let answers = asked.map(async |tenant| store.stored_bytes(scene.operator(), *tenant).await);
        assert!(join_all(answers).await.iter().all(Result::is_ok));
        // That one has open what it has made.
        drop(scene.store);
        let open = format!(
            "SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE usename LIKE '{}\\_t\\_%'",
            scene.world.backend.place.database
        );
        let mut left = 0;
        for _ in 0..100 {
            left = scene.admin.query_typed_one(&open, &[]).await.unwrap().get::<_, i64>(0);
            if left == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(left, 1);
    });
}
