//! Whoever calls: people of several tenants, who start runs, try what is not theirs, and in the end look at what came
//! of everything.

mod audit;
mod book;
mod http;
mod work;

pub(crate) use book::Book;

use crate::dice::Dice;
use crate::founding::Company;
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;

/// How many people of one tenant there are.
const PEOPLE: u64 = 2;
/// How long after the last trouble everything has to have come to an end.
const PATIENCE: i64 = 90_000;
/// How long looking at what came of it may take.
const LOOKING: i64 = 30_000;
const AGAIN: Duration = Duration::from_millis(250);

/// Somebody who calls.
pub(crate) struct Caller {
    world: Arc<World>,
    dice: Dice,
    company: Company,
    /// The nodes that answer calls.
    servers: Vec<usize>,
    book: Arc<Book>,
    /// When the last trouble is over.
    calm: i64,
}

/// What callers need to know of the simulation.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) servers: Vec<usize>,
    pub(crate) book: Arc<Book>,
    pub(crate) calm: i64,
}

impl Caller {
    fn new(scene: &Scene, company: &Company, number: u64) -> Self {
        let dice = Dice::of(scene.world.seed, &format!("caller {} {number}", company.canary));
        Self {
            world: Arc::clone(&scene.world),
            dice,
            company: company.clone(),
            servers: scene.servers.clone(),
            book: Arc::clone(&scene.book),
            calm: scene.calm,
        }
    }

    /// When whatever was begun has to have ended.
    fn deadline(&self) -> i64 {
        self.calm + PATIENCE
    }

    /// When callers give up asking.
    fn end(&self) -> i64 {
        self.deadline() + LOOKING
    }

    async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.within(20..=most))).await;
    }
}

/// All that a tenant's people do, from its first workflow to the last look at what came of it.
pub(crate) async fn company(scene: Scene, company: Company) {
    let first = Caller::new(&scene, &company, 0);
    first.set_up().await;
    let people = (1..=PEOPLE).map(|number| Caller::new(&scene, &company, number));
    futures::future::join_all(people.map(async |caller| caller.work().await)).await;
    while scene.world.now() < scene.calm {
        tokio::time::sleep(AGAIN).await;
    }
    first.audit().await;
}
