//! The machine is lost, and everything comes back on another one from backups that were taken while it was written
//! to.

#[cfg(test)]
mod regions;

use crate::chaos::trail::{checkpoint, export, verify};
use crate::harness::{Server, Tenant, events, send, send_json};
use crate::work::workflow;
use audit::note::SignedCheckpoint;
use client::Client;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A server with its master key outside its folder, and where its backups go.
struct Machine {
    server: Server,
    home: TempDir,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().iter().map(|byte| char::from(*byte)).collect()
}

/// Runs a command beside whatever the test itself does.
async fn tenantry(arguments: Vec<String>) -> Output {
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_tenantry")).args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn master_key(path: &Path, digit: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("{digit}0123456789abcde").repeat(4)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Machine {
    fn start(config: &str) -> Self {
        let home = TempDir::new().unwrap();
        let key = home.path().join("master.key");
        master_key(&key, "a");
        let server = Server::start_with(config, &["--master-key-file", text(&key)]);
        fs::copy(server.folder().join("operator.key"), home.path().join("operator.key")).unwrap();
        Self { server, home }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn back_up(&self, more: &[&str]) -> Value {
        let (url, to, key) =
            (self.server.operator.base().to_string(), self.at("backups"), self.at("operator.key"));
        let usual =
            ["backup", "--all", text(&to), "--url", &url, "--operator-key-file", text(&key), "--json"];
        let output = tenantry(words(&[&usual[..], more].concat())).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn restore(&self, to: &Path, more: &[&str]) -> Output {
        let (from, key) = (self.at("backups"), self.at("master.key"));
        let usual =
            ["restore", "--all", text(&from), "--data", text(to), "--master-key-file", text(&key), "--json"];
        tenantry(words(&[&usual[..], more].concat())).await
    }

    /// The restored server on its folder, after the operator has said that the old one is gone.
    fn started(&self, folder: TempDir, config: &str) -> Server {
        fs::copy(self.at("operator.key"), folder.path().join("operator.key")).unwrap();
        let key = self.at("master.key");
        Server::start_in(folder, config, &["--master-key-file", text(&key)], |_| Vec::new())
    }

    /// The only part of the newest backup that the list gives this place.
    fn part(&self, place: usize) -> PathBuf {
        let list = self.newest("parts");
        let line = fs::read_to_string(list).unwrap().lines().nth(place).unwrap().to_owned();
        self.at("backups").join("parts").join(line.split(' ').next().unwrap())
    }

    fn newest(&self, extension: &str) -> PathBuf {
        let files = fs::read_dir(self.at("backups")).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == extension)).max().unwrap()
    }
}

/// What a tenant was told is done, and what it goes on doing until it is told to stop.
struct Writer {
    owner: Client,
    workflow: String,
    records: Mutex<Vec<String>>,
    runs: Mutex<Vec<String>>,
}

impl Writer {
    async fn write(self: Arc<Self>, stop: Arc<AtomicBool>) {
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let body = json!({"number": number, "value": "x".repeat(200)});
            let made = send_json(&self.owner, Method::POST, "/v1/records/contacts", &body).await;
            let Ok(made) = made.accepted() else { return };
            self.records.lock().unwrap().push(made.json()["id"].as_str().unwrap().to_owned());
            let ask = json!({"model": "offline", "messages": [{"role": "user", "content": "hello"}]});
            send_json(&self.owner, Method::POST, "/v1/chat/completions", &ask).await.accepted().unwrap();
            if number % 8 == 0 {
                let run = send_json(
                    &self.owner,
                    Method::POST,
                    &format!("/v1/workflows/{}/runs", self.workflow),
                    &json!({"input": {}}),
                )
                .await;
                if let Ok(run) = run.accepted() {
                    self.runs.lock().unwrap().push(run.json()["id"].as_str().unwrap().to_owned());
                }
            }
        }
    }

    fn acknowledged(&self) -> (Vec<String>, Vec<String>) {
        (self.records.lock().unwrap().clone(), self.runs.lock().unwrap().clone())
    }
}

