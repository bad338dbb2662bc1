//! [`Node`]: a process of the simulation, with a runtime, a memory and a clock of its own. What runs in it is real;
//! only its ports lead into the simulated network.

mod background;
mod wiring;

pub(crate) use wiring::authenticator;

use crate::dice::Dice;
use crate::limits;
use crate::mail::{Answer, Letter, Request};
use crate::mistakes::Mistake;
use crate::network::{Link, Peer};
use crate::process::Process;
use crate::world::World;
use axum::Router;
use axum::body::Body;
use background::Background;
use bus_local::LocalBus;
use http_api::Api;
use metering::prices::PriceTable;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use store_memory::MemoryStore;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tower_service::Service as _;
use worker::{Settings, Worker};

/// How large an answer may be.
const ANSWER: usize = 1 << 20;

/// What all nodes share, beyond the network.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) world: Arc<World>,
    pub(crate) truth: MemoryStore,
    pub(crate) limits: limits::Shared,
    pub(crate) bus: LocalBus,
    pub(crate) prices: PriceTable,
    pub(crate) scratch: PathBuf,
    /// How many nodes there are.
    pub(crate) nodes: usize,
}

/// What a node is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It answers calls and carries runs out.
    Server,
    /// It carries runs out.
    Worker,
}

/// A node that runs.
pub(crate) struct Node {
    process: Process,
    letters: mpsc::UnboundedSender<Letter>,
    ended: Arc<AtomicBool>,
}

impl Node {
    /// Starts a node. `life` counts how often it was started.
    pub(crate) fn start(common: &Common, (id, role): (usize, Role), life: u64) -> anyhow::Result<Self> {
        let process = Process::new(common.world.now())?;
        let (letters, arrived) = mpsc::unbounded_channel();
        let ended = Arc::<AtomicBool>::default();
        let dice = Dice::of(common.world.seed, &format!("node {id} life {life}"));
        let (common, done) = (common.clone(), Arc::clone(&ended));
        process.begin(async move {
            let world = Arc::clone(&common.world);
            if let Err(error) = live(common, (id, role), dice, arrived).await {
                world.note(format_args!("did not start: {error:#}"));
            }
            done.store(true, Ordering::SeqCst);
        });
        Ok(Self { process, letters, ended })
    }

    /// Takes a letter in. One to a process that is gone is lost.
    pub(crate) fn receive(&self, letter: Letter) {
        let _ = self.letters.send(letter);
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// What its tasks run in. They end, wherever they are, when this node is dropped.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

async fn live(
    common: Common,
    (id, role): (usize, Role),
    dice: Dice,
    mut letters: mpsc::UnboundedReceiver<Letter>,
) -> anyhow::Result<()> {
    let wired = wiring::wire(&common, id, dice)?;
    let link = Link { world: Arc::clone(&common.world), node: id, peer: Peer::Callers };
    let background = Background::start(&wired);
    let worker = Worker::start(
        wired.app.clone(),
        wired.scheduler.clone(),
        (wired.egress.clone(), Arc::new(wired.app.clone())),
        Settings::default(),
    );
    let api = (role == Role::Server).then(|| Api::new(wired.app.clone()));
    let router = api.clone().map(http_api::router);
    if let Some(api) = &api {
        api.set_ready();
    }
    link.world.note(format_args!("is there"));
    let mut calls = JoinSet::new();
    while let Some(letter) = letters.recv().await {
        while calls.try_join_next().is_some() {}
        match letter {
            Letter::Request(request, reply) => {
                if let Some(router) = &router {
                    calls.spawn(answer(router.clone(), link.clone(), request, reply));
                }
            }
            Letter::Ring(topic) => wired.here.ring_here(topic),
            Letter::Drain => break,
        }
    }
    if let Some(api) = &api {
        drain(api, calls).await;
    }
    worker.drain().await;
    wired.app.gateway.drained().await;
    wired.app.vault.drained().await;
    background.end().await;
    link.world.note(format_args!("has ended"));
    Ok(())
}

/// Answers what was asked before, and takes nothing more.
async fn drain(api: &Api, mut calls: JoinSet<()>) {
    api.set_draining();
    while calls.join_next().await.is_some() {}
    api.drained().await;
}

/// Answers one request, unless its caller hangs up before.
async fn answer(mut router: Router, link: Link, request: Request, mut reply: oneshot::Sender<Answer>) {
    let Request { method, path, headers, body } = request;
    let mut asked = http::Request::builder().method(method.clone()).uri(&path);
    for (name, value) in headers {
        asked = asked.header(name, value);
    }
    let Ok(asked) = asked.body(Body::from(body)) else { return };
    let kept =
        link.world.mistaken(Mistake::SharedCache).then(|| link.world.cache.lock().ok()?.get(&path).cloned());
    let responding = async {
        if let Some(kept) = kept.flatten().filter(|_| method == http::Method::GET) {
            return kept;
        }
        let response = match router.call(asked).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), ANSWER).await.unwrap_or_default();
        Answer { status, body: String::from_utf8_lossy(&body).into_owned() }
    };
    let answer = tokio::select! {
        biased;
        () = reply.closed() => return,
        answer = responding => answer,
    };
    link.world.note(format_args!("answers {method} {path} with {}", answer.status));
    if link.world.mistaken(Mistake::SharedCache) && answer.status == 200 {
        link.world.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(path, answer.clone());
    }
    if link.call("answer", async {}).await.is_ok() {
        // Whoever asked may have hung up.
        let _ = reply.send(answer);
    }
}
