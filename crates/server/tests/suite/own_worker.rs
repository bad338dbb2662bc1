//! The worker that a tenant with a database of its own has for itself: nobody else carries its runs out, it has nothing
//! that opens anything of anybody else's, and it ends where it has no business any more.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod takeover;

use crate::database::Provisioner;
use crate::harness::Tenant;
use crate::two_servers::{Pair, Stopped, signal_process};
use crate::work::{eventually, over, start, step, until, workflow};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Two servers, and whoever makes homes.
struct Stage {
    pair: Pair,
    _provisioner: Provisioner,
}

impl Stage {
    async fn set() -> Self {
        let pair = Pair::start().await;
        let _provisioner = pair.place.provision();
        Self { pair, _provisioner }
    }

    /// A tenant that is kept so.
    async fn tenant(&self, name: &str, isolation: &str) -> Tenant {
        self.pair.one.tenant_kept(name, isolation).await
    }

    /// Has a command of tenants' workers carried out.
    fn workers(&self, arguments: &[&str]) -> Output {
        let all = [&["workers"], arguments].concat();
        self.pair.place.command(&all, "workers.toml", "master.key").output().unwrap()
    }

    /// What a tenant's own worker is given, as a file, and the id of its token.
    fn grant(&self, tenant: &Tenant) -> (PathBuf, String) {
        let pair = &self.pair;
        let allow = format!("[egress]\nallow = [\"{}\"]\n", pair.service.host);
        pair.place.workers_config(&[&pair.one, &pair.two], &allow);
        let file = pair.place.file(&format!("{}.credential", tenant.id));
        let made = self.workers(&["grant", &tenant.id, "--out", file.to_str().unwrap(), "--json"]);
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        (file, made["token"].as_str().unwrap().to_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.pair.place.file("workers.log")).unwrap_or_default()
    }
}

/// How a tenant's own worker is started by hand.
fn command(tenant: &Tenant, credential: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(["worker", "--tenant", &tenant.id, "--credential-file"]).arg(credential);
    command.env_clear();
    command
}

fn worker(stage: &Stage, tenant: &Tenant, credential: &std::path::Path) -> Stopped {
    let mut command = command(tenant, credential);
    command.arg("--log").arg(stage.pair.place.file("workers.log"));
    Stopped(command.stdout(Stdio::null()).spawn().unwrap())
}

/// A worker as it must not be: beside its tenant's it has the master key, as those of all tenants do.
fn worker_with_the_master_key(stage: &Stage) -> Stopped {
    let place = &stage.pair.place;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.arg("worker").arg("--data").arg(place.file("mistaken"));
    command.arg("--config").arg(stage.pair.one.folder().join("tenantry.toml"));
    command.arg("--master-key-file").arg(place.file("master.key"));
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(process.stdout.as_mut().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line.trim(), "working");
    Stopped(process)
}

/// How a process has ended, once it has.
async fn ended(process: &mut Stopped, within: Duration) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        assert!(begun.elapsed() < within, "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes that carry out this tenant's runs alone.
fn processes(tenant: &Tenant) -> Vec<u32> {
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let of = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [b"--tenant".as_slice(), tenant.id.as_bytes()])
    };
    all.filter(of).collect()
}

/// Steps of every kind: an outside call with a credential, a question to a model, a record.
fn all_kinds(stage: &Stage, model: &str) -> Value {
    json!({"name": "All kinds", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "call", "type": "http", "method": "POST", "after": ["start"], "url": stage.pair.service.url("/ok/own"),
         "credential": "crm", "body": {"said": "{{ input.said }}"}, "on_unknown": "retry"},
        {"id": "ask", "type": "ai", "after": ["call"], "model": model, "prompt": "Say {{ input.said }}"},
        {"id": "keep", "type": "record", "after": ["ask"], "collection": "notes", "operation": "create",
         "fields": {"said": "{{ input.said }}"}},
    ]})
}

