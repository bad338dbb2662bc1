//! The tree against a naive one, against two independent implementations, and against wrong proofs.

use super::MAX_ENTRY_BYTES;
use super::{
    BundleEntries, BundleError, Frontier, Hash, InvalidProof, LeafHashes, Nodes, ProofError, Span, TileNodes,
    TilePath, TileReader, consistency_proof, empty_root, inclusion_proof, leaf_hash, new_tiles, node_hash,
    push_entry, root, verify_consistency, verify_inclusion,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Oracle = MemoryBackedTree<sha2::Sha256, Vec<u8>>;

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("leaf {number}").into_bytes()).collect()
}

fn hashes(count: usize) -> Vec<Hash> {
    leaves(count).iter().map(|leaf| leaf_hash(leaf)).collect()
}

fn oracle(count: usize) -> Oracle {
    let mut tree = Oracle::new();
    leaves(count).into_iter().for_each(|leaf| tree.push(leaf));
    tree
}

fn frontier(hashes: &[Hash]) -> Frontier {
    let mut frontier = Frontier::new();
    hashes.iter().for_each(|hash| frontier.append(*hash));
    frontier
}

/// The definition of RFC 6962, section 2.1, word for word.
fn naive_root(hashes: &[Hash]) -> Hash {
    match hashes.len() {
        0 => empty_root(),
        1 => hashes[0],
        n => {
            let k = n.next_power_of_two() / 2;
            node_hash(&naive_root(&hashes[..k]), &naive_root(&hashes[k..]))
        }
    }
}

#[test]
fn known_roots_of_the_certificate_transparency_tests() {
    // The eight leaves and the roots that the reference implementations of RFC 6962 share.
    let inputs =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let hashes: Vec<Hash> = inputs.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
    let known = [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];
    for (size, expected) in known {
        assert_eq!(hex::encode(frontier(&hashes[..size]).root()), expected, "size {size}");
    }
}

#[test]
fn every_small_tree_proves_and_verifies() {
    let all = hashes(40);
    for size in 0..=all.len() {
        let leaves = &all[..size];
        let nodes = LeafHashes(leaves);
        let tree_root = naive_root(leaves);
        assert_eq!(frontier(leaves).root(), tree_root);
        assert_eq!(root(&nodes, size as u64).unwrap(), tree_root);
        for (index, leaf) in leaves.iter().enumerate() {
            let proof = inclusion_proof(&nodes, index as u64, size as u64).unwrap();
            verify_inclusion(*leaf, index as u64, size as u64, &proof, tree_root).unwrap();
        }
        for earlier in 0..=size {
            let proof = consistency_proof(&nodes, earlier as u64, size as u64).unwrap();
            let before = naive_root(&leaves[..earlier]);
            verify_consistency(earlier as u64, before, size as u64, tree_root, &proof).unwrap();
        }
    }
}

#[test]
fn what_is_not_in_the_tree_has_no_proof() {
    let all = hashes(3);
    let nodes = LeafHashes(&all);
    assert!(matches!(inclusion_proof(&nodes, 3, 3), Err(ProofError::NoSuchLeaf { index: 3, size: 3 })));
    assert!(matches!(consistency_proof(&nodes, 4, 3), Err(ProofError::NotEarlier { .. })));
    assert!(matches!(inclusion_proof(&nodes, 0, 4), Err(ProofError::Unreadable(_))));
    let no_leaf = verify_inclusion(all[0], 0, 0, &[], empty_root());
    assert_eq!(no_leaf, Err(InvalidProof::NoSuchLeaf { index: 0, size: 0 }));
}

struct Tiles(BTreeMap<(u8, u64), Vec<Hash>>);

impl TileReader for Tiles {
    type Error = (u8, Span);

    fn tile(&self, level: u8, span: Span) -> Result<Vec<u8>, Self::Error> {
        let tile = self.0.get(&(level, span.index)).ok_or((level, span))?;
        Ok(tile.iter().take(usize::from(span.width)).flatten().copied().collect())
    }
}

fn tiles(hashes: &[Hash]) -> Tiles {
    let mut tiles = BTreeMap::<_, Vec<Hash>>::new();
    let mut frontier = Frontier::new();
    for hash in hashes {
        frontier.append_with(*hash, |node| {
            if node.level % 8 == 0 {
                let level = u8::try_from(node.level / 8).unwrap();
                tiles.entry((level, node.index / 256)).or_default().push(node.hash);
            }
        });
    }
    Tiles(tiles)
}

