//! What a disk and a machine do wrong: they refuse, they are slow, they run out of handles, their clock jumps.
//! What was refused has not happened, what was acknowledged is there, and it goes on when they are well again.

mod clock;
mod start;

use crate::chaos::checks::all;
use crate::chaos::trail::{self, Held};
use crate::harness::{Server, Tenant, refusal, send, send_json};
use crate::shim;
use client::{Answer, Client};
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EIO: i32 = 5;

/// A server whose disk fails when it is told so.
struct Failing {
    server: Server,
    faults: PathBuf,
    _folder: TempDir,
}

impl Failing {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let faults = folder.path().join("faults");
        let server = Server::start_in(TempDir::new().unwrap(), "", &[], |data| {
            shim::environment(data, &[("SHIM_FAULTS", &faults)])
        });
        Self { server, faults, _folder: folder }
    }

    /// Lets so many writes or syncs pass, and has the next ones fail.
    fn fail(&self, after: u32, error: i32) {
        let begun = self.faults.with_extension("begun");
        std::fs::write(&begun, format!("{after} {error}")).unwrap();
        std::fs::rename(begun, &self.faults).unwrap();
    }

    fn heal(&self) {
        std::fs::remove_file(&self.faults).unwrap();
    }
}

/// What a customer was told of its records.
#[derive(Default)]
struct Told {
    next: u64,
    /// By number, the value that it has.
    stored: BTreeMap<u64, u64>,
    /// The record that the refused call was about, and the value that it would have.
    refused: Option<(u64, u64)>,
}

impl Told {
    /// Makes and changes records until a call is refused, or enough were not. Gives back whether one was.
    async fn go_on(&mut self, owner: &Client) -> bool {
        for _ in 0..6 {
            self.next += 1;
            let (number, text) = (self.next, "x".repeat(1500));
            let body = json!({"number": number, "value": 0, "text": text});
            let made = send_json(owner, Method::POST, "/v1/records/contacts", &body).await;
            if self.is_refused(&made, (number, 0)) {
                return true;
            }
            let path = format!("/v1/records/contacts/{}", made.json()["id"].as_str().unwrap());
            let changed = send_json(owner, Method::PATCH, &path, &json!({"value": number})).await;
            if self.is_refused(&changed, (number, number)) {
                return true;
            }
        }
        false
    }

    /// Notes what came of a call that was to leave a record so.
    fn is_refused(&mut self, answer: &Answer, (number, value): (u64, u64)) -> bool {
        if answer.status.is_success() {
            self.stored.insert(number, value);
            return false;
        }
        assert_eq!(refusal(answer), (503, "unavailable".to_owned()));
        self.refused = Some((number, value));
        true
    }

    /// What was acknowledged is there, and what was refused is not, but where `maybe` says so.
    async fn check(&mut self, owner: &Client, maybe: bool, when: &str) {
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let records = all(owner, "/v1/records/contacts").await;
        let found: BTreeMap<_, _> = records
            .iter()
            .map(|record| (number(&record["data"]["number"]), number(&record["data"]["value"])))
            .collect();
        assert_eq!(found.len(), records.len(), "a record is there twice {when}");
        if let Some((number, value)) =
            self.refused.take().filter(|(number, value)| maybe && found.get(number) == Some(value))
        {
            self.stored.insert(number, value);
        }
        assert_eq!(found, self.stored, "{when}");
    }
}

