//! [`World`]: what all nodes of a simulation have in common: the time, the network, and who watches.

use crate::dice::Dice;
use crate::log::Log;
use crate::mail::{Answer, Mail};
use crate::mistakes::Mistake;
use crate::network::Network;
use crate::watch::Watch;
use env::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// When every simulation begins: 21 September 2026, some time before midnight.
const START: i64 = 1_790_000_000_000;
/// Who acts when no node does.
const NOBODY: usize = usize::MAX;

/// What is the same for all nodes.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) log: Log,
    pub(crate) network: Network,
    pub(crate) mail: Mail,
    pub(crate) watch: Watch,
    /// What stands before the servers by mistake: answers, by path.
    pub(crate) cache: Mutex<BTreeMap<String, Answer>>,
    /// Milliseconds since the beginning.
    now: AtomicI64,
    acting: AtomicUsize,
}

impl World {
    pub(crate) fn new(seed: u64, mistake: Option<Mistake>, shown: bool) -> Arc<Self> {
        Arc::new(Self {
            seed,
            mistake,
            log: Log::new(shown),
            network: Network::new(Dice::of(seed, "network")),
            mail: Mail::default(),
            watch: Watch::default(),
            cache: Mutex::default(),
            now: AtomicI64::new(0),
            acting: AtomicUsize::new(NOBODY),
        })
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Lets the time pass until this moment.
    pub(crate) fn pass(&self, until: i64) {
        self.now.store(until, Ordering::SeqCst);
    }

    /// Whose turn it is from here on.
    pub(crate) fn acts(&self, node: Option<usize>) {
        self.acting.store(node.unwrap_or(NOBODY), Ordering::SeqCst);
    }

    /// Adds a line to the log.
    pub(crate) fn note(&self, text: Arguments<'_>) {
        match self.acting.load(Ordering::SeqCst) {
            NOBODY => self.log.line(self.now(), format_args!("-- {text}")),
            node => self.log.line(self.now(), format_args!("n{node} {text}")),
        }
    }

    /// Whether this is done wrong here.
    pub(crate) fn mistaken(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

/// A clock on the wall, which may be set wrongly.
pub(crate) struct WallClock {
    pub(crate) world: Arc<World>,
    /// By how many milliseconds it is fast.
    pub(crate) fast: i64,
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + self.world.now() + self.fast)
    }
}
