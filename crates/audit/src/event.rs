//! Audit events: what callers fill in, how it becomes a leaf of the log, and how it is shown again.
//!
//! A leaf is canonical JSON (RFC 8785), made once; its bytes are what is hashed, stored and exported.
//! Personal and long values stay outside it: the leaf has a salted commitment to each, and erasing value
//! and salt leaves the leaf, and every proof over it, as it was.

mod canonical;
mod commitment;
mod draft;
mod head;
mod name;
mod people;
mod seal;
mod view;

#[cfg(test)]
mod tests;

pub use commitment::Disclosure;
pub use draft::{
    Actor, ActorKind, ActorRef, AuthMethod, CostRef, Draft, MAX_INTEGER, Outcome, Resource, Source,
};
pub(crate) use head::LeafHead;
pub use name::{Action, Confidence, NameError, ReasonCode};
pub use people::hide_people;
pub use seal::{EventError, MAX_LEAF_BYTES, NO_PREVIOUS_LEAF, Position, Sealed, seal};
pub use view::{Disclosed, Redacted, View, ViewError};

/// The version of the leaf's form that this code writes and reads.
pub const LEAF_VERSION: u8 = 1;
