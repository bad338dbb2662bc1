//! What is kept for those who come back.

use crate::{Backend, KEPT, World};
use bus::{Bus as _, Heard, Place};

pub async fn goes_on_after_a_place<B: Backend>(world: World<B>) {
    let mut listener = world.listen(world.one, "app.>", None).await;
    world.count(world.one, 0..5).await;
    world.words(world.one, &mut listener, 1).await;
    let (word, place) = world.word(world.one, &mut listener).await;
    assert_eq!(word, "1");
    drop(listener);
    let mut again = world.listen(world.one, "app.>", Some(place)).await;
    assert_eq!(world.words(world.one, &mut again, 3).await, ["2", "3", "4"]);
    world.silent(world.one, &mut again).await;
}

pub async fn what_is_not_kept_is_missed<B: Backend>(world: World<B>) {
    let mut listener = world.listen(world.one, "app.>", None).await;
    let mut slow = world.listen(world.one, "app.>", None).await;
    world.count(world.one, 0..1).await;
    let (_, place) = world.word(world.one, &mut listener).await;
    world.count(world.one, 1..KEPT + 3).await;
    let mut again = world.listen(world.one, "app.>", Some(place)).await;
    for listener in [&mut again, &mut slow] {
        assert_eq!(world.hear(world.one, listener).await, Some(Heard::Missed));
        let (word, _) = world.word(world.one, listener).await;
        assert_eq!(word, "3");
        world.words(world.one, listener, KEPT - 1).await;
        world.silent(world.one, listener).await;
    }
}

pub async fn another_order_is_heard_from_its_beginning<B: Backend>(world: World<B>) {
    world.count(world.one, 0..2).await;
    let mut listener = world.listen(world.one, "app.>", Some(Place { order: 1, number: 900 })).await;
    assert_eq!(world.hear(world.one, &mut listener).await, Some(Heard::Missed));
    assert_eq!(world.words(world.one, &mut listener, 2).await, ["0", "1"]);
}

pub async fn what_is_forgotten_is_not_heard<B: Backend>(world: World<B>) {
    let mut listener = world.listen(world.one, "app.>", None).await;
    world.count(world.one, 0..2).await;
    let (_, place) = world.word(world.one, &mut listener).await;
    world.bus.forget(&world.operator, world.one).await;
    assert_eq!(world.hear(world.one, &mut listener).await, None);
    let mut again = world.listen(world.one, "app.>", Some(place)).await;
    assert_eq!(world.hear(world.one, &mut again).await, Some(Heard::Missed));
    world.count(world.one, 2..3).await;
    assert_eq!(world.words(world.one, &mut again, 1).await, ["2"]);
}

pub async fn the_neighbour_is_not_forgotten<B: Backend>(world: World<B>) {
    let mut listener = world.listen(world.two, "app.>", None).await;
    world.count(world.two, 0..2).await;
    world.bus.forget(&world.operator, world.one).await;
    assert_eq!(world.words(world.two, &mut listener, 2).await, ["0", "1"]);
}
