//! A log for the tests, kept as an honest server keeps it.

use super::checkpoint_line;
use crate::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Position, Resource, seal};
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::{LogKey, Origin, SignedCheckpoint, VerifierKey};
use env::{Env, Timestamp};
use ids::{EventId, Id, TenantId};
use secret::SecretBytes;

/// A log in memory, as an honest server keeps it.
pub(super) struct Log {
    pub(super) key: LogKey,
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) ids: Vec<EventId>,
}

pub(super) fn origin(tenant: u8, epoch: u64) -> Origin {
    let tenant = TenantId::from_parts(1_780_000_000_000, [tenant; 10]);
    Origin { tenant, region: "local".parse().unwrap(), epoch }
}

pub(super) fn key(origin: Origin) -> LogKey {
    let mut seed = [origin.tenant.to_bytes()[15]; 32];
    LogKey::from_seed(origin, &SecretBytes::take(&mut seed))
}

pub(super) fn draft(number: usize) -> Draft {
    let actor =
        Actor { auth: AuthMethod::Jwt, id: "usr_1".into(), kind: ActorKind::User, on_behalf_of: vec![] };
    let resource = Resource { id: format!("rec_{number}"), kind: "record".into() };
    let mut draft = Draft::new(actor, Action::new("record.update"), resource, Outcome::Success);
    draft.personal.insert("email".into(), format!("user{number}@example.com"));
    draft
}

impl Log {
    /// `seed` makes logs of equal size differ.
    pub(super) fn of(origin: Origin, size: usize, seed: u64) -> Self {
        Self::from_drafts(origin, (0..size).map(draft).collect(), seed)
    }

    pub(super) fn from_drafts(origin: Origin, drafts: Vec<Draft>, seed: u64) -> Self {
        let (env, clock) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), seed);
        let mut position = Position::start(origin.clone());
        let mut log = Self { key: key(origin), leaves: Vec::new(), ids: Vec::new() };
        for draft in drafts {
            let sealed = seal(draft, &position, &env).unwrap();
            position.advance(sealed.leaf_hash);
            log.ids.push(sealed.event_id);
            log.leaves.push(sealed.leaf);
            clock.advance(1000);
        }
        log
    }

    pub(super) fn hashes(&self) -> Vec<Hash> {
        self.leaves.iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    /// The checkpoint of the first `size` leaves.
    pub(super) fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let mut frontier = Frontier::new();
        self.hashes()[..size].iter().for_each(|hash| frontier.append(*hash));
        self.key.sign(size as u64, frontier.root())
    }

    pub(super) fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines = self.leaves.clone();
        lines.push(checkpoint_line(&self.checkpoint(self.leaves.len())).into_bytes());
        lines
    }

    pub(super) fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }
}
