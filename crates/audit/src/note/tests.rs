//! Notes, keys and checkpoints against the specification's words and against another implementation.

use super::{
    Checkpoint, CheckpointError, KeyError, LogKey, NoteError, Origin, SignatureLine, SignedCheckpoint,
    SignedNote, VerifierKey, WitnessKey, WitnessVerifierKey,
};
use crate::merkle::{Frontier, Hash, InvalidProof, LeafHashes, consistency_proof, leaf_hash};
use env::Timestamp;
use ids::{Id, TenantId};
use proptest::prelude::*;
use secret::SecretBytes;
use signed_note::{Note, StandardVerifier, VerifierList};

fn origin(tenant: u8) -> Origin {
    let tenant = TenantId::from_parts(1_790_000_000_000, [tenant; 10]);
    Origin { tenant, region: "eu-central".parse().unwrap(), epoch: 0 }
}

fn key(tenant: u8) -> LogKey {
    LogKey::from_seed(origin(tenant), &SecretBytes::take(&mut [tenant; 32]))
}

fn witness() -> WitnessKey {
    WitnessKey::from_seed("witness.example/w1".parse().unwrap(), &SecretBytes::take(&mut [99; 32]))
}

const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_500);

#[test]
fn checkpoints_read_as_the_specification_says() {
    let text = key(1).sign(20_852_163, [7; 32]).to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[0], origin(1).to_string());
    assert!(lines[0].starts_with("tenantry.dev/log/ten_") && lines[0].ends_with("/eu-central/0"));
    assert_eq!(lines[1], "20852163");
    assert_eq!(lines[2], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    assert_eq!(lines[3], "");
    assert!(lines[4].starts_with(&format!("— {} ", origin(1))));
    assert_eq!(lines[5..], [""]);
}

#[test]
fn a_logs_origin_has_one_spelling() {
    let text = origin(1).to_string();
    assert_eq!(text.parse(), Ok(origin(1)));
    let without_epoch = text.strip_suffix('0').unwrap();
    for epoch in ["00", "+0", "-0", "0/", ""] {
        assert!(format!("{without_epoch}{epoch}").parse::<Origin>().is_err(), "{epoch}");
    }
}

#[test]
fn a_checkpoint_is_the_logs_and_no_others() {
    let text = key(1).sign(3, [7; 32]).to_string();
    let opened = SignedCheckpoint::open(&text, key(1).verifier()).unwrap();
    assert_eq!(opened.checkpoint(), &Checkpoint { origin: origin(1), size: 3, root: [7; 32], generation: 1 });
    assert_eq!(opened.to_string(), text);

    let by_another = SignedCheckpoint::open(&text, key(2).verifier());
    assert!(matches!(by_another, Err(CheckpointError::Note(NoteError::NotSigned(_)))));
    let another_key = LogKey::from_seed(origin(1), &SecretBytes::take(&mut [2; 32]));
    assert!(SignedCheckpoint::open(&text, another_key.verifier()).is_err());
    let changed = text.replacen("\n3\n", "\n4\n", 1);
    let changed = SignedCheckpoint::open(&changed, key(1).verifier());
    assert!(matches!(changed, Err(CheckpointError::Note(NoteError::WrongSignature(_)))));
}

