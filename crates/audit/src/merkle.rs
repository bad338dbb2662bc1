//! The Merkle tree over a log's leaves (RFC 6962, section 2): hashing, the compact state that appending
//! needs, proofs and their verification, and the tiles that hold it (C2SP tlog-tiles).

mod bundle;
mod frontier;
mod proof;
mod tile;
mod verify;

#[cfg(test)]
mod tests;

pub use bundle::{BundleEntries, BundleError, MAX_ENTRY_BYTES, push_entry};
pub use frontier::{Frontier, FrontierError, Node};
pub use proof::{LeafHashes, Nodes, ProofError, TooFewLeaves, consistency_proof, inclusion_proof, root};
pub use tile::{Span, TILE_WIDTH, TileError, TileNodes, TilePath, TilePathError, TileReader, new_tiles};
pub use verify::{InvalidProof, verify_consistency, verify_inclusion};

use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, an inner node, or a whole tree.
pub type Hash = [u8; 32];

/// The root of the tree without leaves: the hash of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of a leaf's exact bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into()
}

/// The hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [0x01; 65];
    block[1..33].copy_from_slice(left);
    block[33..].copy_from_slice(right);
    Sha256::digest(block).into()
}