/// The credential that the workflow above takes.
async fn credential(stage: &Stage, tenant: &Tenant, secret: &str) {
    let host = &stage.pair.service.host;
    let key = json!({"kind": "api_key", "key": secret, "hosts": [host]});
    tenant.owner.put("/v1/credentials/crm", &key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_own_worker_carries_a_dedicated_tenants_runs_out() {
    let stage = Stage::set().await;
    let (alone, shared) = (stage.tenant("Alone", "dedicated").await, stage.tenant("Shared", "schema").await);
    credential(&stage, &alone, "the secret of Alone").await;
    let both = workflow(&alone, &all_kinds(&stage, "offline")).await;
    let run = start(&alone.owner, &both, json!({"said": "hello"})).await;
    // The other tenant's runs are carried out meanwhile, so that somebody is there who might take this one.
    let short = workflow(&shared, &stage.pair.calls(&["/slow/300/a", "/slow/300/b", "/slow/300/c"])).await;
    let other = start(&shared.owner, &short, Value::Null).await;
    assert_eq!(over(&shared.owner, &other).await["status"], "succeeded", "{}", stage.pair.logs());
    let waiting = until(&alone.owner, &run, |_| true).await;
    assert_eq!(waiting["status"], "queued", "{waiting}");
    assert_eq!(waiting["held_up"], json!({"missing": "own_worker", "last_seen": null}));
    assert!(stage.pair.service.seen("/ok/own").is_empty());
    assert!(processes(&alone).is_empty());
    // With the worker it goes on, and what it did is as it would be anywhere.
    let mut launcher = stage.pair.launch("");
    let seen = over(&alone.owner, &run).await;
    assert_eq!(seen["status"], "succeeded", "{seen}\n{}\n{}", stage.log(), stage.pair.logs());
    assert_eq!(seen["held_up"], Value::Null);
    let calls = stage.pair.service.seen("/ok/own");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].authorization.as_deref(), Some("Bearer the secret of Alone"));
    assert_eq!(calls[0].body, json!({"said": "hello"}));
    assert!(step(&seen, "ask")["output"]["text"].is_string(), "{seen}");
    let notes = alone.owner.get("/v1/records/notes").await.unwrap();
    assert_eq!(notes["data"][0]["data"]["said"], "hello");
    let usage = alone.owner.get("/v1/usage?group_by=model,tool").await.unwrap().to_string();
    assert!(usage.contains("offline") && usage.contains(&stage.pair.service.host), "{usage}");
    let granted = alone.events("action=worker.grant").await;
    assert!(!granted.is_empty());
    // One process for the tenant, and none for the other.
    assert_eq!(processes(&alone).len(), 1);
    assert!(processes(&shared).is_empty());
    // One that dies is started again, and its run goes on.
    let slow = workflow(&alone, &stage.pair.calls(&["/slow/1500/x", "/ok/y"])).await;
    let run = start(&alone.owner, &slow, Value::Null).await;
    eventually(|| !stage.pair.service.seen("/slow/1500/x").is_empty()).await;
    signal_process(processes(&alone)[0], "-KILL");
    let seen = over(&alone.owner, &run).await;
    assert_eq!(seen["status"], "succeeded", "{seen}\n{}", stage.log());
    assert_eq!(stage.pair.service.by_key("/slow/1500/x").into_values().collect::<Vec<_>>(), [2]);
    // Without its launcher none stays.
    let left = processes(&alone);
    launcher.0.kill().unwrap();
    launcher.0.wait().unwrap();
    assert_eq!(left.len(), 1);
    eventually(|| processes(&alone).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_where_its_tenant_has_none_any_more() {
    let stage = Stage::set().await;
    let tenant = stage.tenant("Alone", "dedicated").await;
    let workflow = workflow(&tenant, &stage.pair.calls(&["/ok/a"])).await;
    let _launcher = stage.pair.launch("");
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded", "{}", stage.log());
    let path = format!("/v1/tenants/{}", tenant.id);
    // Suspended: the process goes. Resumed: another comes.
    stage.pair.two.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    eventually(|| processes(&tenant).is_empty()).await;
    stage.pair.two.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded", "{}", stage.log());
    // A data key of another name: what the process has opens nothing, and the next one has what does.
    stage.pair.one.operator.post(&format!("{path}/data-key"), &json!({})).await.unwrap();
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded", "{}", stage.log());
    // Moved away: everybody's workers carry its runs out, and no process is its own.
    stage.pair.one.operator.post(&format!("{path}/move"), &json!({"to": "pooled"})).await.unwrap();
    eventually(|| processes(&tenant).is_empty()).await;
    let moved = async || stage.pair.one.operator.get(&path).await.unwrap()["isolation"] == "pooled";
    let begun = Instant::now();
    while !moved().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", stage.pair.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded", "{}", stage.pair.logs());
    assert!(processes(&tenant).is_empty());
    assert_eq!(stage.pair.service.seen("/ok/a").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_to_have_more_than_its_tenant() {
    let stage = Stage::set().await;
    let tenant = stage.tenant("Alone", "dedicated").await;
    let other = stage.tenant("Other", "dedicated").await;
    let (file, token) = stage.grant(&tenant);
    let place = &stage.pair.place;
    let told = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mut with_key = command(&tenant, &file);
    with_key.arg("--master-key-file").arg(place.file("master.key"));
    assert!(told(&mut with_key).contains("not to have the master key"));
    for (config, what) in [("serve.toml", "`[store] url`"), ("init.toml", "`[store] admin_url`")] {
        let mut with_config = command(&tenant, &file);
        with_config.arg("--config").arg(place.file(config));
        let told = told(&mut with_config);
        assert!(told.contains(what), "{told}");
    }
    assert!(told(&mut command(&other, &file)).contains("another tenant's"));
    let open = place.file("open.credential");
    std::fs::copy(&file, &open).unwrap();
    assert!(Command::new("chmod").arg("644").arg(&open).status().unwrap().success());
    assert!(told(&mut command(&tenant, &open)).contains("others than its owner may read it"));
    // None is given for a tenant that shares its tables.
    let pooled = stage.tenant("Pooled", "pooled").await;
    let refused = stage.workers(&["grant", &pooled.id, "--out", place.file("none").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!place.file("none").exists());
    // A token that is withdrawn ends the process that has it, at once, with its reason.
    let mut worker = worker(&stage, &tenant, &file);
    let calls = workflow(&tenant, &stage.pair.calls(&["/slow/60000", "/never"])).await;
    start(&tenant.owner, &calls, Value::Null).await;
    eventually(|| !stage.pair.service.seen("/slow/60000").is_empty()).await;
    let revoked = stage.workers(&["revoke", &tenant.id, &token]);
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(ended(&mut worker, Duration::from_secs(3)).await, 2, "{}", stage.log());
    assert!(stage.pair.service.seen("/never").is_empty());
    assert!(told(&mut command(&tenant, &file)).contains("take this worker's token no more"));
}

// The database's socket is open to the user `postgres` alone, as whom the worker runs here.
#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_is_root_gives_each_worker_a_user_of_its_own() {
    let stage = Stage::set().await;
    let tenant = stage.tenant("Alone", "dedicated").await;
    let place = &stage.pair.place;
    let user = Command::new("id").args(["-u", "postgres"]).output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
    let allow = format!("first_uid = {user}\n[egress]\nallow = [\"{}\"]\n", stage.pair.service.host);
    place.workers_config(&[&stage.pair.one], &allow);
    // Where another user may carry it out.
    let open = tempfile::TempDir::new().unwrap();
    let program = open.path().join("tenantry");
    std::fs::copy(env!("CARGO_BIN_EXE_tenantry"), &program).unwrap();
    assert!(Command::new("chmod").arg("755").arg(open.path()).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    command.args(["workers", "launch", "--config"]).arg(place.file("workers.toml"));
    command.arg("--master-key-file").arg(place.file("master.key"));
    let _launcher = Stopped(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let workflow = workflow(&tenant, &stage.pair.calls(&["/ok/a"])).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded", "{}", stage.pair.logs());
    let status = std::fs::read_to_string(format!("/proc/{}/status", processes(&tenant)[0])).unwrap();
    let ids = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids("Uid:"), vec![user.clone(); 4]);
    assert_eq!(ids("Gid:"), vec![user; 4]);
    assert_eq!(ids("Groups:"), Vec::<String>::new());
    assert_eq!(ids("CapEff:"), ["0000000000000000"]);
}
