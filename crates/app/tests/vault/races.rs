//! Many who use, store and remove one credential at the same time. The provider kills the family at the
//! first old refresh token that it sees: that must never happen.

use crate::world::{World, slug};
use app::vault::Vault;
use errors::Code;
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::CredentialStatus;

const USERS: usize = 50;

async fn crowd(world: &World, servers: &[Arc<Vault>]) -> Vec<String> {
    let users = (0..USERS).map(|user| async move {
        for _ in 0..200 {
            match world.attach_at(&servers[user % servers.len()], "crm").await {
                Ok(attached) => return world.shown(&attached),
                // Another server is at it, or was.
                Err(problem) if [Code::Unavailable, Code::PreconditionFailed].contains(&problem.code) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(problem) => panic!("{problem}"),
            }
        }
        panic!("it was never refreshed")
    });
    join_all(users).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_users_make_one_refresh() {
    let world = World::new().await;
    world.provider.delay(Duration::from_millis(20));
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    for round in 1..=5 {
        let shown = crowd(&world, std::slice::from_ref(&world.vault)).await;
        assert!(shown.iter().all(|shown| *shown == format!("authorization: Bearer access-{round}-s3cret")));
        assert_eq!(world.provider.asked(), round);
        world.pass(600);
    }
    assert!(!world.provider.is_dead());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_one_store_make_one_refresh() {
    let world = World::new().await;
    world.provider.delay(Duration::from_millis(20));
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    let servers: Vec<_> = (0..3).map(|_| world.server(world.egress.clone(), false)).collect();
    for round in 1..=5 {
        crowd(&world, &servers).await;
        assert_eq!(world.provider.asked(), round);
        world.pass(600);
    }
    assert!(!world.provider.is_dead());
    assert_eq!(world.view("crm").await.unwrap().status, CredentialStatus::Active);
}

#[tokio::test]
async fn who_stops_waiting_takes_nothing_along() {
    let world = World::new().await;
    world.provider.delay(Duration::from_millis(200));
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    let hurried = tokio::time::timeout(Duration::from_millis(50), world.attach("crm")).await;
    assert!(hurried.is_err());
    world.vault.drained().await;
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.shown(&attached), "authorization: Bearer access-1-s3cret");
    world.pass(600);
    assert!(world.attach("crm").await.is_ok());
    assert!(world.provider.asked() == 2 && !world.provider.is_dead());
}

#[tokio::test]
async fn a_slow_endpoint_holds_nobody_up_who_has_a_live_token() {
    let world = World::new().await;
    world.put("crm", world.oauth("refresh_token", Some(600))).await.unwrap();
    world.pass(550);
    world.provider.delay(Duration::from_secs(6));
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.shown(&attached), "authorization: Bearer access-0-s3cret");
    world.vault.drained().await;
    let attached = world.attach("crm").await.unwrap();
    assert_eq!(world.shown(&attached), "authorization: Bearer access-1-s3cret");
}

#[tokio::test]
async fn what_is_stored_during_a_refresh_is_what_counts() {
    let world = World::new().await;
    world.provider.delay(Duration::from_millis(200));
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    let (attached, stored) = tokio::join!(world.attach("crm"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.put("crm", json!({"kind": "api_key", "key": "n3w", "hosts": ["api.test"]})).await
    });
    stored.unwrap();
    assert_eq!(world.shown(&attached.unwrap()), "authorization: Bearer n3w");
    assert_eq!(world.row(world.one, "crm").await.kind, "api_key");
    assert_eq!(world.events().await.last().unwrap()["details"]["superseded"], true);
}

#[tokio::test]
async fn what_is_removed_during_a_refresh_stays_removed() {
    let world = World::new().await;
    world.provider.delay(Duration::from_millis(200));
    world.put("crm", world.oauth("refresh_token", None)).await.unwrap();
    let (attached, removed) = tokio::join!(world.attach("crm"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world
            .visit(world.one, async |tenant| world.vault.delete(&tenant, &slug("crm"), None, None).await)
            .await
    });
    removed.unwrap();
    assert_eq!(attached.err().unwrap().code, Code::NotFound);
    assert_eq!(world.view("crm").await.unwrap_err().code, Code::NotFound);
}
