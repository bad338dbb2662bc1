//! What a witness cosigns and what it refuses, by the statuses of the standard.

use crate::{Config, ConfigError, Refused, StateError, Witness};
use audit::merkle::{Frontier, Hash, LeafHashes, consistency_proof, leaf_hash};
use audit::note::{
    AddCheckpoint as Request, AddCheckpointError as RequestError, LogKey, Origin, SignedCheckpoint,
    WitnessVerifierKey,
};
use env::{Env, Timestamp};
use ids::{Id as _, TenantId};
use secret::SecretBytes;
use std::fs;
use tempfile::TempDir;

fn log(seed: u8) -> LogKey {
    let tenant = TenantId::from_parts(1_790_000_000_000, [seed; 10]);
    let origin = Origin { tenant, region: "local".parse().unwrap(), epoch: 1 };
    LogKey::from_seed(origin, &SecretBytes::take(&mut [seed; 32]))
}

fn env() -> Env {
    Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1).0
}

fn config() -> Config {
    let log = log(1);
    let text = format!(
        "name = \"witness.example/w1\"\n[[log]]\norigin = \"{}\"\nvkey = \"{}\"\n",
        log.origin(),
        log.verifier()
    );
    Config::read(&text).unwrap()
}

fn leaves(count: usize, history: u8) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&[u8::try_from(number).unwrap(), history])).collect()
}

fn signed(key: &LogKey, hashes: &[Hash]) -> SignedCheckpoint {
    let mut frontier = Frontier::new();
    hashes.iter().for_each(|hash| frontier.append(*hash));
    key.sign(frontier.size(), frontier.root())
}

fn request(key: &LogKey, old: usize, hashes: &[Hash]) -> Request {
    let proof = consistency_proof(&LeafHashes(hashes), old as u64, hashes.len() as u64).unwrap_or_default();
    Request { old: old as u64, proof, checkpoint: signed(key, hashes).to_string() }
}

fn status(outcome: &Result<String, Refused>) -> u16 {
    outcome.as_ref().map_or_else(Refused::status, |_| 200)
}

#[test]
fn what_grew_is_cosigned_and_the_cosignature_holds() {
    let folder = TempDir::new().unwrap();
    let witness = Witness::open(&config(), folder.path(), env()).unwrap();
    let mut old = 0;
    for size in [0, 1, 5, 5, 8] {
        let request = request(&log(1), old, &leaves(size, 0));
        let line = witness.add_checkpoint(&request.text()).unwrap();
        let cosigned = format!("{}{line}", request.checkpoint);
        let opened = SignedCheckpoint::open(&cosigned, log(1).verifier()).unwrap();
        assert_eq!(opened.cosignatures(&[witness.verifier().clone()]).unwrap().len(), 1);
        old = size;
    }
}

#[test]
fn every_other_checkpoint_has_its_status() {
    let folder = TempDir::new().unwrap();
    let witness = Witness::open(&config(), folder.path(), env()).unwrap();
    let add = |request: &Request| status(&witness.add_checkpoint(&request.text()));
    let good = request(&log(1), 0, &leaves(5, 0));
    // A proof where there is nothing to prove, and a tree of nothing whose root is another.
    assert_eq!(add(&Request { proof: vec![[0; 32]], ..good.clone() }), 422);
    let empty = log(1).sign(0, [7; 32]).to_string();
    assert_eq!(add(&Request { old: 0, proof: vec![], checkpoint: empty }), 409);
    assert_eq!(add(&good), 200);

    assert_eq!(add(&request(&log(2), 0, &leaves(5, 0))), 404, "a log that is not watched");
    let by_another = LogKey::from_seed(log(1).origin().clone(), &SecretBytes::take(&mut [9; 32]));
    assert_eq!(add(&request(&by_another, 5, &leaves(6, 0))), 403, "another key of the same name");
    let unsigned = good.checkpoint.replacen("\n5\n", "\n6\n", 1);
    assert_eq!(add(&Request { checkpoint: unsigned, ..good.clone() }), 403, "a changed size");
    assert_eq!(add(&Request { old: 6, ..good.clone() }), 400, "an old size above the checkpoint's");
    for stale in [request(&log(1), 0, &leaves(8, 0)), request(&log(1), 4, &leaves(8, 0))] {
        assert!(matches!(witness.add_checkpoint(&stale.text()), Err(Refused::Conflict(5))));
    }
    assert_eq!(add(&request(&log(1), 5, &leaves(8, 1))), 422, "a fork");
    let mut without = request(&log(1), 5, &leaves(8, 0));
    without.proof.pop();
    assert_eq!(add(&without), 422, "a proof that is cut");
    assert_eq!(add(&request(&log(1), 5, &leaves(5, 1))), 409, "the same size with another root");
    assert_eq!(add(&request(&log(1), 3, &leaves(3, 0))), 409, "fewer events");
    // None of it moved the witness.
    assert_eq!(add(&request(&log(1), 5, &leaves(8, 0))), 200);
    // What the log's own signature shows is kept: the other root, the smaller log.
    assert_eq!(fs::read_dir(folder.path().join("conflicts")).unwrap().count(), 3 - 1);
}

