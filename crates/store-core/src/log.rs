//! A tenant's place in its audit log: the next number, the last hash, the frontier; and how drafts become the
//! next events. Who keeps the place sees to it that one writer at a time has it.

use crate::Fault;
use crate::keys::WorkingKeys;
use audit::event::{Draft, Position, Sealed, hide_people, seal};
use audit::merkle::Frontier;
use env::Env;
use ids::EventId;

/// Where a tenant's log stands.
#[derive(Clone)]
pub struct LogHead {
    /// The next event's place.
    pub place: Position,
    /// What is needed to append to the tree.
    pub frontier: Frontier,
}

impl LogHead {
    /// How many events there are, and the root over them.
    pub fn size_and_root(&self) -> (u64, [u8; 32]) {
        (self.frontier.size(), self.frontier.root())
    }
}

/// An event with its place, and what it is found by.
pub struct NumberedEvent {
    /// The log that it belongs to.
    pub epoch: u64,
    /// Its number there.
    pub index: u64,
    /// What was done.
    pub action: String,
    /// Who did it, hidden where it is a person.
    pub actor: String,
    /// What it was done to, hidden likewise.
    pub resource: String,
    /// The event.
    pub sealed: Sealed,
}

/// Events with their places.
pub struct Numbered {
    /// The head after them. It holds only once the caller stores it.
    pub next: LogHead,
    /// The events.
    pub events: Vec<NumberedEvent>,
}

impl Numbered {
    /// The events' ids.
    pub fn ids(&self) -> Vec<EventId> {
        self.events.iter().map(|event| event.sealed.event_id).collect()
    }
}

/// Seals drafts as the next events.
pub fn number(head: &LogHead, drafts: &[Draft], keys: &WorkingKeys, env: &Env) -> Result<Numbered, Fault> {
    let mut numbered = Numbered { next: head.clone(), events: Vec::with_capacity(drafts.len()) };
    for draft in drafts {
        let mut draft = draft.clone();
        hide_people(&mut draft, |id| keys.pseudonym(id));
        let place = &numbered.next.place;
        let (epoch, index) = (place.epoch, place.index);
        let action = draft.action.as_str().to_owned();
        let (actor, resource) = (draft.actor.id.clone(), draft.resource.id.clone());
        let sealed = seal(draft, place, env)?;
        numbered.next.frontier.append(sealed.leaf_hash);
        numbered.next.place.advance(sealed.leaf_hash);
        numbered.events.push(NumberedEvent { epoch, index, action, actor, resource, sealed });
    }
    Ok(numbered)
}
