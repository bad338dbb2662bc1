//! A server and a witness, two processes: what grew is cosigned, and a log that was rolled back or forked is
//! refused, which the operator sees.

mod tenants;

use crate::harness::{Server, events, send};
use audit::note::{AddCheckpoint, SignedCheckpoint, VerifierKey, WitnessVerifierKey};
use client::Client;
use http::Method;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A witness that ends with the test.
struct Witness {
    process: Child,
    client: Client,
    key: WitnessVerifierKey,
}

impl Witness {
    /// Starts one on this folder; what it logs goes into `folder/log`.
    fn start(folder: &Path, listen: &str) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .args(["witness", "--listen", listen, "--config"])
            .arg(folder.join("witness.toml"))
            .arg("--state")
            .arg(folder.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        let url = line().strip_prefix("listening on ").unwrap().to_owned();
        let key = line().strip_prefix("cosigning as ").unwrap().parse().unwrap();
        Self { process, client: Client::new(url.parse().unwrap()), key }
    }

    async fn add(&self, body: &str) -> client::Answer {
        let call = self.client.call(Method::POST, "/add-checkpoint");
        call.body("text/plain", body.to_owned().into()).send().await.unwrap()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes the witness's configuration: it watches this log.
fn watch(folder: &Path, key: &VerifierKey) {
    let text =
        format!("name = \"witness.example/w1\"\n[[log]]\norigin = \"{}\"\nvkey = \"{key}\"\n", key.name());
    fs::write(folder.join("witness.toml"), text).unwrap();
}

/// Waits until the operator is told this of the witness.
async fn told(server: &Server, what: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let told = server.operator.get("/v1/operator/audit/checkpoint").await.unwrap();
        if what(&told) {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", server.operator.get("/v1/operator/audit/checkpoint").await.unwrap());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// Brings an old copy of the folder back.
fn roll_back(data: &Path, old: &Path) {
    for file in ["platform.db-wal", "platform.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    fs::remove_dir_all(data.join("regions")).unwrap();
    copy(old, data);
}

#[tokio::test]
async fn a_log_that_was_rolled_back_or_forked_is_refused_and_the_operator_sees_it() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start();
    let key = send(&server.operator, Method::GET, "/v1/operator/audit/key").await;
    let key: VerifierKey = key.text().trim().parse().unwrap();
    watch(folder.path(), &key);
    let mut witness = Witness::start(folder.path(), "127.0.0.1:0");
    let (base, listen) = (witness.client.base().to_string(), witness.client.base().to_string());
    let listen = listen.trim_start_matches("http://").to_owned();

    // The server is told of its witness.
    let config = format!("[[witness]]\nurl = \"{base}\"\nvkey = \"{}\"\n", witness.key);
    server.tenant("First").await;
    server.stop_and_change(|data| fs::write(data.join("tenantry.toml"), &config).unwrap()).await;
    let early = told(&server, |told| told["witnesses"][0]["cosigned"] == told["size"]).await;
    let cosigned = early["cosigned"]["checkpoint"].as_str().unwrap();
    let opened = SignedCheckpoint::open(cosigned, &key).unwrap();
    assert_eq!(opened.cosignatures(std::slice::from_ref(&witness.key)).unwrap().len(), 1);

    // The folder as it was, then a longer log that the witness sees, too, also after a restart of its own.
    let old = TempDir::new().unwrap();
    server.stop_and_change(|data| copy(data, old.path())).await;
    drop(witness);
    witness = Witness::start(folder.path(), &listen);
    for name in ["Second", "Third"] {
        server.tenant(name).await;
    }
    server.stop_and_restart().await;
    let late = told(&server, |told| told["witnesses"][0]["cosigned"] == told["size"]).await;
    assert!(late["size"].as_u64() > early["size"].as_u64());

    // Rolled back.
    server.stop_and_change(|data| roll_back(data, old.path())).await;
    let back = told(&server, |told| told["witnesses"][0]["conflict"]["kind"] == "rolled_back").await;
    let conflict = &back["witnesses"][0]["conflict"];
    assert_eq!((&conflict["cosigned"], &conflict["size"]), (&late["size"], &early["size"]));
    assert!(back["cosigned"].is_null(), "nothing is published that a witness did not cosign");
    let refused = events(&server.operator, "/v1/operator/audit/events", "action=witness.refuse").await;
    assert_eq!((refused.len(), &refused[0]["details"]["conflict"]), (1, &json!("rolled_back")));
    assert_eq!(refused[0]["details"]["cosigned"], late["size"]);
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("CONFLICT") && log.contains(&format!("cosigned={}", late["size"])), "{log}");
    assert_eq!(fs::read_dir(folder.path().join("state/conflicts")).unwrap().count(), 1);

    // And grown again beyond what was cosigned: a fork.
    for number in 0..4 {
        server.tenant(&format!("Other {number}")).await;
    }
    server.stop_and_restart().await;
    let forked = told(&server, |told| told["witnesses"][0]["conflict"]["kind"] == "forked").await;
    assert!(forked["size"].as_u64() > late["size"].as_u64());
    assert_eq!(forked["witnesses"][0]["conflict"]["cosigned"], late["size"]);
    drop(witness);
}

/// Runs the program, which is to end well.
fn tenantry(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry")).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_restored_elsewhere_is_refused_when_it_comes_back() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start();
    server.tenant("First").await;
    let key = send(&server.operator, Method::GET, "/v1/operator/audit/key").await;
    watch(folder.path(), &key.text().trim().parse().unwrap());
    let witness = Witness::start(folder.path(), "127.0.0.1:0");
    let config = format!("[[witness]]\nurl = \"{}\"\nvkey = \"{}\"\n", witness.client.base(), witness.key);
    server.stop_and_change(|data| fs::write(data.join("tenantry.toml"), &config).unwrap()).await;
    told(&server, |told| told["witnesses"][0]["cosigned"] == told["size"]).await;

    // The machine is lost, and its server comes back on another one.
    let (backups, next) = (folder.path().join("backups"), TempDir::new().unwrap());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (operator, master) = (server.folder().join("operator.key"), server.folder().join("master.key"));
    let url = server.operator.base().to_string();
    let (backups, operator, master) = (text(&backups), text(&operator), text(&master));
    tenantry(&["backup", "--all", &backups, "--url", &url, "--operator-key-file", &operator]);
    server.kill();
    let data = text(next.path());
    let restore = ["restore", "--all", &backups, "--data", &data, "--master-key-file", &master];
    tenantry(&[&restore[..], &["--old-server-is-gone"]].concat());
    for file in ["operator.key", "master.key"] {
        fs::copy(server.folder().join(file), next.path().join(file)).unwrap();
    }
    let restored = Server::start_in(next, &config, &[], |_| Vec::new());
    let log = restored.operator.get("/v1/operator/audit/checkpoint").await.unwrap();
    assert!(log["checkpoint"].as_str().unwrap().contains("\ngeneration "), "{log}");
    // Its log is another one, which the auditor is asked to watch; that it is there has been seen.
    told(&restored, |told| {
        told["witnesses"][0]["unreachable"].as_str().is_some_and(|why| why.contains("watch"))
    })
    .await;
    // The old one was not gone at all.
    server.start_again();
    server.tenant("Ghost").await;
    let refused = told(&server, |told| told["witnesses"][0]["conflict"]["kind"] == "superseded").await;
    assert!(refused["cosigned"].is_null(), "{refused}");
    let event = events(&server.operator, "/v1/operator/audit/events", "action=witness.refuse").await;
    assert_eq!(event[0]["details"]["conflict"], "superseded");
    assert!(fs::read_to_string(folder.path().join("log")).unwrap().contains("SUPERSEDED"));
    drop(witness);
}

#[tokio::test]
async fn the_witness_answers_as_the_standard_says() {
    let folder = TempDir::new().unwrap();
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let key = send(&server.operator, Method::GET, "/v1/operator/audit/key").await;
    watch(folder.path(), &key.text().trim().parse().unwrap());
    let witness = Witness::start(folder.path(), "127.0.0.1:0");
    let checkpoint = server.operator.get("/v1/operator/audit/checkpoint").await.unwrap();
    let note = checkpoint["checkpoint"].as_str().unwrap();
    let body =
        |old: u64, note: &str| AddCheckpoint { old, proof: Vec::new(), checkpoint: note.to_owned() }.text();
    let cosigned = witness.add(&body(0, note)).await;
    assert_eq!(cosigned.status, 200);
    assert!(cosigned.text().starts_with("— witness.example/w1 ") && cosigned.text().ends_with('\n'));
    let conflict = witness.add(&body(0, note)).await;
    assert_eq!(
        (conflict.status.as_u16(), conflict.text()),
        (409, format!("{}\n", checkpoint["size"]).into())
    );
    assert_eq!(conflict.header("content-type"), Some("text/x.tlog.size"));
    // A tenant's log is another, which this witness does not watch.
    let others = tenant.owner.get("/v1/audit/checkpoint").await.unwrap();
    assert_eq!(witness.add(&body(0, others["checkpoint"].as_str().unwrap())).await.status, 404);
    let size = checkpoint["size"].as_u64().unwrap();
    assert_eq!(witness.add(&body(size + 1, note)).await.status, 400);
    assert_eq!(witness.add(&body(0, &note.replacen("— ", "— x", 1))).await.status, 403);
    assert_eq!(witness.add("nothing").await.status, 400);
    server.tenant("Other").await;
    let grown = server.operator.get("/v1/operator/audit/checkpoint").await.unwrap();
    let grown = grown["checkpoint"].as_str().unwrap();
    assert_eq!(witness.add(&body(size, grown)).await.status, 422, "without its proof");
    for (method, path, status) in
        [(Method::GET, "/add-checkpoint", 405), (Method::POST, "/", 404), (Method::GET, "/state", 404)]
    {
        let answer = witness.client.call(method, path).send().await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
    }
    // Its key is nowhere but in its file.
    let secret = fs::read_to_string(folder.path().join("state/witness.key")).unwrap();
    assert!(!fs::read_to_string(folder.path().join("log")).unwrap().contains(secret.trim()));
}
