//! Calls under way of a tenant that is suspended or erased.

use super::{World, ask, ask_stream, eventually};
use crate::harness::send;
use http::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn suspending_ends_the_calls_under_way_and_charges_what_they_used() {
    let world = World::new().await;
    world.set_budget("1").await;
    let client = world.client.clone();
    let whole = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask("hangs")).unwrap();
        call.send().await.unwrap()
    });
    let client = world.client.clone();
    let stream = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask_stream("slow")).unwrap();
        call.listen(Duration::from_secs(40)).await
    });
    eventually("both are asked", async || (world.provider.requests().len() == 2).then_some(())).await;
    eventually("both are durable", async || (world.events().await.len() == 2).then_some(())).await;

    let path = format!("/v1/tenants/{}", world.tenant.id);
    let suspended = send(&world.server.operator, Method::POST, &format!("{path}/suspend")).await;
    assert_eq!(suspended.json()["status"], "suspended");
    let refused = whole.await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("tenant_suspended")));
    let _ = stream.await.unwrap();
    eventually("the stream is cancelled at the provider", async || {
        (world.provider.cancelled() == 1).then_some(())
    })
    .await;

    send(&world.server.operator, Method::POST, &format!("{path}/resume")).await;
    let budget = world.budget().await;
    assert_eq!(budget["reserved"], "0.00", "all was written down before the suspension was answered");
    assert_ne!(budget["spent"], "0.00");
    let events = world.events().await;
    let ended: Vec<_> = events.iter().filter(|event| event["reason_code"] == "cancelled").collect();
    assert_eq!(ended.len(), 2, "{events:?}");
}

#[tokio::test]
async fn erasing_ends_the_calls_under_way() {
    let world = World::new().await;
    let client = world.client.clone();
    let whole = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask("hangs")).unwrap();
        call.send().await.unwrap()
    });
    eventually("it is asked", async || (!world.provider.requests().is_empty()).then_some(())).await;
    let path = format!("/v1/tenants/{}", world.tenant.id);
    let erased = send(&world.server.operator, Method::DELETE, &path).await;
    assert_eq!(erased.status, 200, "{}", erased.text());
    assert_eq!(whole.await.unwrap().status, 403);
}

#[tokio::test]
async fn kept_answers_are_forgotten_with_a_suspension() {
    let world = World::new().await;
    let on = [("x-tenantry-cache", "on")];
    let kept = async || {
        let answer = world.call(&world.client, ask("gpt-test"), &on).await;
        answer.header("x-tenantry-cache").unwrap().to_owned()
    };
    assert_eq!((kept().await, kept().await), ("miss".to_owned(), "hit".to_owned()));
    for order in ["suspend", "resume"] {
        send(&world.server.operator, Method::POST, &format!("/v1/tenants/{}/{order}", world.tenant.id)).await;
    }
    assert_eq!(kept().await, "miss");
}

#[tokio::test]
async fn leases_end_while_the_tenant_is_suspended() {
    let mut world = World::with("[limits]\nmodel_call_seconds = 2\n", json!({})).await;
    world.set_budget("1.00").await;
    let client = world.client.clone();
    let waiting = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask("hangs")).unwrap();
        call.send().await
    });
    eventually("the intent is durable", async || world.events().await.pop()).await;
    world.server.crash_and_restart();
    assert!(waiting.await.unwrap().is_err());
    world.client = world.tenant.owner_at(&world.server);
    let order = async |order: &str| {
        let path = format!("/v1/tenants/{}/{order}", world.tenant.id);
        send(&world.server.operator, Method::POST, &path).await
    };
    order("suspend").await;
    // Its lease is over after seven seconds, and leases are looked at every two.
    tokio::time::sleep(Duration::from_secs(11)).await;
    order("resume").await;
    let outcome = world.events().await.pop().unwrap();
    assert_eq!(outcome["result"], "outcome_unknown", "{outcome}");
}
