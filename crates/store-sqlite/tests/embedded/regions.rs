//! More than one region: whose data rests where, and that a folder without power-loss safety keeps the rest.

use crate::crash::copy;
use crate::folder::{Embedded, data, open_as};
use context::Tenant;
use ids::TenantId;
use serde_json::json;
use store::{OperatorStore as _, PlatformStore as _, StoreError, TenantRow};
use store_sqlite::{EmbeddedStore, regions_of};
use store_tests::samples::record;
use store_tests::{World, audit_trail, records};
use tempfile::TempDir;

const REGIONS: &[&str] = &["local", "eu"];

/// A tenant of the region `eu`, beside the two of `local` that every world has.
async fn european(world: &World<Embedded>, store: &EmbeddedStore) -> TenantId {
    let id = world.fixture.tenant(metering::plan::Limits::default());
    let row = TenantRow { region: "eu".parse().unwrap(), ..world.row(id, None) };
    store.create_tenant(&world.operator, world.new_tenant(row)).await.unwrap();
    id
}

async fn write(world: &World<Embedded>, store: &EmbeddedStore, tenant: TenantId, number: u8) {
    let write = async |tenant: Tenant<'_>| {
        records::create(store, &tenant, record(number, json!({"who": "eve"}))).await.unwrap();
    };
    world.visit(tenant, write).await;
}

#[test]
fn a_tenants_data_rests_in_its_region_alone() {
    World::<Embedded>::run(async |world| {
        let place = TempDir::new().unwrap();
        let store = open_as(place.path(), REGIONS, true, world.env()).await;
        let european = european(&world, &store).await;
        let local = world.fixture.tenant(metering::plan::Limits::default());
        store.create_tenant(&world.operator, world.new_tenant(world.row(local, None))).await.unwrap();
        for tenant in [european, local] {
            write(&world, &store, tenant, 1).await;
        }
        let there = |region: &str, tenant: TenantId| {
            data(place.path()).join(format!("regions/{region}/tenants/{tenant}.db")).exists()
        };
        assert!(there("eu", european) && !there("local", european));
        assert!(there("local", local) && !there("eu", local));
        let row = store.tenant(&world.operator, european).await.unwrap();
        let moved = TenantRow { region: "local".parse().unwrap(), ..row };
        let moved = store.update_tenant(&world.operator, moved).await;
        assert!(matches!(moved, Err(StoreError::Invalid(_))));
        let nowhere = world.fixture.tenant(metering::plan::Limits::default());
        let row = TenantRow { region: "us".parse().unwrap(), ..world.row(nowhere, None) };
        assert!(store.create_tenant(&world.operator, world.new_tenant(row)).await.is_err());

        // A server that is started without the region still finds whose data is there.
        drop(store);
        let store = open_as(place.path(), &["local"], true, world.env()).await;
        let look = async |tenant: Tenant<'_>| {
            assert_eq!(records::get(&store, &tenant, 1).await.unwrap().data["who"], "eve");
            audit_trail::verified(&store, &tenant, None).await;
        };
        world.visit(european, look).await;
    });
}

#[test]
fn without_waiting_for_the_disk_the_end_of_the_process_still_loses_nothing() {
    World::<Embedded>::run(async |world| {
        let place = TempDir::new().unwrap();
        let store = open_as(place.path(), REGIONS, false, world.env()).await;
        let tenant = european(&world, &store).await;
        for number in 1..20 {
            write(&world, &store, tenant, number).await;
        }
        // What the kernel has of the files is what `kill -9` leaves.
        let left = TempDir::new().unwrap();
        copy(place.path(), left.path());
        let after = open_as(left.path(), REGIONS, false, world.env()).await;
        let look = async |tenant: Tenant<'_>| {
            for number in 1..20 {
                assert!(records::get(&after, &tenant, number).await.is_ok(), "{number}");
            }
        };
        world.visit(tenant, look).await;
    });
}

#[test]
fn a_folder_says_by_itself_where_the_operators_log_is() {
    World::<Embedded>::run(async |world| {
        // In alphabetical order the home comes last, and is asked for while its log is in the journal alone, too.
        let place = TempDir::new().unwrap();
        let said = || -> Vec<String> {
            regions_of(&data(place.path())).unwrap().iter().map(ToString::to_string).collect()
        };
        let store = open_as(place.path(), &["local", "eu", "ap"], true, world.env()).await;
        let event = context::event::operator_draft(
            &world.operator,
            audit::event::Action::new("keys.rotate"),
            "master_key",
            "tenant_keys",
        );
        store.append_operator_events(&world.operator, vec![event]).await.unwrap();
        assert_eq!(said(), ["local", "ap", "eu"]);
        store.close().await;
        drop(store);
        assert_eq!(said(), ["local", "ap", "eu"]);
    });
}
