//! The attack suite against the real server behind a proxy that misbehaves on purpose: whatever leak the
//! proxy has, the suite must name it, and without one it must find none.

mod belief;
mod copies;
mod plant;
mod proxy;
mod reach;
mod spoiled;

use client::Client;
use env::{Env, Timestamp};
use plant::Plant;
use proxy::Proxy;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use verify::{Only, Options, Outside, OwnServer, Report};

/// A server of the suite's own, and what lies outside of it.
async fn own_server() -> (OwnServer, Arc<Outside>) {
    let outside = Arc::new(Outside::listen().await.unwrap());
    let serving = outside.clone();
    tokio::spawn(async move { serving.serve().await });
    let program = Path::new(env!("CARGO_BIN_EXE_tenantry"));
    let server = OwnServer::start(program, None, "127.0.0.1:0", &outside.configuration(), &[]).await;
    (server.unwrap(), outside)
}

/// The present time, because deliveries are signed with it, and randomness of the test's own.
#[expect(clippy::disallowed_methods, reason = "the server's clock is the real one")]
fn environment(seed: u64) -> Env {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Env::fixed(Timestamp::from_millis(since.as_millis().try_into().unwrap()), seed).0
}

async fn attacked((server, outside): &(OwnServer, Arc<Outside>), plant: Plant, only: Only) -> Report {
    let proxy = Proxy::start(server, plant).await;
    let client = Client::new(proxy.url());
    let options = Options {
        client,
        other: None,
        isolation: None,
        operator_key: server.operator_key.clone(),
        granted: false,
        env: environment(plant as u64),
        places: server.places(),
        outside: Some(outside),
        only,
        progress: &|_, _| {},
    };
    let report = verify::run(options).await.unwrap();
    drop(proxy);
    report
}

