//! The commands as a person at a terminal, or a script, has them: what they say and how they end.

use crate::harness::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_demonstration_shows_runs_usage_logs_and_no_leak_and_what_it_left_can_be_checked() {
    let folder = TempDir::new().unwrap();
    let shown = tenantry(&["demo", "--exit", "--data", text(folder.path())]);
    let screen = said(&shown);
    assert_eq!(code(&shown), 0, "{screen}{}", String::from_utf8_lossy(&shown.stderr));
    assert_eq!(screen.matches("succeeded").count(), 6, "{screen}");
    for line in [
        "sent, try 2",
        "Acme's token at Globex's address: 401",
        "exactly those that its log signed",
        ": 0 leaks",
    ] {
        assert!(screen.contains(line), "`{line}` is missing:\n{screen}");
    }
    // A pipe gets neither colours nor lines that a terminal would not hold.
    assert!(!screen.contains('\u{1b}'));
    let long: Vec<_> = screen.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");

    let (log, key) = (folder.path().join("acme.jsonl"), folder.path().join("acme.vkey"));
    let checked = tenantry(&["audit", "verify", text(&log), "--vkey", text(&key)]);
    assert_eq!(code(&checked), 0);
    assert!(said(&checked).contains("No outside witness is seen"));
    let lines = fs::read_to_string(&log).unwrap();
    fs::write(&log, lines.replacen("success", "failure", 1)).unwrap();
    let checked = tenantry(&["audit", "verify", text(&log), "--vkey", text(&key), "--json"]);
    assert_eq!(code(&checked), 1);
    let told: serde_json::Value = serde_json::from_str(&said(&checked)).unwrap();
    assert_eq!(told["verified"], false);
    let other = folder.path().join("globex.vkey");
    assert_eq!(code(&tenantry(&["audit", "verify", text(&log), "--vkey", text(&other)])), 1);

    // The master key is rotated while the server is stopped, and then again by mistake.
    let data = folder.path().join("data");
    let (new, old) = (folder.path().join("new.key"), data.join("master.key"));
    fs::write(&new, "8f1c0a5be2d94763a1f00c7d5e9b38246fd1c3a7902e4b58d6137fe0a94c2b61\n").unwrap();
    fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let rotate = |more: &[&str]| {
        let mut all = vec!["keys", "rotate", "--folder", text(&data), "--master-key-file", text(&new)];
        all.extend(["--previous-master-key-file", text(&old), "--json"]);
        all.extend(more);
        tenantry(&all)
    };
    assert_eq!(code(&rotate(&["--data", "ten_1"])), 2);
    let tenants = |output: &Output| {
        serde_json::from_str::<serde_json::Value>(&said(output)).unwrap()["tenants"].clone()
    };
    // Both tenants, and the operators' log.
    let rotated = rotate(&[]);
    assert_eq!((code(&rotated), tenants(&rotated)), (0, 3.into()));
    assert_eq!(tenants(&rotate(&[])), 0);
}

#[test]
fn what_cannot_run_ends_with_two_and_says_why() {
    let folder = TempDir::new().unwrap();
    let nowhere = text(folder.path()).to_owned() + "/nowhere";
    for (arguments, why) in [
        (&["worker", "--data", &nowhere][..], "inside `tenantry serve`"),
        (&["audit", "verify", &nowhere, "--vkey", "nonsense"], "verifier key"),
        (&["tenants", "--operator-key-file", &nowhere, "list"], "cannot be read"),
        (&["verify", "--evidence", "/nowhere/x"], "/nowhere/x"),
        (&["verify", "--check", "x"], "--vkey"),
        (&["verify", "--check", &nowhere, "--vkey", "nonsense"], "verifier key"),
        (&["keys", "rotate", "--data", "ten_1"], "--operator-key-file"),
        (&["keys", "rotate", "--operator-key-file", &nowhere], "--folder"),
        (&["verify", "--url", "http://127.0.0.1:1"], "--operator-key-file"),
    ] {
        let output = tenantry(arguments);
        let complaint = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {complaint}");
        assert!(complaint.contains(why), "{arguments:?}: {complaint}");
    }
}