#[test]
fn tiles_hold_the_whole_tree() {
    let all = hashes(70_000);
    let from_leaves = LeafHashes(&all);
    let tiles = tiles(&all);
    for size in [1_u64, 255, 256, 257, 65_535, 65_536, 65_793, 70_000] {
        let from_tiles = TileNodes::new(Tiles(tiles.0.clone()), size);
        assert_eq!(root(&from_tiles, size).unwrap(), root(&from_leaves, size).unwrap());
        for index in [0, size / 3, size - 1] {
            let proof = inclusion_proof(&from_tiles, index, size).unwrap();
            assert_eq!(proof, inclusion_proof(&from_leaves, index, size).unwrap());
            let expected = consistency_proof(&from_leaves, index, size).unwrap();
            assert_eq!(consistency_proof(&from_tiles, index, size).unwrap(), expected);
        }
        assert!(from_tiles.hash(0, size).is_err());
    }
}

#[test]
fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() {
    let paths: Vec<String> = new_tiles(0, 70_000).iter().map(ToString::to_string).collect();
    assert_eq!(paths.len(), 273 + 1 + 1 + 1 + 1);
    for path in ["tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"] {
        assert!(paths.iter().any(|found| found == path), "{path}");
    }
    let grown: Vec<String> = new_tiles(255, 257).iter().map(ToString::to_string).collect();
    assert_eq!(grown, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    assert!(new_tiles(300, 300).is_empty());
}

#[test]
fn tile_paths_are_those_of_the_specification() {
    let span = Span { index: 1_234_067, width: 256 };
    assert_eq!(TilePath::Hashes { level: 4, span }.to_string(), "tile/4/x001/x234/067");
    let part = Span { index: 0, width: 17 };
    assert_eq!(TilePath::Entries(part).to_string(), "tile/entries/000.p/17");
    let wrong = [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/1",
        "tile/64/000",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/-1/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/data/000",
        "tile/0/+01",
    ];
    for text in wrong {
        assert!(text.parse::<TilePath>().is_err(), "{text}");
    }
}

#[test]
fn entry_bundles_round_trip() {
    let mut bundle = Vec::new();
    let entries = [b"one".to_vec(), Vec::new(), vec![7; MAX_ENTRY_BYTES]];
    entries.iter().for_each(|entry| push_entry(&mut bundle, entry).unwrap());
    let read: Result<Vec<&[u8]>, _> = BundleEntries::new(&bundle).collect();
    assert_eq!(read.unwrap(), entries);
    assert_eq!(push_entry(&mut bundle, &[0; MAX_ENTRY_BYTES + 1]), Err(BundleError::TooLong(65_536)));
    bundle.pop();
    let mut cut = BundleEntries::new(&bundle).skip(2);
    assert_eq!((cut.next(), cut.next()), (Some(Err(BundleError::CutShort)), None));
}

proptest! {
    #[test]
    fn proofs_are_those_of_an_independent_implementation(size in 1_usize..200, pick in 0_usize..200, cut in 1_usize..200) {
        let (index, earlier) = (pick % size, 1 + cut % size);
        let (all, theirs) = (hashes(size), oracle(size));
        let our_root = frontier(&all).root();
        prop_assert_eq!(theirs.root().as_bytes().to_vec(), our_root.to_vec());

        let ours = inclusion_proof(&LeafHashes(&all), index as u64, size as u64).unwrap();
        prop_assert_eq!(ours.concat(), theirs.prove_inclusion(index).as_bytes().to_vec());
        let root = RootHash::<sha2::Sha256>::new(our_root.into(), size as u64);
        let as_theirs = InclusionProof::from_bytes(ours.concat());
        prop_assert!(root.verify_inclusion(&leaves(size)[index], index as u64, &as_theirs).is_ok());

        if earlier < size {
            let ours = consistency_proof(&LeafHashes(&all), earlier as u64, size as u64).unwrap();
            prop_assert_eq!(ours.concat(), theirs.prove_consistency(size - earlier).as_bytes().to_vec());
            let before = oracle(earlier).root();
            let as_theirs = ConsistencyProof::try_from_bytes(ours.concat()).unwrap();
            prop_assert!(root.verify_consistency(&before, &as_theirs).is_ok());
        }
    }

    #[test]
    fn a_second_independent_verifier_agrees(size in 1_usize..300, pick in 0_usize..300, cut in 0_usize..300) {
        use tlog_tiles::tlog::{Hash as Theirs, check_record, check_tree};
        let (index, earlier) = (pick % size, 1 + cut % size);
        let all = hashes(size);
        let theirs = |proof: Vec<Hash>| proof.into_iter().map(Theirs).collect::<Vec<_>>();
        let (root, before) = (naive_root(&all), naive_root(&all[..earlier]));
        let (index, earlier, size) = (index as u64, earlier as u64, size as u64);

        let proof = theirs(inclusion_proof(&LeafHashes(&all), index, size).unwrap());
        let leaf = Theirs(all[pick % all.len()]);
        prop_assert!(check_record(&proof, size, Theirs(root), index, leaf).is_ok());
        let proof = theirs(consistency_proof(&LeafHashes(&all), earlier, size).unwrap());
        prop_assert!(check_tree(&proof, size, Theirs(root), earlier, Theirs(before)).is_ok());
    }

    #[test]
    fn a_changed_proof_is_refused(
        size in 2_usize..200, pick in 0_usize..200, byte in 0_usize..2_000, bit in 0_u32..8, longer: bool,
    ) {
        let all = hashes(size);
        let (index, size) = ((pick % size) as u64, size as u64);
        let root = naive_root(&all);
        let right = inclusion_proof(&LeafHashes(&all), index, size).unwrap();
        let leaf = all[pick % all.len()];

        let mut flipped = right.clone();
        let byte = byte % (flipped.len() * 32);
        flipped[byte / 32][byte % 32] ^= 1 << bit;
        prop_assert_eq!(verify_inclusion(leaf, index, size, &flipped, root), Err(InvalidProof::OtherLeaf));

        let mut resized = right.clone();
        if longer { resized.push([0; 32]) } else { resized.pop(); }
        prop_assert!(verify_inclusion(leaf, index, size, &resized, root).is_err());
        let moved = (index + 1) % size;
        prop_assert!(verify_inclusion(leaf, moved, size, &right, root).is_err());
    }

    #[test]
    fn a_changed_history_is_refused(size in 2_usize..200, cut in 0_usize..200, changed in 0_usize..200) {
        let mut all = hashes(size);
        let earlier = 1 + cut % (size - 1);
        let before = naive_root(&all[..earlier]);
        all[changed % earlier] = leaf_hash(b"rewritten");
        let (earlier, size) = (earlier as u64, size as u64);
        let proof = consistency_proof(&LeafHashes(&all), earlier, size).unwrap();
        prop_assert!(verify_consistency(earlier, before, size, naive_root(&all), &proof).is_err());
    }

    #[test]
    fn any_proof_of_any_shape_is_judged_without_panic(
        index: u64, size: u64, hash: [u8; 32], proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        prop_assert!(verify_inclusion(hash, index, size, &proof, [0; 32]).is_err());
        prop_assert!(verify_consistency(index, hash, size, [0; 32], &proof).is_err());
    }

    #[test]
    fn a_frontier_survives_its_bytes(size in 0_usize..300) {
        let before = frontier(&hashes(size));
        let bytes = before.to_bytes();
        let after = Frontier::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&after, &before);
        prop_assert_eq!(after.root(), before.root());
        prop_assert!(Frontier::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        prop_assert!(Frontier::from_bytes(&[bytes.as_slice(), &[0; 32]].concat()).is_err());
        prop_assert!(size == 0 || Frontier::from_bytes(&bytes[..bytes.len() - 32]).is_err());
    }

    #[test]
    fn outside_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,70}") {
        let _ = Frontier::from_bytes(&bytes);
        let _ = BundleEntries::new(&bytes).count();
        let _ = text.parse::<TilePath>();
    }

    #[test]
    fn tile_paths_round_trip_as_an_independent_implementation_writes_them(
        level in 0_u8..64, index: u64, width in 1_u16..=256,
    ) {
        let path = TilePath::Hashes { level, span: Span { index, width } };
        prop_assert_eq!(path.to_string().parse(), Ok(path));
        let theirs = tlog_tiles::tile::Tile::new(8, level, index, width.into(), false).path();
        // They write the tile's height in front of the level, as the Go checksum database does.
        prop_assert_eq!(path.to_string(), theirs.replacen("tile/8/", "tile/", 1));
    }
}
