//! Loss of power: what happens to the files of a data folder is recorded while the server works, and cut off at
//! some instant. A server on what the disk may hold by then has all that callers were told before it.
//!
//! `TENANTRY_POWER_CUTS` says how often it is cut; `make chaos` does so two hundred times.

mod ledger;
mod load;
mod recording;

use crate::chaos::{Dice, from_environment, seed, trail};
use crate::harness::{Server, Tenant, send};
use crate::provider::Provider;
use crate::shim;
use audit::note::VerifierKey;
use http::Method;
use ledger::{Kind, Ledger, Thing};
use recording::Recording;
use secret::SecretText;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tempfile::TempDir;

/// How often a run of all tests cuts.
const CUTS: u64 = 12;

/// A thing, and how it may stand.
type MayBe = (Thing, BTreeSet<Option<u64>>);

/// What was recorded, and what callers were told meanwhile.
struct Recorded {
    recording: Recording,
    ledger: Ledger,
    source: PathBuf,
    tenants: Vec<(String, SecretText, VerifierKey)>,
    _folder: TempDir,
}

fn definition() -> serde_json::Value {
    json!({"name": "Note", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "remember", "type": "record", "operation": "create", "collection": "notes",
            "fields": {"a": 1}, "after": ["start"]},
    ]})
}

async fn prices(server: &Server, provider: &Provider) {
    let price = json!({"brief": {"input_per_million": "1", "output_per_million": "10"}});
    let endpoint = json!({"url": provider.url, "dialect": "openai", "models": ["brief"], "prices": price,
        "api_key": "sk-of-the-operator", "max_output_tokens": 100});
    server.operator.put("/v1/endpoints/stand-in", &endpoint).await.unwrap();
}

fn config(provider: &Provider) -> String {
    format!("[egress]\nallow = [\"{}\"]\n", provider.host())
}

/// Works a server hard, through a stop and another start, and gives back the recording.
async fn record(provider: &Provider) -> Recorded {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("recording");
    let ledger = Ledger::beside(log.clone());
    let mut server = Server::start_in(TempDir::new().unwrap(), &config(provider), &[], |data| {
        shim::environment(data, &[("SHIM_LOG", &log)])
    });
    prices(&server, provider).await;
    let mut tenants: Vec<Tenant> = Vec::new();
    for name in ["Acme", "Bolt", "Restored", "Rekeyed"] {
        tenants.push(load::tenant(&server, &ledger, name).await);
    }
    let mut workflows = Vec::new();
    for tenant in &tenants[..2] {
        workflows.push(crate::work::workflow(tenant, &definition()).await);
    }
    let mut keys = Vec::new();
    for tenant in &tenants {
        let key = send(&tenant.owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
        keys.push((tenant.id.clone(), tenant.owner_key.clone(), key));
    }
    for round in 0..2 {
        let lane = |at: usize, lane| load::customer(&tenants[at], &workflows[at], &ledger, round * 10 + lane);
        tokio::join!(
            lane(0, 1),
            lane(0, 2),
            lane(1, 1),
            lane(1, 2),
            load::restored(&server, &tenants[2], &ledger, round * 10),
            load::rekeyed(&server, &tenants[3], &ledger, round * 10),
            load::comings(&server, &ledger, round),
        );
        server.stop_and_restart().await;
        for tenant in &mut tenants {
            tenant.owner = tenant.owner_at(&server);
        }
    }
    let source = server.folder().to_owned();
    server.kill();
    Recorded { recording: Recording::read(&log), ledger, source, tenants: keys, _folder: folder }
}

/// Starts a server on what the disk may hold when the power goes after so many entries, and holds it to what
/// callers were told by then.
async fn cut(recorded: &Recorded, provider: &Provider, entries: usize, dice: &Dice) {
    let folder = TempDir::new().unwrap();
    recorded.recording.replay(entries, &recorded.source, folder.path(), dice);
    let server = Server::start_in(folder, &config(provider), &[], |_| Vec::new());
    let at = recorded.recording.position(entries);
    let mut by_tenant: BTreeMap<String, Vec<MayBe>> = BTreeMap::new();
    for (thing, may_be) in recorded.ledger.may_be(at) {
        by_tenant.entry(thing.tenant.clone()).or_default().push((thing, may_be));
    }
    for (tenant, things) in &by_tenant {
        check_tenant(&server, things).await.unwrap_or_else(|wrong| panic!("{tenant} at {entries}: {wrong}"));
    }
    for (tenant, owner, key) in &recorded.tenants {
        let held = recorded.ledger.held(tenant, at);
        if held.is_empty() {
            continue;
        }
        let export = trail::export(&server.operator.with_key(owner.clone())).await;
        let events = trail::verify(&export, key, &held);
        // What an answered call came to is on its way for a moment longer, and then it is as one whose outcome is
        // unknown. What was read from the log, such as the checkpoints above, has waited for it.
        let begun =
            events.iter().filter(|event| event["action"] == "model.call" && event["result"] == "intent");
        let told = by_tenant[tenant]
            .iter()
            .filter(|(thing, may_be)| thing.kind == Kind::Call && !may_be.contains(&None));
        assert!(begun.count() >= told.count(), "an answered call is not in the log of {tenant} at {entries}");
    }
}

/// Compares what is there with what may be.
async fn check_tenant(server: &Server, things: &[MayBe]) -> Result<(), String> {
    let (mut in_force, mut owner) = (BTreeMap::new(), None);
    for (thing, _) in things.iter().filter(|(thing, _)| thing.kind == Kind::Key) {
        let who = server.operator.with_key(SecretText::new(thing.name.clone()));
        let status = send(&who, Method::GET, "/v1/me").await;
        match status.status.as_u16() {
            200 => owner = Some(who),
            401 => {}
            _ => return Err(status.text().into_owned()),
        }
        in_force.insert(thing.name.clone(), (status.status == 200).then_some(1));
    }
    let mut found = BTreeMap::new();
    if let Some(owner) = &owner {
        for record in crate::chaos::checks::all(owner, "/v1/records/contacts").await {
            let value = record["data"]["value"].as_u64().unwrap();
            found.insert((Kind::Record, record["data"]["number"].to_string()), value);
        }
        for run in crate::chaos::checks::all(owner, "/v1/runs").await {
            found.insert((Kind::Run, run["id"].as_str().unwrap().to_owned()), 1);
        }
    }
    for (thing, may_be) in things {
        let stands = match thing.kind {
            Kind::Key => in_force[&thing.name],
            Kind::Call => continue,
            // Nobody can look into a tenant that is not there.
            _ if owner.is_none() => continue,
            kind => found.get(&(kind, thing.name.clone())).copied(),
        };
        if !may_be.contains(&stands) {
            return Err(format!("{thing:?} is {stands:?}, and may be {may_be:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loss_of_power_takes_nothing_that_was_acknowledged() {
    let cuts = from_environment("TENANTRY_POWER_CUTS").unwrap_or(CUTS);
    let seed = seed();
    println!("TENANTRY_CHAOS_SEED={seed} TENANTRY_POWER_CUTS={cuts}");
    let dice = Dice::new(seed);
    let provider = Provider::start().await;
    let recorded = record(&provider).await;
    let count = recorded.recording.len();
    println!("{count} entries, {} of them syncs", recorded.recording.syncs(count));
    for number in 0..cuts {
        let entries = recorded.recording.some_instant(&dice);
        println!("cut {} of {cuts}: after {entries} entries", number + 1);
        cut(&recorded, &provider, entries, &dice).await;
    }
    cut(&recorded, &provider, count, &dice).await;
}