#[test]
fn the_doctor_tells_good_from_bad() {
    let folder = TempDir::new().unwrap();
    let data = text(folder.path());
    let fresh = tenantry(&["doctor", "--data", data]);
    assert_eq!(code(&fresh), 0, "{}", said(&fresh));
    fs::write(folder.path().join("operator.key"), "op_x").unwrap();
    fs::set_permissions(
        folder.path().join("operator.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let open = tenantry(&["doctor", "--data", data, "--json"]);
    assert_eq!(code(&open), 1);
    assert!(said(&open).contains("others may read"));
}

#[tokio::test]
async fn a_backup_goes_into_a_file_and_back() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let folder = TempDir::new().unwrap();
    let (file, key) = (folder.path().join("acme"), server.folder().join("operator.key"));
    let as_operator = |command: &str, rest: &[&str]| {
        let who = [command, "--url", server.operator.base().as_str(), "--operator-key-file", text(&key)];
        tenantry(&[&who, rest].concat())
    };
    let made = as_operator("backup", &[&tenant.id, "--out", text(&file), "--json"]);
    assert_eq!(code(&made), 0, "{}", String::from_utf8_lossy(&made.stderr));
    let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(told["bytes"].as_u64(), Some(fs::metadata(&file).unwrap().len()));
    tenant.owner.delete(&record).await.unwrap();
    let restored = as_operator("restore", &[&tenant.id, text(&file)]);
    assert_eq!(code(&restored), 0, "{}", String::from_utf8_lossy(&restored.stderr));
    tenant.owner.get(&record).await.unwrap();
    // It is older than the restore by now.
    assert_eq!(code(&as_operator("restore", &[&tenant.id, text(&file)])), 1);
    let missing = folder.path().join("missing");
    let unknown = as_operator("backup", &["ten_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--out", text(&missing)]);
    assert_eq!((code(&unknown), missing.exists()), (2, false));
}

#[tokio::test]
async fn one_event_s_proof_is_verified_and_another_tenant_s_is_refused() {
    let server = crate::harness::Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut files = Vec::new();
    for (name, who) in [("acme", &tenant), ("other", &other)] {
        who.record().await;
        let key = crate::harness::send(&who.owner, http::Method::GET, "/v1/audit/key").await;
        let proof = who.owner.get("/v1/audit/proof?index=1").await.unwrap();
        let key = write(&format!("{name}.vkey"), &key.text());
        files.push((write(&format!("{name}.proof"), &proof.to_string()), key));
    }
    let (proof, key) = &files[0];
    let verify = |proof: &std::path::Path, more: &[&str]| {
        let usual = ["audit", "verify", "--proof", text(proof), "--vkey", text(key), "--json"];
        let checked = tenantry(&[&usual, more].concat());
        (code(&checked), said(&checked))
    };
    let (ended, told) = verify(proof, &[]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((ended, &told["verified"], &told["proof"]["index"]), (0, &true.into(), &1.into()));
    // Another tenant's proof is refused, also when it comes with this tenant's checkpoint or with its leaf.
    assert_eq!(verify(&files[1].0, &[]).0, 1);
    let read = |path: &std::path::Path| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let (mine, theirs) = (read(proof), read(&files[1].0));
    for member in ["leaf", "hashes", "checkpoint"] {
        let mut spliced = theirs.clone();
        spliced[member] = mine[member].clone();
        assert_eq!(verify(&write("spliced", &spliced.to_string()), &[]).0, 1, "{member}");
    }
    assert_eq!(verify(&write("no-proof", "{}"), &[]).0, 2);
    // A witness whose key is given and who did not cosign is none.
    let witness = audit::note::WitnessKey::from_seed(
        "witness.example/w1".parse().unwrap(),
        &secret::SecretBytes::take(&mut [9; 32]),
    );
    let (ended, told) = verify(proof, &["--witness", &witness.verifier().to_string()]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((ended, &told["witnessed"]), (0, &false.into()));
    assert_eq!(verify(proof, &["--witness", "nonsense"]).0, 2);
    // One who did is seen.
    let mut signed = audit::note::SignedCheckpoint::open(
        mine["checkpoint"].as_str().unwrap(),
        &fs::read_to_string(key).unwrap().trim().parse().unwrap(),
    )
    .unwrap();
    signed.add(witness.cosign(&signed, env::Timestamp::from_millis(1_790_000_100_000)));
    let mut cosigned = mine.clone();
    cosigned["checkpoint"] = signed.to_string().into();
    let (ended, told) =
        verify(&write("cosigned", &cosigned.to_string()), &["--witness", &witness.verifier().to_string()]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((ended, &told["witnessed"]), (0, &true.into()), "{told}");
}
