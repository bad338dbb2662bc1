//! Access tokens are renewed before they end, and what goes wrong is told apart.

use crate::provider::Fault;
use crate::world::{Dying, World};
use errors::Code;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::CredentialStatus;

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_its_refresh_token_replaced() {
    let world = World::new().await;
    world.put("crm", world.oauth("refresh_token", Some(600))).await.unwrap();
    for round in 0..4 {
        let attached = world.attach("crm").await.unwrap();
        assert_eq!(world.shown(&attached), format!("authorization: Bearer access-{round}-s3cret"));
        assert_eq!(world.provider.asked(), round);
        world.pass(539);
        assert_eq!(world.shown(&world.attach("crm").await.unwrap()), world.shown(&attached));
        world.pass(1);
    }
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.call("api.test", attached).await.unwrap(), 200);
    assert!(!world.provider.is_dead());
    let row = world.row(world.one, "crm").await;
    assert_eq!((row.refreshing_since, row.status), (None, CredentialStatus::Active));
    assert_eq!(row.expires_at, Some(world.env.now().plus(Duration::from_secs(600))));
}

#[tokio::test]
async fn the_client_shows_itself_to_the_token_endpoint_alone() {
    let world = World::new().await;
    world.put("crm", world.oauth("client_credentials", None)).await.unwrap();
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.call("api.test", attached).await.unwrap(), 200);
    let requests = world.provider.state.lock().unwrap().requests.clone();
    let [token, api] = requests.as_slice() else { panic!("{requests:?}") };
    // base64("cl1ent:client-s3cret")
    assert!(token.contains("authorization: Basic Y2wxZW50OmNsaWVudC1zM2NyZXQ=\r\n"));
    assert!(token.ends_with("\r\n\r\ngrant_type=client_credentials"));
    assert!(api.contains("authorization: Bearer access-1-s3cret\r\n") && !api.contains("Y2wxZW50"));
}

