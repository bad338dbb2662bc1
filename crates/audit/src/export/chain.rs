//! Following a log's leaves one by one: each must be this log's, the next, and linked to the last.

use super::Fault;
use crate::event::{LeafHead, MAX_LEAF_BYTES, NO_PREVIOUS_LEAF, Outcome};
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::Origin;
use env::Timestamp;
use ids::EventId;
use std::collections::HashSet;

/// Intents under way that are remembered at once, so that memory stays bounded: about 40 MB.
const MAX_OPEN_INTENTS: usize = 1_000_000;

/// What is known of the leaves so far.
pub(super) struct Chain {
    tenant: String,
    region: String,
    epoch: u64,
    frontier: Frontier,
    previous: Hash,
    first_time: Option<Timestamp>,
    last_time: String,
    intents: Intents,
}

/// Which intents still wait for their outcome.
#[derive(Default)]
struct Intents {
    waiting: HashSet<EventId>,
    total: u64,
    /// Intents that came while `waiting` was full, and so count as having none.
    forgotten: u64,
}

impl Chain {
    /// The chain of a log without leaves.
    pub(super) fn new(log: &Origin) -> Self {
        Self {
            tenant: log.tenant.to_string(),
            region: log.region.to_string(),
            epoch: log.epoch,
            frontier: Frontier::new(),
            previous: NO_PREVIOUS_LEAF,
            first_time: None,
            last_time: String::new(),
            intents: Intents::default(),
        }
    }

    /// Takes the leaf on this line.
    pub(super) fn take(&mut self, leaf: &[u8], line: u64) -> Result<(), Fault> {
        if leaf.len() > MAX_LEAF_BYTES {
            return Err(Fault::TooLong { line });
        }
        let head = LeafHead::read(leaf).ok_or(Fault::NotAnEvent { line })?;
        self.check_log(&head, line)?;
        let expected = self.frontier.size();
        if head.seq > expected {
            return Err(Fault::Missing { line, expected, found: head.seq });
        }
        if head.seq < expected {
            return Err(Fault::OutOfOrder { line, expected, found: head.seq });
        }
        let mut previous = Hash::default();
        let linked = hex::decode_to_slice(head.prev, &mut previous).is_ok() && previous == self.previous;
        if !linked {
            return Err(Fault::BrokenLink { line });
        }
        if self.first_time.is_none() {
            self.first_time = Some(head.time.parse().map_err(|_| Fault::NotAnEvent { line })?);
        }
        self.last_time.clear();
        self.last_time.push_str(head.time);
        self.intents.note(&head).ok_or(Fault::NotAnEvent { line })?;
        self.previous = leaf_hash(leaf);
        self.frontier.append(self.previous);
        Ok(())
    }

    fn check_log(&self, head: &LeafHead<'_>, line: u64) -> Result<(), Fault> {
        if head.tenant != self.tenant {
            return Err(match head.tenant.parse() {
                Ok(found) => Fault::OtherTenant { line, found },
                Err(_) => Fault::NotAnEvent { line },
            });
        }
        if head.region != self.region || head.epoch != self.epoch {
            return Err(Fault::OtherLog { line, region: head.region.to_owned(), epoch: head.epoch });
        }
        Ok(())
    }

    /// How many leaves there were.
    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over the leaves so far.
    pub(super) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The first event's time.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        self.first_time
    }

    /// The last event's time. None where there is no event, or its time is malformed.
    pub(super) fn last_time(&self) -> Option<Timestamp> {
        self.last_time.parse().ok()
    }

    /// How many intents there were.
    pub(super) fn intents(&self) -> u64 {
        self.intents.total
    }

    /// How many intents have no outcome.
    pub(super) fn open_intents(&self) -> u64 {
        self.intents.waiting.len() as u64 + self.intents.forgotten
    }

    /// Whether that number is exact, and not an upper bound.
    pub(super) fn open_intents_exact(&self) -> bool {
        self.intents.forgotten == 0
    }
}

impl Intents {
    fn note(&mut self, head: &LeafHead<'_>) -> Option<()> {
        if head.result == Outcome::Intent {
            let id = head.event_id.parse().ok()?;
            self.total += 1;
            if self.waiting.len() < MAX_OPEN_INTENTS {
                self.waiting.insert(id);
            } else {
                self.forgotten += 1;
            }
        }
        if let Some(intent) = head.intent {
            self.waiting.remove(&intent.parse().ok()?);
        }
        Some(())
    }
}
