//! What can be done to a file of evidence, tried on an honest one.

use super::{About, Count, EvidenceFault, Findings, Line, RESOURCE, Report, ReportFault, SIGN, Server};
use super::{Verdict, Vouched, check};
use crate::event::{Actor, ActorKind, AuthMethod, Draft, Outcome, Position, Resource, seal};
use crate::merkle::{LeafHashes, inclusion_proof, leaf_hash, root};
use crate::note::{LogKey, Origin, SignedCheckpoint};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use env::{Env, Timestamp};
use ids::{Id as _, TenantId};
use proptest::prelude::*;
use secret::SecretBytes;

const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn key(seed: u8) -> LogKey {
    let origin = Origin { tenant: TenantId::from_bytes([0; 16]), region: "local".parse().unwrap(), epoch: 1 };
    LogKey::from_seed(origin, &SecretBytes::take(&mut [seed; 32]))
}

fn about() -> About {
    About {
        version: "0.1.0".into(),
        description: "ab".repeat(32),
        url: "http://127.0.0.1:7070/".into(),
        server: Server::Given,
        log: true,
        data: false,
        started_at: NOON,
        finished_at: NOON,
    }
}

fn held(attack: &str) -> Line {
    let (operation, place) = ("GET /v1/me".to_owned(), "credential".to_owned());
    Line::Held { operation, place, attack: attack.into() }
}

fn leak(attack: &str) -> Line {
    let (operation, place) = ("GET /v1/me".to_owned(), "credential".to_owned());
    Line::Leak { operation, place, attack: attack.into(), detail: "it was let in".into() }
}

fn unattacked(attack: &str) -> Line {
    let (operation, place) = ("GET /v1/me".to_owned(), "credential".to_owned());
    Line::Unattacked { operation, place, attack: attack.into(), reason: "no control".into() }
}

/// A log with an event of this report as its third, and the file.
fn file(report: &Report, hash: &str, result: Outcome) -> String {
    let (env, _) = Env::fixed(NOON, 1);
    let key = key(3);
    let mut position = Position::start(key.origin().clone());
    let mut leaves = Vec::new();
    for resource in ["other", "more", hash, "last"] {
        let (kind, id) = (ActorKind::Operator, "key_1".to_owned());
        let actor = Actor { auth: AuthMethod::OperatorKey, id, kind, on_behalf_of: vec![] };
        let resource = Resource { id: resource.into(), kind: RESOURCE.into() };
        let sealed = seal(Draft::new(actor, SIGN, resource, result), &position, &env).unwrap();
        position.advance(sealed.leaf_hash);
        leaves.push(sealed.leaf);
    }
    let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let nodes = LeafHashes(&hashes);
    let proof = inclusion_proof(&nodes, 2, 4).unwrap();
    let vouched = Vouched {
        findings: Findings::of(report, NOON, 2).signed(&key).unwrap(),
        index: 2,
        leaf: String::from_utf8(leaves[2].clone()).unwrap(),
        hashes: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: key.sign(4, root(&nodes, 4).unwrap()).to_string(),
    };
    format!("{}{}", report.text(), vouched.line())
}

fn good() -> String {
    let report = Report::new(about(), vec![held("b"), held("a")]);
    file(&report, &report.hash(), Outcome::Success)
}

#[test]
fn an_honest_file_is_good_and_says_what_it_says() {
    let checked = check(&good(), key(3).verifier(), &[]).unwrap();
    assert_eq!(checked.findings.verdict(), Verdict::Held);
    let count = Count { patterns: 2, leaks: 0, unattacked: 0, not_offered: 0 };
    assert_eq!((checked.findings.count, checked.report.about), (count, about()));
    assert!(matches!(check(&good(), key(4).verifier(), &[]), Err(EvidenceFault::Findings(_))));
}

#[test]
fn every_changed_byte_is_refused() {
    let good = good();
    for at in 0..good.len() {
        for with in [b'0', b'z', b' ', b'\n'] {
            let mut bytes = good.clone().into_bytes();
            if bytes[at] == with || !bytes[at].is_ascii() {
                continue;
            }
            bytes[at] = with;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(check(&changed, key(3).verifier(), &[]).is_err(), "byte {at} as {with}");
        }
        if good.is_char_boundary(at) {
            assert!(check(&good[..at], key(3).verifier(), &[]).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn a_report_says_what_its_lines_add_up_to_and_nothing_better() {
    let report = Report::new(about(), vec![held("a"), unattacked("b"), held("c")]);
    assert_eq!(Findings::of(&report, NOON, 0).verdict(), Verdict::Incomplete);
    assert_eq!(Report::read(report.text()), Ok(report.clone()));
    for (from, to) in [("\"unattacked\":1", "\"unattacked\":0"), ("\"patterns\":2", "\"patterns\":3")] {
        let better = report.text().replacen(from, to, 1);
        assert!(matches!(Report::read(&better), Err(ReportFault::Count { .. })), "{better}");
    }
    // Without the line, its number is wrong; with the number, too, it is another report.
    let without: String =
        report.text().split_inclusive('\n').filter(|line| !line.contains("no control")).collect();
    assert!(matches!(Report::read(&without), Err(ReportFault::Count { .. })));
    let leaked = Report::new(about(), vec![held("a"), leak("a"), unattacked("a"), unattacked("b")]);
    assert_eq!((leaked.count.leaks, leaked.count.unattacked, leaked.count.patterns), (1, 1, 1));
    assert_eq!(Findings::of(&leaked, NOON, 0).verdict(), Verdict::Leaked);
    assert_eq!(Findings::of(&Report::new(about(), vec![]), NOON, 0).verdict(), Verdict::Incomplete);
    // A pattern counts once.
    let twice = report.text().replacen("\"c\"", "\"a\"", 1);
    assert_eq!(Report::read(&twice), Err(ReportFault::Order(4)));
}

#[test]
fn the_log_has_to_have_an_event_of_the_very_report() {
    let report = Report::new(about(), vec![held("a")]);
    let of_another = file(&report, "sha256:00", Outcome::Success);
    assert!(matches!(check(&of_another, key(3).verifier(), &[]), Err(EvidenceFault::OtherEvent)));
    let refused = file(&report, &report.hash(), Outcome::Failure);
    assert!(matches!(check(&refused, key(3).verifier(), &[]), Err(EvidenceFault::OtherEvent)));
    // The findings of one report under another.
    let other = Report::new(about(), vec![held("b")]);
    let text = file(&report, &report.hash(), Outcome::Success);
    let last = text.lines().last().unwrap();
    let spliced = format!("{}{last}\n", other.text());
    assert!(matches!(check(&spliced, key(3).verifier(), &[]), Err(EvidenceFault::OtherReport)));
}

#[test]
fn findings_are_no_checkpoint_and_a_log_s_name_is_no_text_to_sign() {
    let report = Report::new(about(), vec![held("a")]);
    let note = Findings::of(&report, NOON, 0).signed(&key(3)).unwrap();
    assert!(SignedCheckpoint::open(&note, key(3).verifier()).is_err());
    let text = key(3).sign(1, [0; 32]).checkpoint().text();
    assert!(key(3).sign_text(text).is_err());
}

proptest! {
    #[test]
    fn outside_text_never_panics(text in "(?s).{0,300}", lines in "[{}\":,a-z_0-9\n]{0,300}") {
        for text in [&text, &lines] {
            let _ = Report::read(text);
            let _ = check(text, key(3).verifier(), &[]);
        }
    }
}
