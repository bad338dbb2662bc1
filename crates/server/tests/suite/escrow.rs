//! The master key is lost with its machine, and comes back from shares: the data opens again.

use crate::harness::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_lost_master_key_comes_back_from_shares_and_opens_the_data() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let key = server.folder().join("master.key");
    let (out, secret) = (folder.path().join("shares"), fs::read_to_string(&key).unwrap());
    let split = |threshold: &str| {
        let usual = ["keys", "split", "--master-key-file", text(&key), "--out", text(&out)];
        tenantry(&[&usual[..], &["--shares", "5", "--threshold", threshold, "--json"]].concat())
    };
    assert_eq!(split("6").status.code(), Some(2));
    let made = split("3");
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let shares: Vec<&str> =
        told["shares"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(shares.len(), 5);
    // Neither the key nor what a share holds is printed, and a second splitting is not mixed with the first.
    let said = [made.stdout.clone(), made.stderr.clone()].concat();
    let said = String::from_utf8(said).unwrap();
    for share in &shares {
        let value = fs::read_to_string(share).unwrap();
        assert!(!value.contains(secret.trim()) && !said.contains(value.trim()));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(share).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(!said.contains(secret.trim()));
    assert_eq!(split("3").status.code(), Some(2));

    let recover =
        |shares: &[&str], out: &Path| tenantry(&[&["keys", "recover", "--out", text(out)], shares].concat());
    let back = folder.path().join("back.key");
    let few = recover(&shares[..2], &back);
    assert_eq!((few.status.code(), back.exists()), (Some(2), false));
    assert!(String::from_utf8_lossy(&few.stderr).contains("it takes 3"));

    // The key is gone; without it the server does not start, with the one that came back it has the record.
    server
        .stop_and_change(|data| {
            fs::remove_file(data.join("master.key")).unwrap();
            let recovered = recover(&[shares[4], shares[0], shares[2]], &data.join("master.key"));
            assert_eq!(recovered.status.code(), Some(0), "{}", String::from_utf8_lossy(&recovered.stderr));
        })
        .await;
    assert_eq!(fs::read_to_string(server.folder().join("master.key")).unwrap(), secret);
    server.operator.get("/v1/tenants").await.unwrap();
    let owner = server.operator.with_key(tenant.owner.key().unwrap().clone());
    owner.get(&record).await.unwrap();
}
