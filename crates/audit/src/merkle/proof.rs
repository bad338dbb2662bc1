//! Making proofs from whatever holds the tree's full subtrees (RFC 6962, sections 2.1.1 and 2.1.2).

use super::{Hash, empty_root, node_hash};

/// Gives the roots of full subtrees; a database, tiles, or leaf hashes in memory.
pub trait Nodes {
    /// Why a root could not be had.
    type Error;

    /// The root over the leaves from `index << level` to before `(index + 1) << level`, all of which are
    /// in the tree.
    fn hash(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError<E> {
    /// The log holds no such event yet.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// The leaf that was asked for.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The tree that should have grown into the other is larger than it.
    #[error("a tree of {size} did not grow from one of {earlier}")]
    NotEarlier {
        /// The size that was called the earlier one.
        earlier: u64,
        /// The tree's size.
        size: u64,
    },
    /// The tree could not be read.
    #[error("the tree could not be read")]
    Unreadable(#[source] E),
}

/// The root of the first `size` leaves.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range_root(nodes, 0, size) }
}

/// The hashes that lead from leaf `index` to the root of the first `size` leaves, the lowest first.
pub fn inclusion_proof<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        let (sibling_begin, sibling_end);
        if index < middle {
            (sibling_begin, sibling_end) = (middle, end);
            end = middle;
        } else {
            (sibling_begin, sibling_end) = (begin, middle);
            begin = middle;
        }
        path.push(range_root(nodes, sibling_begin, sibling_end).map_err(ProofError::Unreadable)?);
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show that the first `size` leaves begin with the first `earlier` ones. Empty where
/// `earlier` is zero or `size`: then there is nothing to show.
pub fn consistency_proof<N: Nodes>(
    nodes: &N,
    earlier: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<N::Error>> {
    if earlier > size {
        return Err(ProofError::NotEarlier { earlier, size });
    }
    if earlier == 0 || earlier == size {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    // The walk goes down to the last full subtree of the earlier tree. Where that tree is itself a full
    // left subtree, its root is known to the verifier and left out.
    while end != earlier {
        let middle = begin + split(end - begin);
        let (sibling_begin, sibling_end);
        if earlier <= middle {
            (sibling_begin, sibling_end) = (middle, end);
            end = middle;
        } else {
            (sibling_begin, sibling_end) = (begin, middle);
            begin = middle;
        }
        path.push(range_root(nodes, sibling_begin, sibling_end).map_err(ProofError::Unreadable)?);
    }
    if begin != 0 {
        path.push(range_root(nodes, begin, end).map_err(ProofError::Unreadable)?);
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `leaves`, which is at least two.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root over the leaves from `begin` to before `end`, where `begin` is where a subtree of that many
/// leaves or more may begin. The range falls apart into full subtrees, which are folded from the right.
fn range_root<N: Nodes>(nodes: &N, begin: u64, end: u64) -> Result<Hash, N::Error> {
    let mut left_to_right = Vec::new();
    let mut at = begin;
    while at < end {
        let level = (end - at).ilog2();
        left_to_right.push(nodes.hash(level, at >> level)?);
        at += 1 << level;
    }
    let mut right_to_left = left_to_right.into_iter().rev();
    let Some(last) = right_to_left.next() else { return Ok(empty_root()) };
    Ok(right_to_left.fold(last, |right, left| node_hash(&left, &right)))
}

/// Leaf hashes in memory: every root is computed anew, so this suits small trees and tests.
#[derive(Clone, Copy, Debug)]
pub struct LeafHashes<'a>(pub &'a [Hash]);

/// The leaves do not reach as far as the subtree that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are not that many leaves")]
pub struct TooFewLeaves;

impl Nodes for LeafHashes<'_> {
    type Error = TooFewLeaves;

    fn hash(&self, level: u32, index: u64) -> Result<Hash, TooFewLeaves> {
        let width = 1_usize.checked_shl(level).ok_or(TooFewLeaves)?;
        let begin = usize::try_from(index).ok().and_then(|index| index.checked_mul(width));
        let begin = begin.ok_or(TooFewLeaves)?;
        let end = begin.checked_add(width).ok_or(TooFewLeaves)?;
        self.0.get(begin..end).map(full_root).ok_or(TooFewLeaves)
    }
}

/// The root over `hashes`, whose number is a power of two.
pub(super) fn full_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&full_root(left), &full_root(right))
        }
    }
}
