//! Following a run ends with the credential, and keeps no server from stopping.

use super::{stage, start, workflow};
use crate::harness::assert_refused;
use http::Method;
use secret::SecretText;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

fn slow(url: String) -> serde_json::Value {
    json!({
        "name": "Slow",
        "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "wait", "type": "http", "method": "GET", "after": ["start"], "url": url},
        ],
    })
}

#[tokio::test]
async fn a_revoked_key_and_a_suspended_tenant_follow_nothing_any_more() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let workflow = workflow(&tenant, &slow(service.url("/slow/30000"))).await;
    let run = start(&tenant.owner, &workflow, json!({})).await;
    let made = tenant.owner.post("/v1/api-keys", &json!({"name": "f", "role": "viewer"})).await.unwrap();
    let follower = tenant.owner.with_key(SecretText::new(made["key"].as_str().unwrap().to_owned()));
    let path = format!("/v1/runs/{run}/events");
    let span = Duration::from_secs(25);
    let begun = Instant::now();
    let (followed, still) = tokio::join!(follower.call(Method::GET, &path).listen(span), async {
        // By now the stream has begun.
        tokio::time::sleep(Duration::from_secs(1)).await;
        tenant.owner.delete(&format!("/v1/api-keys/{}", made["id"].as_str().unwrap())).await.unwrap();
        tenant.owner.call(Method::GET, &path).listen(Duration::from_secs(10)).await
    });
    assert!(followed.unwrap().text().contains("event: "), "the stream had begun");
    assert!(still.unwrap().text().contains(":\n\n"), "whoever is still let in is still told");
    assert!(begun.elapsed() < span, "the stream went on");

    let begun = Instant::now();
    let (followed, _) = tokio::join!(tenant.owner.call(Method::GET, &path).listen(span), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.operator.post(&format!("/v1/tenants/{}/suspend", tenant.id), &json!({})).await.unwrap();
    });
    assert!(followed.unwrap().status.is_success());
    assert!(begun.elapsed() < span, "the stream went on");
}

#[tokio::test]
async fn a_stop_ends_what_follows_and_a_tenant_has_so_many_followers() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    // It takes longer than all this.
    let workflow = workflow(&tenant, &slow(service.url("/slow/60000"))).await;
    let run = start(&tenant.owner, &workflow, json!({})).await;
    let path = format!("/v1/runs/{run}/events");
    let follow = || {
        let (owner, path) = (tenant.owner.clone(), path.clone());
        tokio::spawn(async move { owner.call(Method::GET, &path).listen(Duration::from_secs(60)).await })
    };
    let followers: Vec<_> = (0..105).map(|_| follow()).collect();
    let over = || followers.iter().filter(|follower| follower.is_finished()).count();
    for _ in 0..500 {
        if over() >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(over(), 5, "a hundred follow, and the others are told");
    for refused in followers.into_iter().filter(|follower| follower.is_finished()) {
        assert_refused(&refused.await.unwrap().unwrap(), 429, "concurrency_limited");
    }
    let begun = Instant::now();
    server.stop_and_restart().await;
    // The step under way has ten seconds; whoever follows has none.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
