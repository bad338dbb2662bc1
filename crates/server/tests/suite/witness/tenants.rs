//! A tenant's auditor, the server and a witness: the tenant's log is cosigned as it grows, and a log that was cut off or
//! forked is refused, which the auditor sees.

use super::{Witness, copy, roll_back, watch};
use crate::harness::{Server, Tenant, send, send_json};
use audit::note::{SignedCheckpoint, VerifierKey};
use http::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a command of the auditor's ended with, and what it said.
fn tenantry(arguments: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    let output = command.args(arguments).arg("--json").stdin(Stdio::null()).output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), said, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Shows the log that the key in this file reads to the witness.
fn cosign(server: &Server, folder: &Path, key: &str, witness: &Witness) -> (i32, Value, String) {
    let text = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (url, to, by) = (server.operator.base(), witness.client.base(), witness.key.to_string());
    let (url, to, key) = (url.to_string(), to.to_string(), text(key));
    tenantry(&[
        "audit",
        "cosign",
        "--url",
        &url,
        "--key-file",
        &key,
        "--vkey",
        &text("log.vkey"),
        "--witness-url",
        &to,
        "--witness",
        &by,
        "--out",
        &text("cosigned"),
    ])
}

/// A key of the tenant's in a file.
async fn key_file(folder: &Path, name: &str, tenant: &Tenant, body: Value) {
    let made = tenant.owner.post("/v1/api-keys", &body).await.unwrap();
    fs::write(folder.join(name), made["key"].as_str().unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_log_that_was_cut_off_or_forked_is_refused_and_its_auditor_sees_it() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    // All that the auditor has: a key that reads the log and nothing else, and the log's key, pinned once.
    let auditor = json!({"name": "auditor", "role": "admin", "scopes": ["audit:read"]});
    key_file(folder.path(), "auditor.key", &tenant, auditor.clone()).await;
    key_file(folder.path(), "other.key", &other, auditor).await;
    key_file(folder.path(), "viewer.key", &tenant, json!({"name": "viewer", "role": "viewer"})).await;
    let key = send(&tenant.owner, Method::GET, "/v1/audit/key").await.text().trim().to_owned();
    fs::write(folder.path().join("log.vkey"), &key).unwrap();
    let key: VerifierKey = key.parse().unwrap();
    watch(folder.path(), &key);
    let witness = Witness::start(folder.path(), "127.0.0.1:0");
    let shown = |server: &Server, file: &str| cosign(server, folder.path(), file, &witness);

    let (code, early, complaint) = shown(&server, "auditor.key");
    assert_eq!((code, &early["cosigned"]), (0, &json!(true)), "{early} {complaint}");
    // Neither another tenant's log nor a key that may not read it is taken for it.
    let (code, said, _) = shown(&server, "other.key");
    assert_eq!((code, &said["conflict"]), (1, &json!("not_signed")), "{said}");
    let (code, _, complaint) = shown(&server, "viewer.key");
    assert!(code == 2 && complaint.contains("forbidden"), "{code} {complaint}");

    // The folder as it was, then a longer log that the witness sees, too.
    let old = TempDir::new().unwrap();
    server.stop_and_change(|data| copy(data, old.path())).await;
    let grow = async |server: &Server, note: &str| {
        let owner = tenant.owner_at(server);
        for number in 0..6 {
            let record = json!({"note": format!("{note} {number}")});
            let made = send_json(&owner, Method::POST, "/v1/records/contacts", &record).await;
            made.accepted().unwrap();
        }
    };
    grow(&server, "first").await;
    let (code, late, complaint) = shown(&server, "auditor.key");
    assert_eq!(code, 0, "{late} {complaint}");
    assert!(late["size"].as_u64() > early["size"].as_u64(), "{early} {late}");
    let kept = fs::read_to_string(folder.path().join("cosigned")).unwrap();
    let opened = SignedCheckpoint::open(&kept, &key).unwrap();
    assert_eq!(opened.cosignatures(std::slice::from_ref(&witness.key)).unwrap().len(), 1);
    check_export(&server, folder.path(), &witness);

    // Cut off.
    server.stop_and_change(|data| roll_back(data, old.path())).await;
    let (code, said, complaint) = shown(&server, "auditor.key");
    assert_eq!((code, &said["conflict"]), (1, &json!("rolled_back")), "{said} {complaint}");
    assert!(said["size"].as_u64() < late["size"].as_u64(), "{said}");
    assert_eq!(fs::read_dir(folder.path().join("state/conflicts")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(folder.path().join("cosigned")).unwrap(), kept, "what was cosigned stays");

    // And grown again beyond what was cosigned.
    grow(&server, "second").await;
    grow(&server, "third").await;
    let (code, said, complaint) = shown(&server, "auditor.key");
    assert_eq!((code, &said["conflict"]), (1, &json!("forked")), "{said} {complaint}");
    assert!(said["size"].as_u64() > late["size"].as_u64(), "{said}");
    // Also for an auditor who lost what was cosigned: the witness knows.
    fs::remove_file(folder.path().join("cosigned")).unwrap();
    let (code, said, _) = shown(&server, "auditor.key");
    assert_eq!((code, &said["conflict"]), (1, &json!("forked")), "{said}");
}

/// An export is checked against what the witness cosigned, and against nothing it is not witnessed.
fn check_export(server: &Server, folder: &Path, witness: &Witness) {
    let text = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (file, url, by) = (text("log.jsonl"), server.operator.base().to_string(), witness.key.to_string());
    let (code, _, complaint) =
        tenantry(&["audit", "export", "--url", &url, "--key-file", &text("auditor.key"), "--out", &file]);
    assert_eq!(code, 0, "{complaint}");
    let (vkey, cosigned) = (text("log.vkey"), text("cosigned"));
    let check = ["audit", "verify", &file, "--vkey", &vkey, "--witness", &by, "--require-witnesses"];
    let (code, said, _) = tenantry(&check);
    assert_eq!((code, &said["code"]), (1, &json!("not_witnessed")), "{said}");
    let (code, said, _) = tenantry(&[&check[..], &["--checkpoint", &cosigned]].concat());
    assert_eq!((code, &said["witnessed"]), (0, &json!(true)), "{said}");
    assert_eq!(said["report"]["earlier_witnesses"].as_array().unwrap().len(), 1, "{said}");
}
