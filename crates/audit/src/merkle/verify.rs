//! Checking proofs against roots (RFC 9162, sections 2.1.3.2 and 2.1.4.2, which spell out RFC 6962's).

use super::{Hash, empty_root, node_hash};

/// The proof does not show what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// The leaf would lie outside the tree.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// The leaf's claimed index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The tree that should have grown into the other is larger than it.
    #[error("a tree of {size} did not grow from one of {earlier}")]
    NotEarlier {
        /// The size of the tree that should be the earlier one.
        earlier: u64,
        /// The size of the later tree.
        size: u64,
    },
    /// The proof has more or fewer hashes than it takes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The leaf is not the one that the root was made over.
    #[error("the leaf is not in the tree at this place")]
    OtherLeaf,
    /// The two trees are two different histories.
    #[error("the larger tree did not grow from the smaller one")]
    Inconsistent,
}

/// Checks that the leaf with this hash is leaf `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(
    leaf_hash: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: Hash,
) -> Result<(), InvalidProof> {
    if index >= size {
        return Err(InvalidProof::NoSuchLeaf { index, size });
    }
    let (mut place, mut last) = (index, size - 1);
    let mut computed = leaf_hash;
    for sibling in proof {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if place & 1 == 1 || place == last {
            computed = node_hash(sibling, &computed);
            pass_over_edge(&mut place, &mut last);
        } else {
            computed = node_hash(&computed, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    match (last == 0, computed == root) {
        (true, true) => Ok(()),
        (true, false) => Err(InvalidProof::OtherLeaf),
        (false, _) => Err(InvalidProof::Length),
    }
}

/// Checks that the tree of `size` leaves with `root` grew from the one of `earlier` leaves with
/// `earlier_root`.
pub fn verify_consistency(
    earlier: u64,
    earlier_root: Hash,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), InvalidProof> {
    if earlier > size {
        return Err(InvalidProof::NotEarlier { earlier, size });
    }
    if earlier == 0 || earlier == size {
        let same = if earlier == 0 { earlier_root == empty_root() } else { earlier_root == root };
        return match (same, proof.is_empty()) {
            (_, false) => Err(InvalidProof::Length),
            (true, true) => Ok(()),
            (false, true) => Err(InvalidProof::Inconsistent),
        };
    }
    let (mut place, mut last) = (earlier - 1, size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // A full left subtree's root is the earlier root itself, which the proof leaves out.
    let (start, rest) = if earlier.is_power_of_two() {
        (earlier_root, proof)
    } else {
        proof.split_first().map(|(first, rest)| (*first, rest)).ok_or(InvalidProof::Length)?
    };
    let (mut computed_earlier, mut computed) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if place & 1 == 1 || place == last {
            computed_earlier = node_hash(sibling, &computed_earlier);
            computed = node_hash(sibling, &computed);
            pass_over_edge(&mut place, &mut last);
        } else {
            computed = node_hash(&computed, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    let consistent = computed_earlier == earlier_root && computed == root;
    match (last == 0, consistent) {
        (true, true) => Ok(()),
        (true, false) => Err(InvalidProof::Inconsistent),
        (false, _) => Err(InvalidProof::Length),
    }
}

/// On the right edge, levels where the node has no sibling are passed over.
fn pass_over_edge(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        *place >>= 1;
        *last >>= 1;
    }
}
