//! What an append-only tree must remember to go on growing: its size and the roots of its full subtrees.

use super::{Hash, empty_root, node_hash};

const SIZE_BYTES: usize = 8;
const HASH_BYTES: usize = 32;
/// No log grows this far, so that counting on cannot overflow.
const MAX_SIZE: u64 = 1 << 62;

/// A tree's size and the roots of its full subtrees, from the largest to the smallest: one hash for each
/// bit that is set in the size, at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// The root of a full subtree: of the leaves from `index << level` to before `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves, which have level 0.
    pub level: u32,
    /// Place among the nodes of this level, from the left.
    pub index: u64,
    /// The subtree's root.
    pub hash: Hash,
}

/// The bytes are not a frontier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a frontier: the number of hashes does not belong to the size")]
pub struct FrontierError;

impl Frontier {
    /// The frontier of the tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf_hash: Hash) {
        self.append_with(leaf_hash, |_| {});
    }

    /// Appends a leaf by its hash and shows every subtree that it completes, the leaf itself first. Who
    /// keeps those whose level is a multiple of eight keeps the tree's tiles.
    pub fn append_with(&mut self, leaf_hash: Hash, mut completed: impl FnMut(Node)) {
        let mut node = Node { level: 0, index: self.size, hash: leaf_hash };
        completed(node);
        while node.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            node = Node { level: node.level + 1, index: node.index >> 1, hash: node_hash(&left, &node.hash) };
            completed(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else { return empty_root() };
        peaks.fold(*smallest, |right, left| node_hash(left, &right))
    }

    /// The size as eight bytes, big-endian, then the hashes: at most 2,056 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE_BYTES + self.peaks.len() * HASH_BYTES);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend(self.peaks.iter().flatten());
        bytes
    }

    /// The frontier whose bytes these are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let (size, hashes) = bytes.split_first_chunk::<SIZE_BYTES>().ok_or(FrontierError)?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = hashes.as_chunks::<HASH_BYTES>();
        let fits = size <= MAX_SIZE && rest.is_empty() && u64::from(size.count_ones()) == peaks.len() as u64;
        if fits { Ok(Self { size, peaks: peaks.to_vec() }) } else { Err(FrontierError) }
    }
}
