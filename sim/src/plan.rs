//! [`Plan`]: what a seed decides before anything happens: how many nodes there are, and what goes wrong when.

use crate::dice::Dice;
use crate::network::{Peer, Trouble};
use crate::node::Role;
use std::ops::RangeInclusive;

/// From when on something may go wrong, and from when on nothing does, in milliseconds.
const TROUBLES: RangeInclusive<u64> = 1_000..=15_000;
/// How long what goes wrong lasts.
const LASTS: RangeInclusive<u64> = 200..=9_000;
/// How long a node stands still. Leases end after six seconds.
const STANDS: RangeInclusive<u64> = 3_000..=12_000;

/// Something that happens to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// It dies, and starts again at this moment.
    Crash(usize, i64),
    /// It stands still until this moment.
    Hang(usize, i64),
    /// It is told to end, and starts again so much later.
    Drain(usize, i64),
    /// The way to a peer is troubled, or not any more.
    Way(usize, Peer, Option<Trouble>),
}

/// What a seed decides.
pub(crate) struct Plan {
    pub(crate) roles: Vec<Role>,
    pub(crate) tenants: u64,
    /// What happens when, in order.
    pub(crate) events: Vec<(i64, Event)>,
    /// When the last trouble is over.
    pub(crate) calm: i64,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let dice = Dice::of(seed, "plan");
        let (servers, workers) = (dice.within(1..=3), dice.within(1..=2));
        let roles: Vec<_> =
            (0..servers).map(|_| Role::Server).chain((0..workers).map(|_| Role::Worker)).collect();
        let mut plan = Self { roles, tenants: dice.within(2..=3), events: Vec::new(), calm: 1_000 };
        for _ in 0..dice.within(4..=12) {
            plan.go_wrong(&dice);
        }
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }

    fn go_wrong(&mut self, dice: &Dice) {
        let at = moment(dice.within(TROUBLES));
        let end = at + moment(dice.within(LASTS));
        self.calm = self.calm.max(end);
        let nodes: Vec<_> = (0..self.roles.len()).collect();
        let Some(node) = dice.one_of(&nodes).copied() else { return };
        match dice.within(0..=99) {
            0..=19 => self.events.push((at, Event::Crash(node, end))),
            20..=44 => {
                let end = at + moment(dice.within(STANDS));
                self.calm = self.calm.max(end);
                self.events.push((at, Event::Hang(node, end)));
            }
            45..=50 => self.events.push((at, Event::Drain(node, end - at))),
            51..=55 => {
                // The store itself is gone for a while.
                nodes.iter().for_each(|node| self.trouble((*node, Peer::Store), (at, end), Trouble::Refused));
            }
            56..=65 => {
                let kind = kind(dice);
                Peer::ALL.iter().for_each(|peer| self.trouble((node, *peer), (at, end), kind));
            }
            66..=82 => self.trouble((node, Peer::Store), (at, end), kind(dice)),
            _ => {
                let peer = dice.one_of(&Peer::ALL).copied().unwrap_or(Peer::Store);
                self.trouble((node, peer), (at, end), kind(dice));
            }
        }
    }

    fn trouble(&mut self, (node, peer): (usize, Peer), (at, end): (i64, i64), kind: Trouble) {
        self.events.push((at, Event::Way(node, peer, Some(kind))));
        self.events.push((end, Event::Way(node, peer, None)));
    }
}

fn kind(dice: &Dice) -> Trouble {
    match dice.within(0..=2) {
        0 => Trouble::Refused,
        1 => Trouble::Silent,
        _ => Trouble::Slow(dice.within(500..=9_000)),
    }
}

fn moment(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
