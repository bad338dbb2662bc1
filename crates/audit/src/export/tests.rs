//! Every way in which a log can be falsified that we know of, tried on a real export.

use super::sample::{Log, draft, key, origin};
use super::{Fault, InclusionFault, Report, Trust, checkpoint_line, verify_export, verify_inclusion};
use crate::event::{Draft, MAX_LEAF_BYTES, Outcome, Position, View, seal};
use crate::merkle::{InvalidProof, LeafHashes, inclusion_proof, leaf_hash};
use crate::note::{CheckpointError, LogKey, Origin, VerifierKey, WitnessKey};
use env::{Env, Timestamp};
use proptest::prelude::*;
use secret::SecretBytes;
use std::io::{BufReader, Read};

fn log(size: usize) -> Log {
    Log::of(origin(1, 0), size, 7)
}

fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

fn check(lines: &[Vec<u8>], trust: &Trust<'_>) -> Result<Report, Fault> {
    verify_export(file(lines).as_slice(), trust)
}

/// Verifies what `change` makes of an honest export of ten events.
fn after(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Fault {
    let log = log(10);
    let mut lines = log.lines();
    change(&mut lines);
    check(&lines, &Trust::new(log.verifier())).unwrap_err()
}

fn replace(line: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(line.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    *line = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn an_honest_export_verifies_and_says_what_it_cannot_show() {
    let log = log(10);
    let report = check(&log.lines(), &Trust::new(log.verifier())).unwrap();
    assert_eq!((report.events, report.earlier, report.witnessed()), (10, None, false));
    assert_eq!(report.root, log.checkpoint(10).checkpoint().root);
    assert_eq!(report.first_time.unwrap().to_string(), "2026-09-21T14:13:20.000Z");
    assert_eq!(report.last_time.unwrap().to_string(), "2026-09-21T14:13:29.000Z");
    let text = report.to_string();
    assert!(text.contains("All 10 events") && text.contains("No outside witness"), "{text}");
    assert!(text.contains("No earlier checkpoint"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["log"], origin(1, 0).to_string());
    assert_eq!(json["events"], 10);
}

#[test]
fn logs_of_every_small_size_verify() {
    for size in 0..20 {
        let log = log(size);
        let report = check(&log.lines(), &Trust::new(log.verifier())).unwrap();
        assert_eq!(report.events, size as u64);
        for earlier in 0..=size {
            let earlier = log.checkpoint(earlier).to_string();
            let trust = Trust::new(log.verifier()).earlier(&earlier);
            assert!(check(&log.lines(), &trust).unwrap().earlier.is_some());
        }
    }
}

#[test]
fn an_altered_event_is_found() {
    let altered = |line: usize| after(|lines| replace(&mut lines[line], "record.update", "record.delete"));
    assert!(matches!(altered(0), Fault::BrokenLink { line: 2 }));
    assert!(matches!(altered(4), Fault::BrokenLink { line: 6 }));
    // No line follows the last event, so the signed root shows it.
    assert!(matches!(altered(9), Fault::OtherEvents { size: 10 }));
}

#[test]
fn an_altered_event_is_found_even_when_all_later_links_are_mended() {
    let log = log(10);
    let mut lines = log.lines();
    replace(&mut lines[4], "record.update", "record.delete");
    for line in 5..10 {
        let previous = hex::encode(leaf_hash(&lines[line - 1]));
        let was = hex::encode(leaf_hash(&log.leaves[line - 1]));
        replace(&mut lines[line], &was, &previous);
    }
    let fault = check(&lines, &Trust::new(log.verifier())).unwrap_err();
    assert!(matches!(fault, Fault::OtherEvents { size: 10 }));
}

#[test]
fn a_removed_event_is_found() {
    let removed = |line: usize| {
        after(|lines| {
            lines.remove(line);
        })
    };
    assert!(matches!(removed(0), Fault::Missing { line: 1, expected: 0, found: 1 }));
    assert!(matches!(removed(5), Fault::Missing { line: 6, expected: 5, found: 6 }));
    assert!(matches!(removed(9), Fault::CutShort { signed: 10, found: 9 }));
    assert!(matches!(removed(10), Fault::NoCheckpoint { line: 10 }));
}

#[test]
fn reordered_and_repeated_events_are_found() {
    let swapped = after(|lines| lines.swap(3, 4));
    assert!(matches!(swapped, Fault::Missing { line: 4, expected: 3, found: 4 }));
    let repeated = after(|lines| {
        let again = lines[3].clone();
        lines.insert(4, again);
    });
    assert!(matches!(repeated, Fault::OutOfOrder { line: 5, expected: 4, found: 3 }));
}

#[test]
fn an_inserted_event_is_found() {
    let forged = || {
        let other = Log::of(origin(1, 0), 10, 8);
        other.leaves[4].clone()
    };
    let inserted = after(|lines| lines.insert(4, forged()));
    assert!(matches!(inserted, Fault::BrokenLink { line: 5 }));
    let linked = after(|lines| {
        let mut forged = forged();
        let was = serde_json::from_slice::<serde_json::Value>(&forged).unwrap()["prev"].clone();
        let previous = hex::encode(leaf_hash(&lines[3]));
        replace(&mut forged, was.as_str().unwrap(), &previous);
        lines.insert(4, forged);
    });
    assert!(matches!(linked, Fault::OutOfOrder { line: 6, expected: 5, found: 4 }));
    let appended = after(|lines| lines.insert(10, Log::of(origin(1, 0), 11, 7).leaves[10].clone()));
    assert!(matches!(appended, Fault::NotSigned { signed: 10, found: 11 }));
}

#[test]
fn a_log_cut_off_and_signed_again_is_found_by_whoever_kept_a_checkpoint() {
    let (log, cut) = (log(10), log(7));
    assert!(check(&cut.lines(), &Trust::new(log.verifier())).is_ok());
    let kept = log.checkpoint(10).to_string();
    let fault = check(&cut.lines(), &Trust::new(log.verifier()).earlier(&kept)).unwrap_err();
    assert!(matches!(fault, Fault::Shrunk { earlier: 10, size: 7 }));
}

#[test]
fn a_fork_is_found() {
    let (log, fork) = (log(10), Log::of(origin(1, 0), 10, 8));
    let kept = log.checkpoint(10).to_string();
    let fault = check(&fork.lines(), &Trust::new(log.verifier()).earlier(&kept)).unwrap_err();
    assert!(matches!(fault, Fault::Forked { earlier: 10 }));
}

#[test]
fn a_log_rebuilt_with_its_own_key_is_found_only_by_a_kept_checkpoint() {
    let (log, rebuilt) = (log(6), Log::of(origin(1, 0), 12, 8));
    let report = check(&rebuilt.lines(), &Trust::new(log.verifier())).unwrap();
    assert!(report.to_string().contains("rewritten as a whole would look the same"));
    let kept = log.checkpoint(6).to_string();
    let fault = check(&rebuilt.lines(), &Trust::new(log.verifier()).earlier(&kept)).unwrap_err();
    assert!(matches!(fault, Fault::Forked { earlier: 6 }));
    assert!(fault.is_bad_news() && fault.line().is_none());
}

#[test]
fn a_stale_checkpoint_is_found() {
    let log = log(10);
    let stale = |lines: &mut Vec<Vec<u8>>| lines[10] = checkpoint_line(&log.checkpoint(8)).into_bytes();
    assert!(matches!(after(stale), Fault::NotSigned { signed: 8, found: 10 }));
}

#[test]
fn a_changed_or_foreign_signature_is_found() {
    let flipped = after(|lines| replace(&mut lines[10], r"\n10\n", r"\n11\n"));
    assert!(matches!(flipped, Fault::Checkpoint { line: 11, source: CheckpointError::Note(_) }));
    let other_key = LogKey::from_seed(origin(1, 0), &SecretBytes::take(&mut [99; 32]));
    let log = log(10);
    let fault = check(&log.lines(), &Trust::new(other_key.verifier())).unwrap_err();
    assert!(matches!(fault, Fault::Checkpoint { .. }));
    let trailing = after(|lines| lines.push(b"{}".to_vec()));
    assert!(matches!(trailing, Fault::AfterCheckpoint { line: 12 }));
}

#[test]
fn another_tenants_log_is_found() {
    let (mine, theirs) = (log(10), Log::of(origin(2, 0), 10, 7));
    let trust = Trust::new(mine.verifier());
    let whole = check(&theirs.lines(), &trust).unwrap_err();
    assert!(matches!(whole, Fault::OtherTenant { line: 1, found } if found == origin(2, 0).tenant));
    let one_event = after(|lines| lines[4] = theirs.leaves[4].clone());
    assert!(matches!(one_event, Fault::OtherTenant { line: 5, .. }));
    let checkpoint = after(|lines| lines[10] = theirs.lines()[10].clone());
    assert!(matches!(checkpoint, Fault::CheckpointOfOtherLog { line: 11, found } if found == origin(2, 0)));
    let newer = Log::of(origin(1, 1), 10, 7);
    assert!(matches!(check(&newer.lines(), &trust).unwrap_err(), Fault::OtherLog { line: 1, epoch: 1, .. }));

    let region = "elsewhere".parse().unwrap();
    let elsewhere = Log::of(Origin { region, ..origin(1, 0) }, 10, 7);
    let fault = check(&elsewhere.lines(), &trust).unwrap_err();
    assert!(matches!(fault, Fault::OtherLog { line: 1, region, epoch: 0 } if region == "elsewhere"));

    let foreign = theirs.checkpoint(3).to_string();
    let fault = check(&mine.lines(), &trust.earlier(&foreign)).unwrap_err();
    assert!(matches!(fault, Fault::EarlierCheckpoint(_)) && !fault.is_bad_news());
}

#[test]
fn erasing_personal_values_changes_nothing_that_is_verified() {
    let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
    let mut sealed = seal(draft(0), &Position::start(origin(1, 0)), &env).unwrap();
    let log = Log { key: key(origin(1, 0)), leaves: vec![sealed.leaf.clone()], ids: vec![sealed.event_id] };
    let before = check(&log.lines(), &Trust::new(log.verifier())).unwrap();
    sealed.disclosures.clear();
    let shown = serde_json::to_value(View::open(&sealed.leaf, &sealed.disclosures).unwrap()).unwrap();
    assert_eq!(shown["personal"]["email"]["redacted"], true);
    assert_eq!(check(&log.lines(), &Trust::new(log.verifier())).unwrap(), before);
}

#[test]
fn witnesses_count_when_their_keys_are_known() {
    let log = log(4);
    let witness =
        WitnessKey::from_seed("witness.example/w1".parse().unwrap(), &SecretBytes::take(&mut [9; 32]));
    let mut checkpoint = log.checkpoint(4);
    checkpoint.add(witness.cosign(&checkpoint, Timestamp::from_millis(1_790_000_100_000)));
    let mut lines = log.lines();
    lines[4] = checkpoint_line(&checkpoint).into_bytes();

    let keys = [witness.verifier().clone()];
    let report = check(&lines, &Trust::new(log.verifier()).witnesses(&keys)).unwrap();
    assert_eq!((report.witnesses.len(), report.unknown_signatures), (1, 0));
    assert!(
        report.to_string().contains("The witness witness.example/w1 cosigned at 2026-09-21T14:15:00.000Z")
    );
    let unknown = check(&lines, &Trust::new(log.verifier())).unwrap();
    assert_eq!((unknown.witnessed(), unknown.unknown_signatures), (false, 1));
    assert!(unknown.to_string().contains("No outside witness"));

    let mut moved = log.key.sign(4, checkpoint.checkpoint().root);
    moved.add(witness.cosign(&log.checkpoint(3), Timestamp::from_millis(0)));
    lines[4] = checkpoint_line(&moved).into_bytes();
    let fault = check(&lines, &Trust::new(log.verifier()).witnesses(&keys)).unwrap_err();
    assert!(matches!(fault, Fault::Cosignature { line: 5, .. }));
}

#[test]
fn whoever_cosigned_the_earlier_checkpoint_vouches_for_that_much() {
    let log = log(10);
    let witness = |seed: u8| {
        WitnessKey::from_seed("witness.example/w1".parse().unwrap(), &SecretBytes::take(&mut [seed; 32]))
    };
    let now = Timestamp::from_millis(1_790_000_100_000);
    let mut earlier = log.checkpoint(6);
    earlier.add(witness(9).cosign(&earlier, now));
    let (text, keys) = (earlier.to_string(), [witness(9).verifier().clone()]);
    let trust = Trust::new(log.verifier()).earlier(&text).witnesses(&keys);
    let report = check(&log.lines(), &trust).unwrap();
    assert_eq!((report.witnesses.len(), report.earlier_witnesses.len(), report.witnessed()), (0, 1, true));
    assert!(report.to_string().contains("cosigned the earlier checkpoint at 2026-09-21T14:15:00.000Z"));
    // Not of another's key, and not of a log that did not grow from there.
    let others = [witness(8).verifier().clone()];
    let unknown = Trust::new(log.verifier()).earlier(&text).witnesses(&others);
    assert!(!check(&log.lines(), &unknown).unwrap().witnessed());
    let fork = Log::of(origin(1, 0), 10, 8);
    assert!(matches!(check(&fork.lines(), &trust).unwrap_err(), Fault::Forked { earlier: 6 }));
}

#[test]
fn intents_without_an_outcome_are_counted() {
    let intent = |number| Draft { result: Outcome::Intent, ..draft(number) };
    let ids = Log::from_drafts(origin(1, 0), vec![intent(0), intent(1), intent(2)], 7).ids;
    let outcome = Draft { intent: Some(ids[1]), ..draft(3) };
    let drafts = vec![intent(0), intent(1), intent(2), outcome];
    let log = Log::from_drafts(origin(1, 0), drafts, 7);
    assert_eq!(log.ids[..3], ids);
    let report = check(&log.lines(), &Trust::new(log.verifier())).unwrap();
    assert_eq!((report.intents, report.open_intents, report.open_intents_exact), (3, 2, true));
}

#[test]
fn lines_that_are_no_events_are_found() {
    assert!(matches!(after(|lines| lines[2] = b"{}".to_vec()), Fault::NotAnEvent { line: 3 }));
    assert!(matches!(after(|lines| lines[2].clear()), Fault::NotAnEvent { line: 3 }));
    let later = after(|lines| replace(&mut lines[2], r#""v":1"#, r#""v":2"#));
    assert!(matches!(later, Fault::NotAnEvent { line: 3 }));
    let long = after(|lines| lines[2] = vec![b' '; MAX_LEAF_BYTES + 1]);
    assert!(matches!(long, Fault::TooLong { line: 3 }));
    let endless = after(|lines| lines[2] = vec![b'['; 3 << 20]);
    assert!(matches!(endless, Fault::TooLong { line: 3 }));
    let log = log(2);
    let nothing = verify_export(&b""[..], &Trust::new(log.verifier())).unwrap_err();
    assert!(matches!(nothing, Fault::NoCheckpoint { line: 0 }));
}

#[test]
fn what_could_not_run_is_told_from_bad_news() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk"))
        }
    }
    let log = log(2);
    let fault = verify_export(BufReader::new(Broken), &Trust::new(log.verifier())).unwrap_err();
    assert!(matches!(fault, Fault::Unreadable { line: 1, .. }) && !fault.is_bad_news());
    assert_eq!((fault.code(), fault.line()), ("unreadable", Some(1)));

    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
    let key = VerifierKey::new("example.com/other".parse().unwrap(), key);
    let fault = check(&log.lines(), &Trust::new(&key)).unwrap_err();
    assert!(matches!(fault, Fault::NotALogKey { .. }) && !fault.is_bad_news());
}

#[test]
fn one_event_is_proved_without_the_rest() {
    let log = log(10);
    let proof = inclusion_proof(&LeafHashes(&log.hashes()), 4, 10).unwrap();
    let checkpoint = log.checkpoint(10).to_string();
    let verify = |leaf: &[u8], index| verify_inclusion(leaf, index, &proof, &checkpoint, log.verifier());
    assert_eq!(verify(&log.leaves[4], 4).unwrap().checkpoint().size, 10);

    let misplaced = verify(&log.leaves[4], 5);
    assert_eq!(misplaced, Err(InclusionFault::OtherPlace { claimed: 5, found: 4 }));
    let mut altered = log.leaves[4].clone();
    replace(&mut altered, "record.update", "record.delete");
    assert_eq!(verify(&altered, 4), Err(InclusionFault::Proof(InvalidProof::OtherLeaf)));
    assert_eq!(verify(b"{}", 4), Err(InclusionFault::NotAnEvent));
}

#[test]
fn another_tenants_proof_proves_nothing_here() {
    let (log, theirs) = (log(10), Log::of(origin(2, 0), 10, 7));
    let proof = inclusion_proof(&LeafHashes(&theirs.hashes()), 4, 10).unwrap();
    let checkpoint = theirs.checkpoint(10).to_string();
    assert!(verify_inclusion(&theirs.leaves[4], 4, &proof, &checkpoint, theirs.verifier()).is_ok());
    let whole = verify_inclusion(&theirs.leaves[4], 4, &proof, &checkpoint, log.verifier());
    assert!(matches!(whole, Err(InclusionFault::Checkpoint(_))));
    let mine = log.checkpoint(10).to_string();
    let leaf = verify_inclusion(&theirs.leaves[4], 4, &proof, &mine, log.verifier());
    assert_eq!(leaf, Err(InclusionFault::OtherLog));
    let path = verify_inclusion(&log.leaves[4], 4, &proof, &mine, log.verifier());
    assert_eq!(path, Err(InclusionFault::Proof(InvalidProof::OtherLeaf)));
}

proptest! {
    #[test]
    fn every_flipped_bit_is_found(at in 0_usize..10_000, bit in 0_u32..8) {
        let log = log(6);
        let mut bytes = file(&log.lines());
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(verify_export(bytes.as_slice(), &Trust::new(log.verifier())).is_err());
    }

    #[test]
    fn every_cut_is_found(at in 0_usize..10_000) {
        let log = log(6);
        let bytes = file(&log.lines());
        // Without its last line break the file is still whole.
        let cut = &bytes[..at % (bytes.len() - 1)];
        prop_assert!(verify_export(cut, &Trust::new(log.verifier())).is_err());
    }

    #[test]
    fn every_permutation_is_found(order in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let log = log(6);
        let lines = log.lines();
        let shuffled: Vec<_> = order.iter().map(|line| lines[*line].clone()).collect();
        let same = order.is_sorted();
        prop_assert_eq!(check(&shuffled, &Trust::new(log.verifier())).is_ok(), same);
    }

    #[test]
    fn outside_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(?s).{0,100}") {
        let log = log(1);
        let trust = Trust::new(log.verifier()).earlier(&text);
        prop_assert!(verify_export(bytes.as_slice(), &Trust::new(log.verifier())).is_err());
        prop_assert!(verify_export(bytes.as_slice(), &trust).is_err());
        let last = [&b"{\"checkpoint\":"[..], bytes.as_slice()].concat();
        prop_assert!(verify_export(last.as_slice(), &Trust::new(log.verifier())).is_err());
        let checkpoint = log.checkpoint(1).to_string();
        prop_assert!(verify_inclusion(&bytes, 0, &[], &checkpoint, log.verifier()).is_err());
        prop_assert!(verify_inclusion(&log.leaves[0], 0, &[], &text, log.verifier()).is_err());
    }
}