/// The log of the same key in this epoch, as a server of this generation signs it.
fn log_in(epoch: u64, generation: u64) -> LogKey {
    let origin = Origin { epoch, ..log(1).origin().clone() };
    LogKey::from_seed(origin, &SecretBytes::take(&mut [1; 32])).of_generation(generation)
}

#[test]
fn a_server_that_was_followed_by_another_is_refused_for_ever() {
    let folder = TempDir::new().unwrap();
    let witness = Witness::open(&config(), folder.path(), env()).unwrap();
    let add = |witness: &Witness, request: &Request| status(&witness.add_checkpoint(&request.text()));
    assert_eq!(add(&witness, &request(&log(1), 0, &leaves(5, 0))), 200);
    // The log of the next generation is not watched, and another's of the same name is none of this key's.
    let stranger = Origin { epoch: 2, ..log(1).origin().clone() };
    let stranger = LogKey::from_seed(stranger, &SecretBytes::take(&mut [9; 32])).of_generation(7);
    assert_eq!(add(&witness, &request(&stranger, 0, &leaves(1, 1))), 404);
    assert_eq!(add(&witness, &request(&log(1), 5, &leaves(6, 0))), 200);
    assert_eq!(add(&witness, &request(&log_in(2, 2), 0, &leaves(1, 1))), 404);
    let refused = witness.add_checkpoint(&request(&log(1), 6, &leaves(8, 0)).text());
    assert!(matches!(refused, Err(Refused::Superseded { generation: 1, seen: 2 })), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path().join("conflicts")).unwrap().count(), 1);
    drop(witness);
    // Also after a start of the witness, and once it watches the log that followed.
    let next = log_in(2, 2);
    let both = format!(
        "name = \"witness.example/w1\"\n[[log]]\norigin = \"{}\"\nvkey = \"{}\"\n[[log]]\norigin = \"{}\"\nvkey = \"{}\"\n",
        log(1).origin(),
        log(1).verifier(),
        next.origin(),
        next.verifier()
    );
    let witness = Witness::open(&Config::read(&both).unwrap(), folder.path(), env()).unwrap();
    assert_eq!(add(&witness, &request(&log(1), 6, &leaves(8, 0))), 403);
    assert_eq!(add(&witness, &request(&next, 0, &leaves(2, 1))), 200);
    assert_eq!(add(&witness, &request(&log_in(2, 3), 2, &leaves(3, 1))), 200);
    assert_eq!(add(&witness, &request(&next, 3, &leaves(4, 1))), 403);
}

#[test]
fn a_later_generation_is_seen_of_the_tenant_and_region_that_it_is_of() {
    let made = |tenant: u8, region: &str, seed: u8, epoch: u64| {
        let tenant = TenantId::from_parts(1_790_000_000_000, [tenant; 10]);
        let origin = Origin { tenant, region: region.parse().unwrap(), epoch };
        LogKey::from_seed(origin, &SecretBytes::take(&mut [seed; 32])).of_generation(epoch)
    };
    // Whichever is looked at first, it is the last that is followed.
    let watched = [made(1, "local", 1, 1), made(2, "elsewhere", 2, 1), made(2, "local", 3, 1)];
    let mut text = "name = \"witness.example/w1\"\n".to_owned();
    for log in &watched {
        text += &format!("[[log]]\norigin = \"{}\"\nvkey = \"{}\"\n", log.origin(), log.verifier());
    }
    let folder = TempDir::new().unwrap();
    let witness = Witness::open(&Config::read(&text).unwrap(), folder.path(), env()).unwrap();
    let add = |request: &Request| status(&witness.add_checkpoint(&request.text()));
    for log in &watched {
        assert_eq!(add(&request(log, 0, &leaves(5, 0))), 200);
    }
    assert_eq!(add(&request(&made(2, "local", 3, 2), 0, &leaves(1, 1))), 404);
    let refused = witness.add_checkpoint(&request(&watched[2], 5, &leaves(8, 0)).text());
    assert!(matches!(refused, Err(Refused::Superseded { generation: 1, seen: 2 })), "{refused:?}");
    for other in &watched[..2] {
        assert_eq!(add(&request(other, 5, &leaves(8, 0))), 200);
    }
}