/// All of a tenant's records, by their ids.
async fn all_records(owner: &Client) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = owner.get(&format!("/v1/records/contacts?limit=500{cursor}")).await.unwrap();
        all.extend(page["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// What every tenant must find again, and nothing else of anybody's.
async fn check(writer: &Writer, owner: &Client, before: &(Vec<String>, Vec<String>)) {
    let found = all_records(owner).await;
    for record in &before.0 {
        assert!(found.contains(record), "{record} was acknowledged before the backup");
    }
    let written = writer.acknowledged().0;
    // A record that was not acknowledged can be there as well: one, since they come one after the other.
    let strange: Vec<_> = found.iter().filter(|record| !written.contains(record)).collect();
    assert!(strange.len() <= 1, "{strange:?}");
    for run in &before.1 {
        owner.get(&format!("/v1/runs/{run}")).await.unwrap();
    }
    let key = send(owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
    let checkpoint = checkpoint(owner).await;
    let opened = SignedCheckpoint::open(&checkpoint, &key).unwrap();
    assert!(opened.checkpoint().origin.epoch > 1 && opened.checkpoint().generation > 1);
    verify(&export(owner).await, &key, &[checkpoint]);
}

/// Ten tenants, of which those that do nothing meanwhile are large.
async fn tenants(server: &Server) -> Vec<Tenant> {
    let mut tenants: Vec<Tenant> = Vec::new();
    for number in 0..10 {
        let tenant = server.tenant(&format!("Tenant {number}")).await;
        tenant.record().await;
        tenants.push(tenant);
    }
    for tenant in &tenants[2..] {
        for _ in 0..4 {
            let body = json!({"value": "x".repeat(60_000)});
            tenant.owner.post("/v1/records/contacts", &body).await.unwrap();
        }
    }
    tenants
}

/// Whoever writes for these tenants until it is told to stop.
async fn writers(tenants: &[Tenant], stop: &Arc<AtomicBool>) -> (Vec<Arc<Writer>>, Vec<JoinHandle<()>>) {
    let (mut writers, mut writing) = (Vec::new(), Vec::new());
    for tenant in tenants {
        let definition = json!({"name": "Noop", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "shape", "type": "transform", "after": ["start"], "output": {"done": true}},
        ]});
        let writer = Arc::new(Writer {
            owner: tenant.owner.clone(),
            workflow: workflow(tenant, &definition).await,
            records: Mutex::new(vec![all_records(&tenant.owner).await.remove(0)]),
            runs: Mutex::default(),
        });
        writing.push(tokio::spawn(writer.clone().write(stop.clone())));
        writers.push(writer);
    }
    (writers, writing)
}

/// What each was told is done, once that is something of everything.
async fn acknowledged(writers: &[Arc<Writer>]) -> Vec<(Vec<String>, Vec<String>)> {
    let enough = |writer: &Arc<Writer>| {
        let (records, runs) = writer.acknowledged();
        records.len() > 3 && !runs.is_empty()
    };
    for _ in 0..600 {
        if writers.iter().all(enough) {
            return writers.iter().map(|writer| writer.acknowledged()).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the writers do not write");
}

/// The restored server does not start; the operator says once that the old one is gone.
async fn say_that_the_old_one_is_gone(machine: &Machine, folder: &Path) -> u64 {
    let (key, data) = (machine.at("master.key"), text(folder));
    let serve = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--master-key-file", text(&key)];
    let refused = tenantry(words(&serve)).await;
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--old-server-is-gone"));
    let confirm =
        ["restore", "--old-server-is-gone", "--data", data, "--master-key-file", text(&key), "--json"];
    let confirmed = tenantry(words(&confirm)).await;
    assert_eq!(confirmed.status.code(), Some(0), "{}", said(&confirmed));
    let generation =
        serde_json::from_slice::<Value>(&confirmed.stdout).unwrap()["generation"].as_u64().unwrap();
    assert!(generation > 1);
    let again = tenantry(words(&confirm)).await;
    assert_eq!(again.status.code(), Some(2), "it is said once");
    generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_machine_comes_back_as_it_was_at_one_moment_of_its_work() {
    let mut machine = Machine::start("");
    let tenants = tenants(&machine.server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (writers, writing) = writers(&tenants[..2], &stop).await;
    let first = machine.back_up(&[]).await;
    assert_eq!(
        (&first["tenants"], &first["copied"], &first["unchanged"]),
        (&json!(10), &json!(10), &json!(0))
    );
    // A tenant that is made, one that is erased, and one whose key changes are as they are at the second moment.
    let made = machine.server.tenant("Made").await;
    let record_of_made = made.record().await;
    machine.server.operator.delete(&format!("/v1/tenants/{}", tenants[9].id)).await.unwrap();
    let changing = format!("/v1/tenants/{}/data-key", tenants[8].id);
    send(&machine.server.operator, Method::POST, &changing).await.accepted().unwrap();
    let before = acknowledged(&writers).await;
    let second = machine.back_up(&[]).await;
    assert_eq!(second["tenants"], 10);
    assert!(second["unchanged"].as_u64().unwrap() >= 6, "{second}");
    assert!(second["bytes"].as_u64().unwrap() * 2 < first["bytes"].as_u64().unwrap(), "{first} {second}");
    // What comes after the moment is lost.
    let late = tenants[2].record().await;
    stop.store(true, Ordering::SeqCst);
    for writing in writing {
        writing.await.unwrap();
    }
    machine.server.kill();

    let home = TempDir::new().unwrap();
    let restored = machine.restore(home.path(), &[]).await;
    assert_eq!(restored.status.code(), Some(0), "{}", said(&restored));
    let told: Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(
        (&told["tenants"], &told["failed"], &told["backup"]),
        (&json!(10), &json!([]), &second["backup"])
    );
    let generation = say_that_the_old_one_is_gone(&machine, home.path()).await;
    let server = machine.started(home, "");
    for ((writer, before), tenant) in writers.iter().zip(&before).zip(&tenants) {
        check(writer, &tenant.owner_at(&server), before).await;
    }
    for tenant in &tenants[2..9] {
        assert_eq!(all_records(&tenant.owner_at(&server)).await.len(), 5);
    }
    assert_eq!(all_records(&made.owner_at(&server)).await, [record_of_made]);
    let path = format!("/v1/records/contacts/{late}");
    assert_eq!(send(&tenants[2].owner_at(&server), Method::GET, &path).await.status, 404);
    let erased = send(&tenants[9].owner_at(&server), Method::GET, "/v1/me").await;
    assert_eq!(erased.status, 401);
    let log = events(&server.operator, "/v1/operator/audit/events", "action=server.restore").await;
    let told = (&log[0]["epoch"], &log[0]["details"]["generation"]);
    assert_eq!((log.len(), told), (1, (&json!(generation), &json!(generation))));
    // It can be backed up itself, and takes nothing of the earlier backups for its own.
    machine.server = server;
    let third = machine.back_up(&["--keep", "1"]).await;
    assert_eq!((&third["generation"], &third["unchanged"]), (&json!(generation), &json!(0)));
    assert!(third["removed_parts"].as_u64().unwrap() >= 7, "{third}");
    let home = TempDir::new().unwrap();
    let restored = machine.restore(home.path(), &["--old-server-is-gone"]).await;
    let next = serde_json::from_slice::<Value>(&restored.stdout).unwrap()["generation"].as_u64().unwrap();
    assert!(next > generation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a_whole_backup_of_this_key_is_refused_and_nothing_is_touched() {
    let machine = Machine::start("");
    let tenant = machine.server.tenant("Acme").await;
    tenant.record().await;
    machine.back_up(&[]).await;
    let home = TempDir::new().unwrap();
    let target = home.path().join("data");
    let refused = async |why: &str| {
        let output = machine.restore(&target, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "something was left behind");
    };
    for place in 0..3 {
        let (part, aside) = (machine.part(place), machine.at("aside"));
        let good = fs::read(&part).unwrap();
        let mut altered = good.clone();
        altered[good.len() / 2] ^= 1;
        fs::write(&part, altered).unwrap();
        refused("was altered or cut off").await;
        fs::write(&part, &good[..good.len() - 1]).unwrap();
        refused("was altered or cut off").await;
        fs::write(&part, &good).unwrap();
        fs::rename(&part, &aside).unwrap();
        refused("is missing").await;
        fs::rename(&aside, &part).unwrap();
    }
    let manifest = machine.newest("manifest");
    let good = fs::read(&manifest).unwrap();
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&manifest, altered).unwrap();
    refused("manifest was altered").await;
    fs::write(&manifest, &good).unwrap();
    // What was cut off has no manifest.
    fs::rename(&manifest, manifest.with_extension("unfinished")).unwrap();
    refused("has no finished backup").await;
    fs::rename(manifest.with_extension("unfinished"), &manifest).unwrap();
    master_key(&machine.at("master.key"), "b");
    refused("is sealed under the master key").await;
    master_key(&machine.at("master.key"), "a");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "mine").unwrap();
    let output = machine.restore(&target, &[]).await;
    assert!(output.status.code() == Some(2) && said(&output).contains("is not empty"), "{}", said(&output));
    assert_eq!(fs::read_to_string(target.join("mine")).unwrap(), "mine");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    fs::remove_dir_all(&target).unwrap();
    // Whole again, it is put back.
    assert_eq!(machine.restore(&target, &[]).await.status.code(), Some(0));
    // Another's key takes no backup of everything, and a viewer's neither.
    let by_tenant = send(&tenant.owner, Method::POST, "/v1/operator/backup").await;
    assert_eq!(by_tenant.status, 403);
    let viewer = json!({"name": "viewer", "role": "viewer"});
    let viewer = machine.server.operator.post("/v1/operator-keys", &viewer).await.unwrap();
    let viewer =
        machine.server.operator.with_key(SecretText::new(viewer["key"].as_str().unwrap().to_owned()));
    assert_eq!(send(&viewer, Method::POST, "/v1/operator/backup").await.status, 403);
}
