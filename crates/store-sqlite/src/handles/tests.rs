//! A crowd of tenants: few stay open, and none waits for another's file to close.

use crate::lifecycle::tests::Embedded;
use ids::TenantId;
use metering::plan::Limits;
use std::time::Duration;
use store_tests::samples::record;
use store_tests::{World, records};

async fn touch(world: &World<Embedded>, tenant: TenantId, number: u8) {
    world
        .visit(tenant, async |tenant| {
            records::create(world.store(), &tenant, record(number, serde_json::json!({}))).await.unwrap();
        })
        .await;
}

/// What may be open where nobody looks for the idle but who opens: the bound, those opened since the last look,
/// and two that threads have just let go.
const LIMIT: usize = super::MAX_OPEN + super::HOST + 2;

fn open(world: &World<Embedded>) -> usize {
    world.store().inner().handles.all().iter().filter(|handle| handle.is_open()).count()
}

#[test]
fn a_crowd_leaves_few_open_and_everybody_comes_back() {
    World::<Embedded>::run(async |world| {
        let mut tenants = vec![world.one, world.two];
        for _ in 0..super::MAX_OPEN + 2 * super::HOST {
            let tenant = world.fixture.tenant(Limits::default());
            world.create(tenant, None).await.unwrap();
            tenants.push(tenant);
        }
        for tenant in &tenants {
            touch(&world, *tenant, 1).await;
            assert!(open(&world) <= LIMIT);
        }
        for tenant in &tenants {
            touch(&world, *tenant, 2).await;
            assert!(open(&world) <= LIMIT);
        }
    });
}

/// Sweeps as if so much time had passed. The thread that carried out the last write may hold its handle for a
/// moment longer than its caller waits.
async fn sweep_until(world: &World<Embedded>, passed: Duration, done: impl Fn() -> bool) {
    for _ in 0..1000 {
        world.store().inner().handles.sweep(world.env().now().plus(passed)).await;
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("what is idle stays open");
}

#[test]
fn whoever_is_idle_is_closed_and_whoever_is_held_is_not() {
    World::<Embedded>::run(async |world| {
        for (tenant, _) in world.tenants() {
            touch(&world, tenant, 1).await;
        }
        let held = world.store().handle_of(world.one).await.unwrap();
        let handles = &world.store().inner().handles;
        sweep_until(&world, Duration::from_secs(11), || open(&world) == 1).await;
        assert!(held.is_open() && handles.all().len() == 2);
        drop(held);
        sweep_until(&world, Duration::from_secs(121), || handles.all().is_empty()).await;
        touch(&world, world.two, 2).await;
    });
}
