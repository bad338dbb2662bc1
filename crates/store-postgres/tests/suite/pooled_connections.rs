//! A pooler between the store and the database: many connections of the server's share few of the database's, and
//! each kind of home works through it, with its own role.

use crate::conformance::{SharedBehindPooler, Tier};
use crate::homes::run;
use crate::instance::connect;
use futures::future::join_all;
use ids::TenantId;
use metering::plan::Limits;
use store::{Isolation, PlatformStore as _, TenantLifecycle as _, TenantRow};
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
