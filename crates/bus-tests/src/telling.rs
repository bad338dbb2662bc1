//! Who hears what.

use crate::{Backend, World};
use bus::Heard;
use context::door;

pub async fn everybody_hears_in_order<B: Backend>(world: World<B>) {
    let mut first = world.listen(world.one, "app.>", None).await;
    let mut second = world.listen(world.one, "app.count", None).await;
    world.count(world.one, 0..5).await;
    for listener in [&mut first, &mut second] {
        assert_eq!(world.words(world.one, listener, 5).await, ["0", "1", "2", "3", "4"]);
        world.silent(world.one, listener).await;
    }
}

pub async fn nobody_hears_another_tenant<B: Backend>(world: World<B>) {
    let mut one = world.listen(world.one, "app.>", None).await;
    let mut two = world.listen(world.two, "app.>", None).await;
    world.tell(world.one, "app.word", "anna").await;
    world.silent(world.two, &mut two).await;
    world.tell(world.two, "app.word", "bert").await;
    assert_eq!(world.words(world.one, &mut one, 1).await, ["anna"]);
    assert_eq!(world.words(world.two, &mut two, 1).await, ["bert"]);
    world.silent(world.one, &mut one).await;
}

pub async fn patterns_choose<B: Backend>(world: World<B>) {
    let mut created = world.listen(world.one, "app.*.created", None).await;
    let mut audit = world.listen(world.one, "audit.>", None).await;
    for subject in [
        "app.orders.created",
        "app.orders.removed",
        "app.bills.created",
        "audit.key.create",
        "config.changed",
    ] {
        world.tell(world.one, subject, subject).await;
    }
    let heard = world.words(world.one, &mut created, 2).await;
    assert_eq!(heard, ["app.orders.created", "app.bills.created"]);
    assert_eq!(world.words(world.one, &mut audit, 1).await, ["audit.key.create"]);
    world.silent(world.one, &mut created).await;
    world.silent(world.one, &mut audit).await;
}

pub async fn another_tenants_visit_opens_nothing<B: Backend>(world: World<B>) {
    let mut listener = world.listen(world.one, "app.>", None).await;
    world.tell(world.one, "app.word", "anna").await;
    let stranger = world.fixture.owner(world.two).await;
    let stopped = stranger.enter(async |tenant| {
        let heard = listener.next(&tenant).await;
        heard.is_none_or(|heard| door::answer(&tenant, heard).is_err())
    });
    assert!(stopped.await);
}

pub async fn heard_from_then_on<B: Backend>(world: World<B>) {
    world.count(world.one, 0..2).await;
    let mut listener = world.listen(world.one, "app.>", None).await;
    world.silent(world.one, &mut listener).await;
    world.count(world.one, 2..3).await;
    assert!(matches!(world.hear(world.one, &mut listener).await, Some(Heard::Message(..))));
    world.silent(world.one, &mut listener).await;
}