#[test]
fn a_key_signs_for_its_own_log_only() {
    // Whoever holds tenant 1's key writes tenant 2's origin into a checkpoint.
    let text = Checkpoint { origin: origin(2), size: 3, root: [7; 32], generation: 1 }.text();
    let mut note = SignedNote::new(text.clone()).unwrap();
    let (log, signer) = (key(1), ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
    let signature = ed25519_dalek::Signer::sign(&signer, text.as_bytes()).to_bytes().to_vec();
    note.add(SignatureLine { name: log.verifier().name().clone(), key_id: log.verifier().id(), signature });
    note.verify(log.verifier()).unwrap();
    let opened = SignedCheckpoint::open(&note.to_string(), log.verifier());
    assert_eq!(opened, Err(CheckpointError::OtherLog(origin(2))));
}

#[test]
fn signed_text_that_is_no_checkpoint_is_refused() {
    let good = Checkpoint { origin: origin(1), size: 3, root: [7; 32], generation: 1 }.text();
    let (first, rest) = good.split_once('\n').unwrap();
    let texts = [
        "hello\n".to_owned(),
        format!("{first}\n03\n{}", rest.split_once('\n').unwrap().1),
        format!("{first}\n3\nshort\n"),
        format!("{first}\n-3\n{}", rest.split_once('\n').unwrap().1),
        format!("{good}\n"),
        format!("example.com/log\n{rest}"),
    ];
    for text in texts {
        assert!(Checkpoint::parse(&text).is_err(), "{text}");
    }
    assert!(Checkpoint::parse(&format!("{good}an extension\n")).is_ok());
    let parsed = |more: &str| Checkpoint::parse(&format!("{good}{more}")).map(|parsed| parsed.generation);
    assert_eq!((parsed("").unwrap(), parsed("other\ngeneration 12\n").unwrap()), (1, 12));
    for wrong in ["generation 1\n", "generation 02\n", "generation \n", "generation 2\ngeneration 3\n"] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
    let said = Checkpoint { generation: 12, ..Checkpoint::parse(&good).unwrap() }.text();
    assert_eq!(said, format!("{good}generation 12\n"));
}

#[test]
fn cosignatures_are_checked_and_unknown_lines_ignored() {
    let mut checkpoint = key(1).sign(3, [7; 32]);
    checkpoint.add(witness().cosign(&checkpoint, NOON));
    let stranger =
        WitnessKey::from_seed("stranger.example".parse().unwrap(), &SecretBytes::take(&mut [5; 32]));
    checkpoint.add(stranger.cosign(&checkpoint, NOON));
    let text = checkpoint.to_string();

    let opened = SignedCheckpoint::open(&text, key(1).verifier()).unwrap();
    let known = [witness().verifier().clone()];
    let found = opened.cosignatures(&known).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].witness.as_str(), "witness.example/w1");
    assert_eq!(found[0].time.millis(), 1_790_000_000_000);
    assert_eq!((opened.unknown_signatures(&known), opened.unknown_signatures(&[])), (1, 2));

    // A cosignature moved to another checkpoint is no cosignature.
    let mut other = key(1).sign(4, [8; 32]);
    other.add(witness().cosign(&checkpoint, NOON));
    assert!(matches!(other.cosignatures(&known), Err(NoteError::WrongSignature(_))));
    assert_eq!(other.cosignatures(&[]).unwrap(), []);
}

#[test]
fn a_cosignature_signs_the_message_of_the_specification() {
    let checkpoint = key(1).sign(3, [7; 32]);
    let line = witness().cosign(&checkpoint, NOON);
    let (time, signature) = line.signature.split_first_chunk::<8>().unwrap();
    assert_eq!(u64::from_be_bytes(*time), 1_790_000_000);
    let message = format!("cosignature/v1\ntime 1790000000\n{}", checkpoint.checkpoint().text());
    let public = ed25519_dalek::SigningKey::from_bytes(&[99; 32]).verifying_key();
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    public.verify_strict(message.as_bytes(), &signature).unwrap();
}

/// The worked example of C2SP tlog-cosignature: a checkpoint with the lines of a log and of a witness.
const SPECIFICATION_EXAMPLE: &str = "\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

#[test]
fn the_specifications_example_parses() {
    let note: SignedNote = SPECIFICATION_EXAMPLE.parse().unwrap();
    assert_eq!(note.to_string(), SPECIFICATION_EXAMPLE);
    let [log, witness] = note.signatures() else { panic!("two lines") };
    assert_eq!((log.key_id, log.signature.len()), (0x033d_e0ae, 64));
    assert_eq!((witness.key_id, witness.signature.len()), (0x8d66_cf3f, 72));
    let seconds = u64::from_be_bytes(*witness.signature.first_chunk().unwrap());
    assert_eq!(seconds, 1_679_315_147);
}

#[test]
fn keys_round_trip_and_mistyped_ones_are_refused() {
    let text = key(1).verifier().to_string();
    assert_eq!(text.parse::<VerifierKey>().unwrap(), *key(1).verifier());
    assert_eq!(text.parse::<WitnessVerifierKey>(), Err(KeyError::OtherType));
    let mistyped = text.replacen("eu-central", "eu-centrel", 1);
    assert_eq!(mistyped.parse::<VerifierKey>(), Err(KeyError::WrongHash));
    for wrong in ["", "a+b", "a+00000000+", "+00000000+AQ==", &text[..text.len() - 4], &format!("{text}+")] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?}", key(1)), format!("LogKey({})", origin(1)));
    assert_eq!(format!("{:?}", witness()), "WitnessKey(witness.example/w1)");
}

