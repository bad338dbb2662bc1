//! Where a credential goes, and where it never does.

use super::server::{Server, ok};
use super::world::{World, get};
use context::{Origin, Private};
use egress::{AttachedCredential, Egress, EgressError, Headers, OutboundRequest};
use secret::SecretText;

fn credential(host: &str) -> Option<AttachedCredential> {
    let value = SecretText::new("Bearer s3cret".into());
    AttachedCredential::new(vec![host.parse().unwrap()], "authorization", value).ok()
}

#[tokio::test]
async fn it_goes_to_its_host_and_over_what_the_tenant_wrote() {
    let server = Server::answering(ok("")).await;
    let world = World::allowing(&[server.at("crm.test")]).await;
    let headers = Headers::parse([("authorization", "mine"), ("Authorization", "mine too")]).unwrap();
    let request = get(&format!("http://{}/", server.at("crm.test")));
    let request = OutboundRequest { credential: credential("crm.test"), headers, ..request };
    assert!(world.send(request).await.is_ok());
    let sent = &server.requests()[0];
    assert_eq!(sent.matches("authorization").count(), 1);
    assert!(sent.contains("authorization: Bearer s3cret\r\n"));
}

#[tokio::test]
async fn another_host_is_not_even_resolved() {
    let server = Server::answering(ok("")).await;
    let world = World::allowing(&[server.at("evil.test")]).await;
    let request = get(&format!("http://{}/", server.at("evil.test")));
    let error = world.send(OutboundRequest { credential: credential("crm.test"), ..request }).await.err();
    assert!(matches!(&error, Some(error @ EgressError::HostNotInCredential) if !error.sent()), "{error:?}");
    assert_eq!((world.asked(), server.connections()), (0, 0));
}

#[tokio::test]
async fn it_does_not_go_in_the_clear() {
    let world = World::allowing(&["crm.test:8080".into()]).await;
    let request = OutboundRequest { credential: credential("crm.test"), ..get("http://crm.test/") };
    let error = world.send(request).await.err();
    assert!(matches!(error, Some(EgressError::CredentialInTheClear)), "{error:?}");
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn no_redirect_carries_it_not_even_to_the_same_host() {
    let target = Server::answering(ok("")).await;
    let hops = [
        Server::redirecting(302, &format!("http://{}/", target.at("crm.test"))).await,
        Server::redirecting(307, &format!("http://{}/", target.at("other.test"))).await,
    ];
    for hop in &hops {
        let world =
            World::allowing(&[hop.at("crm.test"), target.at("crm.test"), target.at("other.test")]).await;
        let headers =
            Headers::parse([("x-api-key", "k3y"), ("cookie", "c00kie"), ("accept", "a/b")]).unwrap();
        let request = get(&format!("http://{}/", hop.at("crm.test")));
        let request =
            OutboundRequest { credential: credential("crm.test"), headers, follow_redirects: 1, ..request };
        assert!(world.send(request).await.is_ok());
        assert!(hop.requests()[0].contains("s3cret") && hop.requests()[0].contains("k3y"));
    }
    for sent in target.requests() {
        assert!(sent.contains("accept: a/b"));
        assert!(!["s3cret", "k3y", "c00kie"].iter().any(|secret| sent.contains(secret)), "{sent}");
    }
    assert_eq!(target.requests().len(), 2);
}

#[tokio::test]
async fn another_tenants_request_stays() {
    let server = Server::answering(ok("")).await;
    let world = World::allowing(&[server.at("crm.test")]).await;
    let request = get(&format!("http://{}/", server.at("crm.test")));
    let other = world.admission(1).tenant_id();
    let send = async |tenant: context::Tenant<'_>| {
        let theirs = Private::arrived(&tenant, Origin::authenticated(other), request);
        world.egress.send(&tenant, theirs).await.err()
    };
    let error = world.admission(0).enter(send).await;
    assert!(matches!(&error, Some(error @ EgressError::Crossing(_)) if !error.sent()), "{error:?}");
    assert_eq!((world.asked(), server.connections()), (0, 0));
}
