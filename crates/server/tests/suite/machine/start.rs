//! When a server refuses to start, it says why and touches nothing.

use crate::harness::Server;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Every file below a folder with its content. What two processes share while they run is left out.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.to_str().unwrap().ends_with("-shm") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Starts a server that has to refuse; gives back what it says.
fn refuses(folder: &Path, more: &[&str]) -> String {
    let before = files(folder);
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(files(folder), before);
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_second_server_on_the_folder_refuses_and_touches_nothing() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = tenant.record().await;
    let said = refuses(server.folder(), &[]);
    assert!(said.contains("another server is using the data folder"), "{said}");
    tenant.owner.get(&format!("/v1/records/contacts/{record}")).await.unwrap();
}

#[tokio::test]
async fn a_wrong_or_missing_master_key_refuses_and_touches_nothing() {
    let mut server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = tenant.record().await;
    server.kill();
    let elsewhere = TempDir::new().unwrap();
    let wrong = elsewhere.path().join("wrong.key");
    std::fs::write(&wrong, format!("{}\n", "5a".repeat(32))).unwrap();
    std::fs::set_permissions(&wrong, PermissionsExt::from_mode(0o600)).unwrap();
    let said = refuses(server.folder(), &["--master-key-file", wrong.to_str().unwrap()]);
    assert!(said.contains("master key"), "{said}");
    let gone = elsewhere.path().join("gone.key");
    let said = refuses(server.folder(), &["--master-key-file", gone.to_str().unwrap()]);
    assert!(said.contains(gone.to_str().unwrap()), "{said}");
    let own = server.folder().join("master.key");
    std::fs::rename(&own, &gone).unwrap();
    let said = refuses(server.folder(), &[]);
    assert!(said.contains("master key"), "{said}");
    std::fs::write(&own, "not a key\n").unwrap();
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o600)).unwrap();
    let said = refuses(server.folder(), &[]);
    assert!(said.contains("master key"), "{said}");
    std::fs::rename(&gone, &own).unwrap();
    server.start_again();
    tenant.owner_at(&server).get(&format!("/v1/records/contacts/{record}")).await.unwrap();
}