#[test]
fn a_log_that_grew_is_told_from_one_that_was_rewritten() {
    let hashes: Vec<Hash> = (0..9_u8).map(|leaf| leaf_hash(&[leaf])).collect();
    let sign = |hashes: &[Hash]| {
        let mut frontier = Frontier::new();
        hashes.iter().for_each(|hash| frontier.append(*hash));
        key(1).sign(frontier.size(), frontier.root()).checkpoint().clone()
    };
    let (earlier, later) = (sign(&hashes[..5]), sign(&hashes));
    let proof = consistency_proof(&LeafHashes(&hashes), 5, 9).unwrap();
    later.verify_growth(&earlier, &proof).unwrap();
    let foreign = Checkpoint { origin: origin(2), ..earlier.clone() };
    assert_eq!(later.verify_growth(&foreign, &proof), Err(InvalidProof::Inconsistent));

    let mut rewritten = hashes.clone();
    rewritten[2] = leaf_hash(b"other");
    let proof = consistency_proof(&LeafHashes(&rewritten), 5, 9).unwrap();
    assert_eq!(sign(&rewritten).verify_growth(&earlier, &proof), Err(InvalidProof::Inconsistent));
    assert!(matches!(earlier.verify_growth(&later, &[]), Err(InvalidProof::NotEarlier { .. })));
}

proptest! {
    #[test]
    fn an_independent_implementation_reads_what_we_sign(size: u64, root: [u8; 32], seed: [u8; 32]) {
        let log = LogKey::from_seed(origin(1), &SecretBytes::take(&mut seed.clone()));
        let mut checkpoint = log.sign(size, root);
        checkpoint.add(witness().cosign(&checkpoint, NOON));

        let verifier = StandardVerifier::new(&log.verifier().to_string()).unwrap();
        let note = Note::from_bytes(checkpoint.to_string().as_bytes()).unwrap();
        let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        prop_assert_eq!((verified.len(), unverified.len()), (1, 1));
        let theirs = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        prop_assert_eq!((theirs.size(), theirs.hash().0), (size, root));
        prop_assert_eq!(theirs.origin(), origin(1).to_string());
    }

    #[test]
    fn we_read_what_an_independent_implementation_signs(text in "[a-z]{1,20}(\n[a-z]{0,9}){0,3}\n", seed: [u8; 32]) {
        let name = "log.example/7";
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let id = signed_note::key_id(name, &[&[1], public.as_bytes().as_slice()].concat());
        let signer = {
            use base64::Engine;
            let secret = [&[1], seed.as_slice()].concat();
            let secret = base64::engine::general_purpose::STANDARD.encode(secret);
            signed_note::StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{secret}")).unwrap()
        };
        let mut theirs = Note::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let theirs = String::from_utf8(theirs.to_bytes()).unwrap();

        let ours: SignedNote = theirs.parse().unwrap();
        let key = VerifierKey::new(name.parse().unwrap(), public);
        prop_assert_eq!(ours.verify(&key), Ok(()));
        prop_assert_eq!(ours.text(), text);
        prop_assert_eq!(ours.to_string(), theirs);
    }

    #[test]
    fn outside_text_never_panics(text in "(?s).{0,200}", lines in "[— +/a-z0-9=\n]{0,200}") {
        for text in [&text, &lines] {
            let _ = text.parse::<SignedNote>();
            let _ = text.parse::<VerifierKey>();
            let _ = text.parse::<WitnessVerifierKey>();
            let _ = text.parse::<SignatureLine>();
            let _ = text.parse::<Origin>();
            let _ = Checkpoint::parse(text);
            let _ = SignedCheckpoint::open(text, key(1).verifier());
        }
    }

    #[test]
    fn both_implementations_accept_the_same_notes(at in 0_usize..400, with in "[— \n+a\u{0}=]") {
        let mut text: Vec<char> = SPECIFICATION_EXAMPLE.chars().collect();
        let at = at % text.len();
        text[at] = with.chars().next().unwrap();
        let text: String = text.into_iter().collect();
        let (ours, theirs) = (text.parse::<SignedNote>(), Note::from_bytes(text.as_bytes()));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn a_changed_letter_is_never_a_good_checkpoint(at in 0_usize..400, with in any::<char>()) {
        let good = key(1).sign(3, [7; 32]).to_string();
        let mut letters: Vec<char> = good.chars().collect();
        let at = at % letters.len();
        prop_assume!(letters[at] != with);
        letters[at] = with;
        let changed: String = letters.into_iter().collect();
        prop_assert!(SignedCheckpoint::open(&changed, key(1).verifier()).is_err());
    }
}