/// Waits, within bounds, until a call is taken again.
async fn well_again(owner: &Client) {
    for _ in 0..200 {
        if send_json(owner, Method::POST, "/v1/agents", &json!({"name": "probe"})).await.status.is_success() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the server does not go on");
}

/// Fails the disk after each of many writes in turn, and holds the server to its word after each.
async fn fails_at_any(error: i32, steps: impl Iterator<Item = u32>) {
    let mut failing = Failing::start();
    let tenant = failing.server.tenant("Acme").await;
    let mut held = Held::of(&tenant.owner).await;
    let (mut told, mut owner, mut refused) = (Told::default(), tenant.owner.clone(), 0);
    for after in steps {
        failing.fail(after, error);
        refused += u32::from(told.go_on(&owner).await);
        if error != EIO {
            told.check(&owner, false, &format!("while it fails after {after} writes")).await;
        }
        let killed = after % 8 == 0;
        if killed {
            // It ends in the middle of it, and what was acknowledged is on the disk all the same.
            failing.server.kill();
            failing.heal();
            failing.server.start_again();
            owner = tenant.owner_at(&failing.server);
        } else {
            failing.heal();
        }
        well_again(&owner).await;
        // Where a sync failed and the server ended before it could write anew, what it had refused is on the disk
        // all the same: as where an answer is lost on its way.
        told.check(&owner, killed && error == EIO, &format!("after {after} writes")).await;
        held.verified(&trail::export(&owner).await);
        held.hold(trail::checkpoint(&owner).await);
    }
    assert!(refused > 4, "the disk was hardly ever in the way: {refused}");
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_write_loses_nothing() {
    fails_at_any(ENOSPC, 0..40).await;
}

#[tokio::test]
async fn a_disk_that_takes_no_write_any_more_loses_nothing() {
    fails_at_any(EROFS, (0..48).step_by(3)).await;
}

#[tokio::test]
async fn a_disk_whose_syncs_fail_acknowledges_nothing() {
    fails_at_any(EIO, 0..12).await;
}

#[tokio::test]
async fn a_slow_disk_is_waited_for_and_shared() {
    let server = Server::start_in(TempDir::new().unwrap(), "", &[], |data| {
        let mut all = shim::environment(data, &[]);
        all.push(("SHIM_SYNC_MS".to_owned(), "60".to_owned()));
        all
    });
    let mut tenants: Vec<Tenant> = Vec::new();
    for number in 0..4 {
        tenants.push(server.tenant(&format!("Tenant {number}")).await);
    }
    let records = futures::future::join_all((0..64).map(|at: usize| tenants[at % 4].record()));
    // One after the other they would take four seconds.
    tokio::time::timeout(std::time::Duration::from_secs(3), records).await.unwrap();
}

#[tokio::test]
async fn a_server_without_handles_refuses_and_goes_on_when_there_are_some() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let handles = |count: &str| {
        let limit = std::process::Command::new("prlimit")
            .args([format!("--pid={}", server.process_id()), format!("--nofile={count}:1024")])
            .status();
        assert!(limit.unwrap().success());
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count();
    handles(&(open + 6).to_string());
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(tokio::net::TcpStream::connect(server.address()).await.unwrap());
    }
    // Whoever has a connection is told to come back where a file cannot be opened.
    let mut others = Vec::new();
    for number in 0..4 {
        let wanted = json!({"name": format!("Tenant {number}"), "plan": "unlimited"});
        let call = server.operator.post("/v1/tenants", &wanted);
        others.push(tokio::time::timeout(std::time::Duration::from_secs(2), call).await);
    }
    drop(crowd);
    handles("1024");
    drop(others);
    well_again(&tenant.owner).await;
    assert_eq!(tenant.owner.get(&record).await.unwrap()["data"]["name"], "Ada");
    server.tenant("Another").await.record().await;
    assert!(send(&tenant.owner, Method::GET, "/readyz").await.status.is_success());
}

#[tokio::test]
async fn a_server_whose_disk_is_full_is_not_ready_and_is_again_when_there_is_room() {
    let failing = Failing::start();
    let tenant = failing.server.tenant("Acme").await;
    let ready = async || send(&tenant.owner, Method::GET, "/readyz").await;
    assert!(ready().await.status.is_success());
    failing.fail(0, ENOSPC);
    // What is refused is what shows the server that its disk is full.
    let refused = send_json(&tenant.owner, Method::POST, "/v1/agents", &json!({"name": "late"})).await;
    assert_eq!(refusal(&refused), (503, "unavailable".to_owned()));
    let answer = ready().await;
    assert_eq!(refusal(&answer), (503, "unavailable".to_owned()));
    assert!(answer.header("retry-after").is_some());
    // It is up all the same, so that nobody ends it for that.
    assert!(send(&tenant.owner, Method::GET, "/healthz").await.status.is_success());
    failing.heal();
    well_again(&tenant.owner).await;
    assert!(ready().await.status.is_success());
}
