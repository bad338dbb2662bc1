//! A log's leaves alone, without an export's file around them.

use super::Fault;
use super::chain::Chain;
use crate::merkle::Hash;
use crate::note::Origin;

/// Follows a log's leaves from its first on: each must be this log's, the next, and linked to the last. Gives
/// back how many there are, and the root over them.
pub struct Followed(Chain);

/// Begins to follow a log.
pub fn follow_leaves(log: &Origin) -> Followed {
    Followed(Chain::new(log))
}

impl Followed {
    /// Takes the next leaf.
    pub fn take(&mut self, leaf: &[u8]) -> Result<(), Fault> {
        let line = self.0.size() + 1;
        self.0.take(leaf, line)
    }

    /// How many leaves there were, and the root over them.
    pub fn size_and_root(&self) -> (u64, Hash) {
        (self.0.size(), self.0.root())
    }
}
