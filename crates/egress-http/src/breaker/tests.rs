//! When circuits open and close, and how much is remembered.

use super::{BreakerSettings, Breakers};
use egress::EgressError;
use env::{Env, Timestamp};
use ids::TenantId;
use std::sync::Arc;
use std::time::Duration;

const SETTINGS: BreakerSettings =
    BreakerSettings { failures: 3, rest: Duration::from_secs(10), hosts_per_tenant: 2, tenants: 2 };

fn tenants() -> [TenantId; 3] {
    let env = Env::fixed(Timestamp::from_millis(1), 1).0;
    [env.id(), env.id(), env.id()]
}

fn fail(breakers: &Arc<Breakers>, tenant: TenantId, host: &str, times: u32) {
    for _ in 0..times {
        breakers.pass(tenant, host.into()).ok().unwrap().failed();
    }
}

fn is_open(breakers: &Arc<Breakers>, tenant: TenantId, host: &str) -> bool {
    matches!(breakers.pass(tenant, host.into()), Err(EgressError::CircuitOpen { .. }))
}

#[tokio::test(start_paused = true)]
async fn it_opens_for_one_tenant_and_host_and_rests() {
    let [mine, other, _] = tenants();
    let breakers = Breakers::new(SETTINGS);
    fail(&breakers, mine, "a", 2);
    assert!(!is_open(&breakers, mine, "a"));
    fail(&breakers, mine, "a", 1);
    tokio::time::advance(Duration::from_secs(4)).await;
    let refused = breakers.pass(mine, "a".into()).err();
    assert!(matches!(refused, Some(EgressError::CircuitOpen { retry_after }) if retry_after.as_secs() == 6));
    assert!(!is_open(&breakers, mine, "b") && !is_open(&breakers, other, "a"));
}

#[tokio::test(start_paused = true)]
async fn one_probe_decides_after_the_rest() {
    let [mine, ..] = tenants();
    let breakers = Breakers::new(SETTINGS);
    fail(&breakers, mine, "a", 3);
    tokio::time::advance(SETTINGS.rest).await;
    let probe = breakers.pass(mine, "a".into()).ok().unwrap();
    assert!(is_open(&breakers, mine, "a"));
    probe.failed();
    assert!(is_open(&breakers, mine, "a"));
    tokio::time::advance(SETTINGS.rest).await;
    breakers.pass(mine, "a".into()).ok().unwrap().succeeded();
    assert!(!is_open(&breakers, mine, "a"));
    assert!(breakers.failing.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_lets_another_through() {
    let [mine, ..] = tenants();
    let breakers = Breakers::new(SETTINGS);
    fail(&breakers, mine, "a", 3);
    tokio::time::advance(SETTINGS.rest).await;
    drop(breakers.pass(mine, "a".into()));
    assert!(breakers.pass(mine, "a".into()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_neither_prolongs_the_rest_nor_ends_the_probe() {
    let [mine, ..] = tenants();
    let breakers = Breakers::new(SETTINGS);
    let [early, late] = [(), ()].map(|()| breakers.pass(mine, "a".into()).ok().unwrap());
    fail(&breakers, mine, "a", 3);
    tokio::time::advance(SETTINGS.rest).await;
    early.failed();
    let probe = breakers.pass(mine, "a".into()).ok().unwrap();
    late.failed();
    assert!(is_open(&breakers, mine, "a"));
    drop(probe);
    assert!(!is_open(&breakers, mine, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_begins_anew() {
    let [mine, ..] = tenants();
    let breakers = Breakers::new(SETTINGS);
    fail(&breakers, mine, "a", 2);
    breakers.pass(mine, "a".into()).ok().unwrap().succeeded();
    fail(&breakers, mine, "a", 2);
    assert!(!is_open(&breakers, mine, "a"));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_tenant_and_in_all() {
    let [mine, other, third] = tenants();
    let breakers = Breakers::new(SETTINGS);
    for host in 0..100 {
        fail(&breakers, mine, &host.to_string(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    fail(&breakers, other, "a", 3);
    fail(&breakers, third, "a", 3);
    assert_eq!(breakers.failing.lock().unwrap()[&mine].len(), 2);
    // The third tenant found no room, and is not hindered. What others know is kept.
    assert!(!is_open(&breakers, third, "a") && is_open(&breakers, other, "a"));
    // What is long past makes room.
    tokio::time::advance(SETTINGS.rest * 2).await;
    fail(&breakers, third, "a", 3);
    assert!(is_open(&breakers, third, "a") && !is_open(&breakers, other, "a"));
}
