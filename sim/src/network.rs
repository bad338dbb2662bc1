//! [`Network`]: what lies between a node and what it works with, and what is wrong with it for now.

use crate::dice::Dice;
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a node works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The database.
    Store,
    /// Where the limits are kept.
    Limits,
    /// What carries rings and messages.
    Bus,
    /// Services of others.
    Outside,
    /// Models.
    Models,
    /// Whoever calls.
    Callers,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] =
        [Self::Store, Self::Limits, Self::Bus, Self::Outside, Self::Models, Self::Callers];
}

/// What is wrong between a node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Whatever is sent is refused at once.
    Refused,
    /// Whatever is sent is lost, and nobody says so.
    Silent,
    /// Some of what is sent takes up to so many milliseconds.
    Slow(u64),
}

/// The other side was not reached, or its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// Nothing has arrived.
    There,
    /// What was asked for was done, and the answer was lost.
    Back,
}

/// How long a node waits for an answer that does not come, in milliseconds.
const PATIENCE: std::ops::RangeInclusive<u64> = 1_000..=9_000;

/// How much of a hundred things is stuck where the way is slow.
const STUCK: u64 = 30;
/// In how many of a hundred cases a connection to the outside breaks without any trouble.
const LOST: u64 = 2;

/// The network between nodes and their peers.
pub(crate) struct Network {
    dice: Dice,
    troubles: Mutex<BTreeMap<(usize, Peer), Trouble>>,
}

impl Network {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { dice, troubles: Mutex::default() }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<(usize, Peer), Trouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes trouble between a node and a peer, or ends it.
    pub(crate) fn trouble(&self, node: usize, peer: Peer, trouble: Option<Trouble>) {
        match trouble {
            Some(trouble) => self.troubles().insert((node, peer), trouble),
            None => self.troubles().remove(&(node, peer)),
        };
    }

    /// Whether anything gets through between the two.
    pub(crate) fn is_cut(&self, node: usize, peer: Peer) -> bool {
        matches!(self.troubles().get(&(node, peer)), Some(Trouble::Refused | Trouble::Silent))
    }

    /// How many milliseconds the next thing takes from one to the other.
    pub(crate) fn delay(&self, node: usize, peer: Peer) -> u64 {
        let most = match self.troubles().get(&(node, peer)) {
            Some(Trouble::Slow(most)) if self.dice.in_hundred(STUCK) => *most,
            _ if self.dice.in_hundred(5) => 40,
            _ => 2,
        };
        self.dice.within(0..=most)
    }

    /// What the network leaves to the seed.
    pub(crate) fn dice(&self) -> &Dice {
        &self.dice
    }
}

/// The way between a node and one of its peers.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) world: Arc<World>,
    pub(crate) node: usize,
    pub(crate) peer: Peer,
}

impl Link {
    /// Has something done at the other side: it is done at one moment, when what is sent has arrived.
    pub(crate) async fn call<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, CutOff> {
        self.cross().await.map_err(|()| {
            self.world.note(format_args!("{:?} {what}: not reached", self.peer));
            CutOff::There
        })?;
        let answer = work.await;
        self.world.note(format_args!("{:?} {what}", self.peer));
        self.cross().await.map_err(|()| {
            self.world.note(format_args!("{:?} {what}: the answer is lost", self.peer));
            CutOff::Back
        })?;
        Ok(answer)
    }

    async fn cross(&self) -> Result<(), ()> {
        let network = &self.world.network;
        tokio::time::sleep(Duration::from_millis(network.delay(self.node, self.peer))).await;
        if matches!(self.peer, Peer::Outside | Peer::Models) && network.dice.in_hundred(LOST) {
            return Err(());
        }
        let trouble = network.troubles().get(&(self.node, self.peer)).copied();
        match trouble {
            None | Some(Trouble::Slow(_)) => Ok(()),
            Some(Trouble::Refused) => Err(()),
            Some(Trouble::Silent) => {
                tokio::time::sleep(Duration::from_millis(network.dice.within(PATIENCE))).await;
                Err(())
            }
        }
    }
}
