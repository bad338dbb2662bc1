//! Providers that break the rules of HTTP: whatever they do ends in time and in little memory, is settled exactly,
//! and slows nobody else.

use super::{World, ask, ask_stream};
use crate::harness::send_json;
use crate::rude::{WAYS, peak_kib, start};
use http::Method;
use money::Usd;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a call may take, in seconds.
const CALL_SECONDS: u64 = 2;
/// How much memory the server may come to use besides, in KiB.
const MEMORY_KIB: u64 = 96 << 10;

/// One endpoint for each way, so that none is given up because of another.
async fn put_endpoint(world: &World, way: &str, host: &str) {
    let prices = json!({way: {"input_per_million": "1", "output_per_million": "10"}});
    let endpoint = json!({"url": format!("http://{host}/v1"), "dialect": "openai", "models": [way], "prices": prices,
        "api_key": "sk-of-the-operator", "max_output_tokens": 100});
    world.server.operator.put(&format!("/v1/endpoints/{way}"), &endpoint).await.unwrap();
}

/// Asks for an answer that does not come as it should. Where the head is out already, the stream says so.
async fn fails(world: &World, way: &str, stream: bool) {
    let body = if stream { ask_stream(way) } else { ask(way) };
    let asked = send_json(&world.client, Method::POST, "/v1/chat/completions", &body);
    let answer = tokio::time::timeout(Duration::from_secs(CALL_SECONDS + 6), asked).await;
    let answer = answer.unwrap_or_else(|_| panic!("{way} ({stream}) goes on for ever"));
    let text = answer.text();
    let code = if answer.status.is_success() {
        let last = text.trim().rsplit("data: ").next().unwrap();
        assert!(stream && text.contains("\"error\""), "{way} ({stream}): {last}");
        serde_json::from_str::<Value>(last).unwrap()["error"]["code"].clone()
    } else {
        answer.json()["code"].clone()
    };
    let codes = ["upstream_failed", "upstream_timeout"];
    assert!(codes.iter().any(|known| code == *known), "{way} ({stream}): {code} {text:.300}");
}

/// Every intent has one outcome, and budget and usage are the sum of what these cost.
async fn assert_settled(world: &World) {
    let (mut intents, mut costs) = (0, BTreeMap::new());
    for event in world.events().await {
        if event["result"] == "intent" {
            intents += 1;
        } else {
            let cost: Usd = event["cost"]["usd"].as_str().unwrap().parse().unwrap();
            let twice = costs.insert(event["intent"].as_str().unwrap().to_owned(), cost);
            assert!(twice.is_none(), "{event}");
        }
    }
    assert_eq!(intents, costs.len());
    let spent: Usd = costs.values().copied().sum();
    let budget = world.budget().await;
    assert_eq!(budget["reserved"], "0.00");
    assert_eq!(budget["spent"].as_str().unwrap().parse::<Usd>().unwrap(), spent);
    let usage = world.client.get("/v1/usage").await.unwrap();
    let lines = usage["data"].as_array().unwrap().iter();
    let charged: Usd = lines.map(|line| line["cost_usd"].as_str().unwrap().parse::<Usd>().unwrap()).sum();
    assert_eq!(charged, spent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_provider_does_ends_in_time_is_settled_and_slows_nobody() {
    let hosts = futures::future::join_all(WAYS.iter().map(|_| start())).await;
    let allowed: String = hosts.iter().map(|host| format!("\"{host}\", ")).collect();
    let config =
        format!("[limits]\nmodel_call_seconds = {CALL_SECONDS}\n[egress]\nallow = [{allowed}\"PROVIDER\"]\n");
    let world = World::with(&config, json!({})).await;
    for (way, host) in WAYS.iter().zip(&hosts) {
        put_endpoint(&world, way, host).await;
    }
    assert!(world.set_budget("100").await.status.is_success());
    let other = world.server.tenant("Bolt").await;
    let before = peak_kib(&world.server);
    let asking = async {
        for stream in [false, true] {
            let all = WAYS.iter().map(|way| fails(&world, way, stream));
            futures::future::join_all(all).await;
        }
    };
    let neighbour = async {
        let body = ask("offline");
        loop {
            let asked = send_json(&other.owner, Method::POST, "/v1/chat/completions", &body);
            let answer =
                tokio::time::timeout(Duration::from_secs(1), asked).await.expect("a neighbour is slowed");
            assert!(answer.status.is_success(), "{}", answer.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = neighbour => {}
    }
    let grown = peak_kib(&world.server) - before;
    assert!(grown < MEMORY_KIB, "the server grew by {grown} KiB");
    assert_settled(&world).await;
}
