//! Services that break the rules of HTTP, as `http` steps meet them: whatever they do ends in time and in little
//! memory, the run says clearly how, and nobody else is slowed.

use super::{over, start, step, workflow};
use crate::harness::{Server, Tenant};
use crate::rude::{WAY, WAYS, peak_kib};
use crate::work::service::Service;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a step may take, in seconds.
const STEP_SECONDS: u64 = 2;
/// How much memory the server may come to use besides, in KiB.
const MEMORY_KIB: u64 = 64 << 10;
/// Calls to outside services that one tenant has under way at once; more are told to wait.
const AT_ONCE: usize = 10;
/// What is right by HTTP, however strange: an `http` step takes it as it is.
const PASSES: [&str; 3] = ["garbage-json", "garbage-events", "too-short-a-length"];

/// What a step is told.
const CAUSES: [&str; 5] = [
    "did not answer in time",
    "broke before the answer was complete",
    "is longer than allowed",
    "is not HTTP",
    "answered",
];

fn call(method: &str, url: &str) -> Value {
    // A deed that may have been done is not done again by itself.
    let on_unknown = if method == "GET" { "retry" } else { "stop" };
    json!({"name": "Rude", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "call", "type": "http", "after": ["start"], "method": method, "url": url,
         "timeout": STEP_SECONDS, "retry": {"max_attempts": 1}, "on_unknown": on_unknown},
    ]})
}

/// One run with one call; it ends in time, and says how.
async fn ends(tenant: &Tenant, method: &str, url: &str) {
    let workflow = workflow(tenant, &call(method, url)).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    let ended = tokio::time::timeout(Duration::from_secs(STEP_SECONDS + 8), over(&tenant.owner, &run)).await;
    let run = ended.unwrap_or_else(|_| panic!("{method} {url} goes on for ever"));
    let told = step(&run, "call");
    if PASSES.iter().any(|way| url.ends_with(way)) {
        assert_eq!(run["status"], "succeeded", "{method} {url}: {told}");
        return;
    }
    // It says what the service did; and of a deed that may have been done, that it may have.
    let error = told["error"].as_str().unwrap();
    assert!(CAUSES.iter().any(|cause| error.contains(cause)), "{method} {url}: {error}");
    let (answered, silent) = (error.contains("answered"), url.starts_with("https"));
    let unknown = method == "POST" && !answered && !silent;
    assert_eq!(error.contains("may have taken effect"), unknown, "{method} {url}: {error}");
    let status = if unknown { "unknown" } else { "failed" };
    assert_eq!(
        (&run["status"], &told["status"]),
        (&json!("failed"), &json!(status)),
        "{method} {url}: {told}"
    );
}

/// Every call is told of before it and after it, once each.
async fn assert_told(tenant: &Tenant, calls: usize) {
    let (mut intents, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for event in tenant.events("action=http.call").await {
        let fresh = match event["result"] == "intent" {
            true => intents.insert(event["event_id"].as_str().unwrap().to_owned()),
            false => outcomes.insert(event["intent"].as_str().unwrap().to_owned()),
        };
        assert!(fresh, "{event}");
    }
    assert_eq!(intents, outcomes);
    assert_eq!(intents.len(), calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_service_does_to_a_step_ends_in_time_and_slows_nobody() {
    let service = Service::start().await;
    let ways = || WAYS.iter().copied().chain(["redirect"]);
    // A host for each, so that none is given up because of another; and one that speaks no TLS.
    let hosts = futures::future::join_all(ways().map(|_| crate::rude::start())).await;
    let mut urls: Vec<_> = ways().zip(&hosts).map(|(way, host)| format!("http://{host}{WAY}{way}")).collect();
    let mute = crate::rude::start().await;
    urls.push(format!("https://{mute}{WAY}hang"));
    let allowed: String = hosts.iter().chain([&mute]).map(|host| format!("\"{host}\", ")).collect();
    let config = format!("[egress]\nallow = [{allowed}\"{}\"]\n", service.host);
    let server = Server::start_with(&config, &[]);
    let tenant = server.tenant_on("crowd", &json!({"concurrent_runs": 50}), "Acme").await;
    let other = server.tenant("Bolt").await;
    let quick = workflow(&other, &call("GET", &service.url("/ok/quick"))).await;
    let before = peak_kib(&server);
    let asking = async {
        for method in ["GET", "POST"] {
            for urls in urls.chunks(AT_ONCE) {
                futures::future::join_all(urls.iter().map(|url| ends(&tenant, method, url))).await;
            }
        }
    };
    let neighbour = async {
        loop {
            let run = async { over(&other.owner, &start(&other.owner, &quick, Value::Null).await).await };
            let run = tokio::time::timeout(Duration::from_secs(3), run).await.expect("a neighbour is slowed");
            assert_eq!(run["status"], "succeeded", "{run}");
        }
    };
    tokio::select! {
        () = asking => {}
        () = neighbour => {}
    }
    let grown = peak_kib(&server) - before;
    assert!(grown < MEMORY_KIB, "the server grew by {grown} KiB");
    assert_told(&tenant, 2 * urls.len()).await;
}