#[tokio::test]
async fn intent_and_outcome_are_in_the_log() {
    let world = World::new().await;
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    world.attach("crm").await.unwrap();
    world.provider.fail(Fault::Says(400, r#"{"error":"invalid_grant"}"#));
    world.pass(600);
    assert!(world.attach("crm").await.is_err());
    let events = world.events().await;
    let told: Vec<_> = events.iter().map(|event| (&event["action"], &event["result"])).collect();
    let told = serde_json::to_value(told).unwrap();
    let expected = json!([
        ["credential.put", "success"],
        ["credential.refresh", "intent"],
        ["credential.refresh", "success"],
        ["credential.refresh", "intent"],
        ["credential.refresh", "failure"],
    ]);
    assert_eq!(told, expected);
    for pair in [[1, 2], [3, 4]] {
        assert_eq!(events[pair[1]]["intent"], events[pair[0]]["event_id"]);
        assert_eq!(events[pair[0]]["actor"]["id"], "credential_refresh");
    }
    assert_eq!(events[4]["details"]["error"], "invalid_grant");
}

#[tokio::test]
async fn a_refusal_parks_until_the_credential_is_stored_again() {
    for grant in ["refresh_token", "client_credentials"] {
        let world = World::new().await;
        world.provider.fail(Fault::Says(400, r#"{"error":"invalid_client","error_description":"s3cret"}"#));
        world.put("crm", world.oauth(grant, None)).await.unwrap();
        for _ in 0..3 {
            let refused = world.attach("crm").await.err().unwrap();
            assert_eq!(refused.code, Code::NeedsReauthorization);
        }
        assert_eq!(world.provider.asked(), 1);
        assert_eq!(world.view("crm").await.unwrap().status, CredentialStatus::NeedsReauthorization);
        world.put("crm", world.oauth(grant, None)).await.unwrap();
        assert!(world.attach("crm").await.is_ok());
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_a_live_token_serves_meanwhile() {
    let world = World::new().await;
    world.put("crm", world.oauth("refresh_token", Some(600))).await.unwrap();
    world.pass(550);
    world.provider.fail(Fault::Says(503, "<html>"));
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.shown(&attached), "authorization: Bearer access-0-s3cret");
    // The endpoint rests for a while, and then is asked again.
    world.attach("crm").await.unwrap();
    assert_eq!(world.provider.asked(), 1);
    world.pass(51);
    world.provider.fail(Fault::Says(429, "{}"));
    let failed = world.attach("crm").await.err().unwrap();
    assert_eq!(failed.code, Code::UpstreamFailed);
    let resting = world.attach("crm").await.err().unwrap();
    assert!(resting.code == Code::UpstreamFailed && resting.retry_after.is_some());
    world.pass(6);
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.call("api.test", attached).await.unwrap(), 200);
    assert_eq!(world.provider.asked(), 3);
    assert!(!world.provider.is_dead());
}

#[tokio::test]
async fn an_answer_that_is_lost_parks_what_rotates_and_nothing_else() {
    for fault in [Fault::Breaks, Fault::Gibberish] {
        let world = World::new().await;
        world.provider.fail(fault.clone());
        world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
        assert_eq!(world.attach("crm").await.err().unwrap().code, Code::NeedsReauthorization);
        world.pass(1000);
        assert_eq!(world.attach("crm").await.err().unwrap().code, Code::NeedsReauthorization);
        assert!(world.provider.asked() == 1 && !world.provider.is_dead());
        assert_eq!(world.events().await.last().unwrap()["result"], "outcome_unknown");

        let world = World::new().await;
        world.provider.fail(fault);
        world.put("crm", world.oauth("client_credentials", None)).await.unwrap();
        assert_eq!(world.attach("crm").await.err().unwrap().code, Code::UpstreamFailed);
        world.pass(6);
        assert!(world.attach("crm").await.is_ok());
    }
}

#[tokio::test]
async fn a_token_endpoint_with_a_private_address_is_not_asked() {
    let world = World::new().await;
    let mut body = world.oauth("refresh_token", None);
    body["token_url"] = json!("https://token.example/token");
    world.put("crm", body).await.unwrap();
    // The name turns out to be at home, where nothing is open but what the operator opened.
    assert_eq!(world.attach("crm").await.err().unwrap().code, Code::EgressDenied);
    assert_eq!(world.view("crm").await.unwrap().status, CredentialStatus::Active);
    assert_eq!(world.provider.state.lock().unwrap().connections, 0);
}

#[tokio::test]
async fn a_crash_before_the_answer_is_kept_parks_at_the_next_use() {
    for (grant, alone, code) in [
        ("refresh_token", true, Some(Code::NeedsReauthorization)),
        ("client_credentials", true, None),
        // Where others work on the same store it may be theirs, until it cannot be any more.
        ("refresh_token", false, Some(Code::Unavailable)),
    ] {
        let world = World::new().await;
        world.put("crm", world.oauth(grant, None)).await.unwrap();
        let dying = world.server(Arc::new(Dying(world.egress.clone())), true);
        let stopped = tokio::time::timeout(Duration::from_millis(500), world.attach_at(&dying, "crm")).await;
        assert!(stopped.is_err() && world.provider.asked() == 1);
        assert!(world.row(world.one, "crm").await.refreshing_since.is_some());

        let next = world.server(world.egress.clone(), alone);
        assert_eq!(world.attach_at(&next, "crm").await.err().map(|problem| problem.code), code);
        if !alone {
            world.pass(121);
            let parked = world.attach_at(&next, "crm").await.err().unwrap();
            assert_eq!(parked.code, Code::NeedsReauthorization);
        }
        // The refresh token that may be used up was never shown again.
        assert!(!world.provider.is_dead());
        let refreshes = if code.is_some() { 1 } else { 2 };
        assert_eq!(world.provider.asked(), refreshes);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_who_were_refused() {
    let world = World::new().await;
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    let attached = world.attach("crm").await.unwrap();
    world.provider.revoke_access();
    assert_eq!(world.call("api.test", attached).await.unwrap(), 401);
    world.pass(60);
    for _ in 0..3 {
        let attached = world.refresh_now("crm").await.unwrap();
        assert_eq!(world.call("api.test", attached).await.unwrap(), 200);
    }
    assert_eq!(world.provider.asked(), 2);
    world.put("key", json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]})).await.unwrap();
    assert_eq!(world.shown(&world.refresh_now("key").await.unwrap()), "authorization: Bearer k3y");
}
