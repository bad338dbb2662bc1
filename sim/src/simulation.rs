//! [`simulate`]: one seed, from the first node's start to the last look at what came of it.

use crate::callers::{Book, Scene, company};
use crate::dice::Dice;
use crate::founding::{MODEL_CALLS, found};
use crate::log;
use crate::mail::Letter;
use crate::mistakes::Mistake;
use crate::node::{Common, Node, Role};
use crate::plan::{Event, Plan};
use crate::process::Process;
use crate::watch::{Finding, Promise, Tally};
use crate::world::{WallClock, World};
use bus_local::LocalBus;
use env::Env;
use limiter_local::LocalLimiter;
use metering::prices::PriceTable;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store_memory::MemoryStore;

/// Milliseconds after the last trouble when a simulation ends in any case.
const LONGEST: i64 = 150_000;

/// What came of a simulation.
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    pub(crate) tally: Tally,
    /// What stands for the whole log.
    pub(crate) digest: String,
    /// How long it took, in simulated milliseconds.
    pub(crate) millis: i64,
}

/// A node's place: the node, if it runs, and what is in store for it.
struct Place {
    role: Role,
    lives: u64,
    node: Option<Node>,
    /// Until when it stands still.
    hangs: Option<i64>,
    /// When it starts again.
    starts: Option<i64>,
    /// How long after its end it starts again, where it was told to end.
    pause: i64,
}

struct Simulation {
    world: Arc<World>,
    common: Common,
    places: Vec<Place>,
    events: VecDeque<(i64, Event)>,
}

/// Simulates a seed.
pub(crate) fn simulate(
    seed: u64,
    mistake: Option<Mistake>,
    (shown, scratch): (bool, &Path),
) -> anyhow::Result<Outcome> {
    let (world, plan) = (World::new(seed, mistake, shown), Plan::of(seed));
    log::take_in(&world);
    let clock = WallClock { world: Arc::clone(&world), fast: 0 };
    let env = Env::new(Arc::new(clock), Arc::new(Dice::of(seed, "truth"))).in_place();
    let truth = MemoryStore::new("local".parse()?, env.clone());
    if matches!(mistake, Some(Mistake::FenceIgnored | Mistake::LossHidden)) {
        truth.ignore_fences();
    }
    let settings = limiter_local::Settings { parallel_model_calls: MODEL_CALLS, ..Default::default() };
    let common = Common {
        world: Arc::clone(&world),
        truth: truth.clone(),
        limits: Arc::new(LocalLimiter::new(Arc::new(truth.clone()), env.clone(), settings)),
        bus: LocalBus::new(bus_local::Settings::default(), env.clone()),
        prices: PriceTable::built_in()?,
        scratch: scratch.to_owned(),
        nodes: plan.roles.len(),
    };
    let callers = Process::new(world.now())?;
    let dice = Dice::of(seed, "founding");
    let companies = callers.at_once(found(&world, (&truth, &env), &dice, plan.tenants))?;
    let servers = plan.roles.iter().enumerate().filter(|(_, role)| **role == Role::Server);
    let scene = Scene {
        world: Arc::clone(&world),
        servers: servers.map(|(node, _)| node).collect(),
        book: Arc::<Book>::default(),
        calm: plan.calm,
    };
    let busy = Arc::new(AtomicU64::new(plan.tenants));
    for its in companies {
        let (scene, busy) = (scene.clone(), Arc::clone(&busy));
        callers.begin(async move {
            company(scene, its).await;
            busy.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let places = plan.roles.iter().map(|role| Place::new(*role)).collect();
    let mut simulation = Simulation { world: Arc::clone(&world), common, places, events: plan.events.into() };
    while busy.load(Ordering::SeqCst) > 0 && world.now() < plan.calm + LONGEST {
        simulation.step(&callers)?;
    }
    if busy.load(Ordering::SeqCst) > 0 {
        world.watch.find(Promise::NoLostRun, "the callers did not come to an end".to_owned());
    }
    simulation.tell();
    drop(simulation);
    let (findings, tally) = (world.watch.findings(), world.watch.tally());
    Ok(Outcome { findings, tally, digest: world.log.digest(), millis: world.now() })
}

impl Place {
    fn new(role: Role) -> Self {
        Self { role, lives: 0, node: None, hangs: None, starts: Some(0), pause: 0 }
    }
}

impl Simulation {
    /// Lets a millisecond pass.
    fn step(&mut self, callers: &Process) -> anyhow::Result<()> {
        let now = self.world.now();
        while let Some((_, event)) = self.events.pop_front_if(|(at, _)| *at <= now) {
            self.happen(event, now);
        }
        self.start(now)?;
        while let Some((to, letter)) = self.world.mail.arrived(now) {
            // Whoever sent it to a node that is gone hears nothing.
            if let Some(node) = self.places.get(to).and_then(|place| place.node.as_ref()) {
                node.receive(letter);
            }
        }
        for (number, place) in self.places.iter_mut().enumerate() {
            place.run(now, (&self.world, number));
        }
        self.world.acts(None);
        callers.run(now + 1);
        self.tell();
        self.world.pass(now + 1);
        Ok(())
    }

    fn happen(&mut self, event: Event, now: i64) {
        self.world.note(format_args!("{event:?}"));
        match event {
            Event::Crash(node, back) => {
                let Some(place) = self.places.get_mut(node) else { return };
                (place.node, place.hangs, place.starts) = (None, None, Some(back));
            }
            Event::Hang(node, until) => {
                let Some(place) = self.places.get_mut(node) else { return };
                if place.node.is_some() {
                    place.hangs = Some(place.hangs.unwrap_or(until).max(until));
                }
            }
            Event::Drain(node, pause) => {
                let Some(place) = self.places.get_mut(node) else { return };
                place.pause = pause;
                self.world.mail.send(node, now, Letter::Drain);
            }
            Event::Way(node, peer, trouble) => self.world.network.trouble(node, peer, trouble),
        }
    }

    /// Starts the nodes whose time has come.
    fn start(&mut self, now: i64) -> anyhow::Result<()> {
        for (number, place) in self.places.iter_mut().enumerate() {
            if place.starts.is_none_or(|at| at > now) {
                continue;
            }
            self.world.acts(Some(number));
            place.lives += 1;
            place.node = Some(Node::start(&self.common, (number, place.role), place.lives)?);
            (place.starts, place.hangs) = (None, None);
        }
        self.world.acts(None);
        Ok(())
    }

    /// Writes down what was found.
    fn tell(&self) {
        for finding in self.world.watch.news() {
            self.world.note(format_args!("FOUND {finding}"));
        }
    }
}

impl Place {
    /// Lets its node run for a millisecond, unless it stands still.
    fn run(&mut self, now: i64, (world, number): (&World, usize)) {
        let Some(node) = &self.node else { return };
        if self.hangs.is_some_and(|until| until > now) {
            return;
        }
        world.acts(Some(number));
        if self.hangs.take().is_some() {
            world.note(format_args!("goes on"));
            node.process().wake(now);
        }
        node.process().run(now + 1);
        if node.has_ended() {
            self.node = None;
            self.starts = Some(now + self.pause);
        }
    }
}