#[test]
fn bodies_that_are_none_are_malformed() {
    let good = request(&log(1), 0, &leaves(3, 0)).text();
    assert!(Request::read(&good).is_ok());
    for (body, fault) in [
        (String::new(), RequestError::NoCheckpoint),
        (good.replacen("old 0", "old 00", 1), RequestError::OldSize),
        (good.replacen("old 0", "old +0", 1), RequestError::OldSize),
        (good.replacen("old 0", "Old 0", 1), RequestError::OldSize),
        (good.replacen("old 0", "old 0\nnothing", 1), RequestError::Proof),
        (good.replacen("old 0", &format!("old 0{}", "\nAAAA".repeat(2)), 1), RequestError::Proof),
        ("x".repeat(audit::note::MAX_REQUEST_BYTES + 1), RequestError::TooLong),
    ] {
        assert_eq!(Request::read(&body), Err(fault));
    }
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let many =
        |count: usize| good.replacen("old 0", &format!("old 0{}", format!("\n{hash}").repeat(count)), 1);
    assert_eq!(Request::read(&many(63)).unwrap().proof.len(), 63);
    assert_eq!(Request::read(&many(64)), Err(RequestError::Proof));
    assert_eq!(Request::read(&many(2)).unwrap().text(), many(2));
}

#[test]
fn a_witness_remembers_over_a_restart_and_refuses_to_forget() {
    let folder = TempDir::new().unwrap();
    let open = || Witness::open(&config(), folder.path(), env());
    let key: WitnessVerifierKey = {
        let witness = open().unwrap();
        witness.add_checkpoint(&request(&log(1), 0, &leaves(5, 0)).text()).unwrap();
        assert!(matches!(open(), Err(StateError::InUse)));
        witness.verifier().clone()
    };
    {
        let witness = open().unwrap();
        assert_eq!(*witness.verifier(), key);
        let rolled_back = witness.add_checkpoint(&request(&log(1), 0, &leaves(3, 0)).text());
        assert!(matches!(rolled_back, Err(Refused::Conflict(5))));
    }
    let published = fs::read_to_string(folder.path().join("witness.vkey")).unwrap();
    assert_eq!(published.trim(), key.to_string());
    let secret = fs::read_to_string(folder.path().join("witness.key")).unwrap();
    assert_eq!(secret.trim().len(), 64);
    let kept = fs::read_dir(folder.path().join("logs")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replacen("\n5\n", "\n4\n", 1)).unwrap();
    assert!(matches!(open(), Err(StateError::Damaged(_))));
    fs::write(&kept, text).unwrap();
    fs::remove_file(folder.path().join("witness.key")).unwrap();
    assert!(matches!(open(), Err(StateError::KeyGone)));
}

#[test]
fn a_configuration_that_names_a_log_wrongly_is_refused() {
    let (one, other) = (log(1), log(2));
    let of = |origin: &str, vkey: &str| {
        Config::read(&format!("name = \"w\"\n[[log]]\norigin = \"{origin}\"\nvkey = \"{vkey}\"\n"))
    };
    let (origin, vkey) = (one.origin().to_string(), one.verifier().to_string());
    assert!(of(&origin, &vkey).is_ok());
    assert!(matches!(of(&other.origin().to_string(), &vkey), Err(ConfigError::Log { .. })));
    assert!(matches!(of(&origin, "nonsense"), Err(ConfigError::Log { .. })));
    assert!(matches!(Config::read("name = \"a b\""), Err(ConfigError::Name(_))));
    assert!(matches!(Config::read("name = \"a\"\nlogs = 1"), Err(ConfigError::Form(_))));
}