/// What must be found: in an operation, by an attack whose name has this in it.
fn expected(plant: Plant) -> (&'static str, &'static str) {
    const RUNS: &str = "POST /v1/workflows/{id}/runs";
    match plant {
        Plant::None => ("", "nothing is expected"),
        Plant::IgnoresTenantOnRead => ("GET /v1/records/{collection}/{id}", "the victim's id"),
        Plant::TellsForeignFromMissing => ("GET /v1/records/{collection}/{id}", "the victim's id"),
        Plant::NamesTheRow => ("DELETE /v1/records/{collection}/{id}", "the victim's id"),
        Plant::ListForgetsTheFilter => ("GET /v1/agents", "shows the victim to the attacker"),
        Plant::ReplaysAcrossTenants => ("POST /v1/agents", "the victim's idempotency key"),
        Plant::ReplaysToAnyKey => ("POST /v1/agents", "the idempotency key and body of another key"),
        Plant::ReplaysToAnyToken => ("POST /v1/agents", "with a token that lacks the scope"),
        Plant::ReplaysAtObjects => (RUNS, "the victim's idempotency key, ids and body"),
        Plant::HookTrustsTheBody => ("POST /hooks/{token}", "names the victim"),
        Plant::SubjectsNameTheTenant => {
            ("POST /v1/subjects/{subject}", "a message under the victim's whole subject")
        }
        Plant::PatternsReachEverybody => ("GET /v1/subjects/{subject}", "everything, while the victim tells"),
        Plant::HintsReachEverybody => ("GET /v1/subjects/{subject}", "what the server tells the victim"),
        Plant::AnybodySpeaksForTheServer => {
            ("POST /v1/subjects/{subject}", "a message in the server's own name")
        }
        Plant::HeaderChoosesTheTenant => ("GET /v1/me", "X-Tenant-ID names the victim"),
        Plant::TruncatedKeysOpen => ("GET /v1/me", "truncated key"),
        Plant::CacheForgetsTheTenant => ("POST /v1/chat/completions", "whose answer is kept"),
        Plant::RightsAreNotAsked => ("POST /v1/agents", "a viewer's key"),
        Plant::ForeignDeletes => ("DELETE /v1/agents/{id}", "the victim's id"),
        Plant::OwnReachIsForgotten => ("GET /v1/api-keys/{id}", "reaches its own alone"),
        Plant::StreamsAreMixed => ("POST /v1/chat/completions", "stream beside the own"),
        Plant::KeptAnswersOutliveTheTenant => ("DELETE /v1/tenants/{id}", "kept answers"),
        Plant::DeletedHooksLive => ("DELETE /v1/tenants/{id}", "a delivery to a tenant that was erased"),
        Plant::RestoresAnyBackup => ("POST /v1/tenants/{id}/restore", "the victim's backup"),
        Plant::ImportsAnyExport => ("POST /v1/tenants/{id}/import", "the victim's export"),
        Plant::ExportsAreReadable => ("POST /v1/tenants/{id}/export", "searched for what it wrote"),
        Plant::UnsignedTokensOpen => ("GET /v1/me", "the algorithm `none`"),
        Plant::TokensNameTheTenant => ("GET /v1/me", "whose claims name the victim"),
        Plant::ConnectionsRemember => ("GET /v1/me", "no credential after the victim's request"),
        Plant::LogsBodies => ("log", "while the tenants live"),
        Plant::KeepsBodies => ("data folder", "after the tenants were deleted"),
        Plant::QueryNamesTheTenant => ("GET /v1/agents", "names the victim as the tenant"),
        Plant::BodyNamesTheTenant => ("POST /v1/agents", "names the victim as the tenant"),
        Plant::AnyKeyAdministers => ("GET /v1/tenants", "a tenant's key on the operator's"),
        Plant::CursorsCarryTheTenant => ("GET /v1/agents", "the victim's cursor"),
        Plant::ForeignTakesLonger => {
            ("GET /v1/records/{collection}/{id}", "the time that the victim's id takes")
        }
        Plant::LimitsAreShared => ("PATCH /v1/tenants/{id}", "while the other has used its limit up"),
        Plant::TemplatesAreCarriedOut => ("POST /v1/agents", "what templates, databases and headers"),
        Plant::StreamsAreTheFirstCallers => ("GET /v1/me", "many streams, each compared"),
        Plant::MappedAddressesAreOpen => (RUNS, "loopback within an address of IPv6"),
        Plant::RedirectsAreFollowed => (RUNS, "a redirect to inside"),
        Plant::CredentialsGoAnywhere => (RUNS, "a credential at a host that it does not name"),
        Plant::LogsAreMixed => ("GET /v1/audit/proof", "verified under the other's key"),
        Plant::BudgetsAreShared => {
            ("PATCH /v1/tenants/{id}", "model calls while the other has used its budget up")
        }
        Plant::GrantsReachAnyTenant => ("DELETE /v1/tenants/{id}", "a tenant that it did not make"),
        Plant::EndedGrantsLive => ("POST /v1/tenants", "a grant that has expired"),
        Plant::ViewersAdminister => ("POST /v1/tenants/{id}/suspend", "a viewer's operator key"),
        Plant::DefinitionsForgetTheTenant => (RUNS, "which differs from the victim's in one word"),
        Plant::NodesReachAnyRecord => (RUNS, "the victim's id"),
        Plant::VersionsComeFirst => ("POST /v1/workflows/{id}/hook", "a version in If-Match that it has not"),
        Plant::ErasuresStopOthers => ("DELETE /v1/tenants/{id}", "a run that waits while another tenant"),
        Plant::AnyKeyTakesBackups => ("POST /v1/operator/backup", "a tenant's key on the operator's"),
        Plant::BackupsAreReadable => ("POST /v1/operator/backup", "searched for what both tenants wrote"),
        Plant::ProviderIdsPassThrough => ("POST /v1/chat/completions", "the victim's id at the provider"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_server_has_no_leak_and_everything_is_attacked() {
    let server = own_server().await;
    let report = attacked(&server, Plant::None, Only::default()).await;
    server.0.stop().await;
    assert_eq!(report.leaks, [], "an honest server");
    assert_eq!(report.unattacked, [], "everything is attacked");
    assert_eq!(report.not_offered, [], "everything is offered");
    // What is not tried any more shows in the review of this list.
    let tried: Vec<&str> = report.tried.iter().map(String::as_str).collect();
    insta::assert_snapshot!("tried", tried.join("\n"));
}

/// One of them alone, while its attack is written.
#[expect(clippy::disallowed_methods, reason = "a test has neither flags nor a configuration")]
fn alone() -> Option<String> {
    std::env::var("PLANT").ok()
}

// By the patterns that are there for it; that these are part of a whole run is what the list of what was tried
// shows.
#[tokio::test(flavor = "multi_thread")]
async fn every_planted_leak_is_named() {
    let server = own_server().await;
    let alone = alone();
    let meant = |plant: &Plant| alone.as_ref().is_none_or(|alone| format!("{plant:?}") == *alone);
    let plants: Vec<Plant> = Plant::ALL.into_iter().filter(meant).collect();
    assert!(!plants.is_empty(), "there is no plant {alone:?}");
    for plant in plants {
        let (operation, attack) = expected(plant);
        let patterns = Only(vec![format!("{operation} | "), attack.to_owned()]);
        let report = attacked(&server, plant, patterns).await;
        let named =
            report.leaks.iter().any(|leak| leak.operation == operation && leak.attack.contains(attack));
        assert!(named, "{plant:?} is not named: {:#?} {:#?}", report.leaks, report.unattacked);
    }
    server.0.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind() {
    let server = own_server().await;
    let report = attacked(&server, Plant::None, Only::default()).await;
    assert!(!report.is_bad_news());
    let operator = Client::new(server.0.url.clone()).with_key(server.0.operator_key.clone());
    let tenants = operator.get("/v1/tenants?limit=500").await.unwrap();
    assert_eq!(tenants["data"], serde_json::json!([]));
    server.0.stop().await;
}

// The command, told to stop in the midst of its attacks, as a CI system does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_takes_away_what_it_made() {
    let server = own_server().await;
    let operator = Client::new(server.0.url.clone()).with_key(server.0.operator_key.clone());
    let empty = serde_json::json!([]);
    for signal in ["-TERM", "-INT"] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.arg("verify").arg("--url").arg(server.0.url.to_string()).arg("--operator-key-file");
        command.arg(server.0.folder().join("data/operator.key"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let id = child.id().unwrap().to_string();
        let attacking = async {
            while operator.get("/v1/tenants?limit=500").await.unwrap()["data"].as_array().unwrap().len() < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), attacking).await.unwrap();
        assert_ne!(operator.get("/v1/templates").await.unwrap()["data"], empty);
        let asked = tokio::process::Command::new("kill").args([signal, &id]).status().await.unwrap();
        assert!(asked.success());
        let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap();
        let ended = ended.unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains("interrupted"), "{complaint}");
        // In a pipe there is no progress.
        assert!(!complaint.contains("attacks"), "{complaint}");
        for path in ["/v1/tenants?limit=500", "/v1/templates"] {
            assert_eq!(operator.get(path).await.unwrap()["data"], empty, "{path} after {signal}");
        }
    }
    server.0.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_patterns_can_be_tried_alone_and_none_is_an_error() {
    let verify = async |only: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(["verify", "--json"]).args(only.iter().flat_map(|text| ["--only", text]));
        let ended = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let report = serde_json::from_slice(&ended.stdout).unwrap_or(serde_json::Value::Null);
        (ended.status.code(), report, String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (code, report, complaint) = verify(&["GET /v1/me | ", "truncated key"]).await;
    assert_eq!((code, &report["patterns"]), (Some(0), &serde_json::json!(1)), "{report} {complaint}");
    let (code, _, complaint) = verify(&["GET /v1/nothing"]).await;
    assert_eq!(code, Some(2));
    assert!(complaint.contains("no pattern has that in its name"), "{complaint}");
}
