//! A full disk: what was refused has not happened, nothing that was acknowledged is gone, and it goes on when
//! there is room again. The data folder is on a file system of a few megabytes in a mount namespace of its own.

use client::Client;
use http::Method;
use secret::SecretText;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

use crate::harness::{refusal, send, send_json};

/// A server whose folder is small. `unshare` runs it in place of itself, so its process is the server's.
struct Small {
    process: Child,
    operator: Client,
    /// The folder as it is seen from outside the namespace.
    folder: PathBuf,
    _mount: TempDir,
}

impl Small {
    fn start() -> Self {
        let mount = TempDir::new().unwrap();
        let folder = mount.path().to_str().unwrap();
        let script = format!(
            "mount -t tmpfs -o size=6m tmpfs {folder} && head -c 2m /dev/zero > {folder}/filler &&
             exec {} serve --listen 127.0.0.1:0 --log-filter error --data {folder}/data",
            env!("CARGO_BIN_EXE_tenantry")
        );
        // Whoever is not root needs a user namespace to mount something.
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let user: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
        let mut process = Command::new("unshare")
            .args(user)
            .args(["--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        let folder = PathBuf::from(format!("/proc/{}/root{folder}", process.id()));
        let key = std::fs::read_to_string(folder.join("data/operator.key")).unwrap();
        let operator = Client::new(url.parse().unwrap()).with_key(SecretText::new(key.trim().to_owned()));
        Self { process, operator, folder, _mount: mount }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_ends_with_the_fullness() {
    let server = Small::start();
    let plan = json!({
        "ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": null,
        "concurrent_runs": null, "storage_bytes": null,
    });
    server.operator.put("/v1/plans/unlimited", &plan).await.unwrap();
    let made =
        server.operator.post("/v1/tenants", &json!({"name": "Acme", "plan": "unlimited"})).await.unwrap();
    let key = SecretText::new(made["api_key"]["key"].as_str().unwrap().to_owned());
    let owner = server.operator.with_key(key);
    let body = |number: usize| json!({"number": number, "text": "x".repeat(60_000)});
    let mut stored = Vec::new();
    let mut refused = None;
    for number in 0..200 {
        let answer = send_json(&owner, Method::POST, "/v1/records/contacts", &body(number)).await;
        if answer.status.is_success() {
            stored.push(answer.json()["id"].as_str().unwrap().to_owned());
        } else {
            refused = Some(refusal(&answer));
            break;
        }
    }
    assert_eq!(refused, Some((503, "unavailable".to_owned())), "after {} records", stored.len());
    assert!(!stored.is_empty());
    // The server is up, and nothing that was acknowledged is said not to be there: it is read, or where the file
    // system has not one page left its reader is told to come back.
    assert!(send(&owner, Method::GET, "/healthz").await.status.is_success());
    for id in &stored {
        let answer = send(&owner, Method::GET, &format!("/v1/records/contacts/{id}")).await;
        let code = &answer.json()["code"];
        assert!(answer.status.is_success() || *code == "unavailable", "{}", answer.text());
    }
    std::fs::remove_file(server.folder.join("filler")).unwrap();
    let mut again = send_json(&owner, Method::POST, "/v1/records/contacts", &body(999)).await;
    for _ in 0..100 {
        if again.status.is_success() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        again = send_json(&owner, Method::POST, "/v1/records/contacts", &body(999)).await;
    }
    assert!(again.status.is_success(), "{}", again.text());
    let page = owner.get("/v1/records/contacts?limit=200").await.unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), stored.len() + 1);
    // The log has exactly the events of what happened: one for each record that is there.
    let events = owner.get("/v1/audit/events?action=record.create&limit=500").await.unwrap();
    assert_eq!(events["data"].as_array().unwrap().len(), stored.len() + 1);
}
