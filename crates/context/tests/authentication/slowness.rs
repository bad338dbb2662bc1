//! Whoever fails too often waits for the answer, and nobody else does.

use crate::world::World;
use context::{Refusal, issue_api_key};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

const DELAY: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn the_twenty_first_failure_waits_and_the_valid_key_never_does() {
    let world = World::new();
    let tenant = world.tenant();
    let (good, bad) = (world.api_key(tenant), issue_api_key(tenant, world.env.id(), &world.env));
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(world.refusal(bad.text.expose(), None).await, Refusal::Unauthorized);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for nth in 1..=3 {
        assert_eq!(world.refusal(bad.text.expose(), None).await, Refusal::Unauthorized);
        assert_eq!(begun.elapsed(), DELAY * nth);
    }
    world.admission(good.text.expose()).await;
    assert_eq!(world.refusal(good.text.expose(), Some("ten_other")).await, Refusal::TenantMismatch);
    assert_eq!(begun.elapsed(), DELAY * 3);
    assert_eq!(world.failures().len(), 23, "every failure is noted, the slow ones too");
    world.clock.advance(60_000);
    world.refusal(bad.text.expose(), None).await;
    assert_eq!(begun.elapsed(), DELAY * 3);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_becomes_valid_is_answered_at_once() {
    let world = World::new();
    let tenant = world.tenant();
    let key = world.api_key(tenant);
    let other = issue_api_key(tenant, key.id, &world.env);
    for _ in 0..30 {
        world.refusal(other.text.expose(), None).await;
    }
    let begun = Instant::now();
    world.admission(key.text.expose()).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn guesses_at_hooks_wait_too_and_outages_do_not() {
    let world = World::new();
    let hook = world.hook(world.tenant());
    let begun = Instant::now();
    for _ in 0..21 {
        assert!(world.authenticator.admit_hook("hk_guess", world.facts()).await.is_err());
    }
    assert_eq!(begun.elapsed(), DELAY);
    world.ports.index_down.store(true, Ordering::SeqCst);
    let down = world.authenticator.admit_hook(hook.0.expose(), world.facts()).await;
    assert!(matches!(down, Err(Refusal::Unavailable)));
    world.ports.index_down.store(false, Ordering::SeqCst);
    assert!(world.authenticator.admit_hook(hook.0.expose(), world.facts()).await.is_ok());
    assert_eq!(begun.elapsed(), DELAY);
    assert_eq!(world.failures().len(), 21);
}
