//! What each kind sends, and where it goes.

use crate::world::{World, out, slug};
use authz::{Role, SystemPrincipal};
use context::{RequestFacts, Tenant};
use egress::{EgressError, Host};
use errors::Code;
use serde_json::json;

#[tokio::test]
async fn each_kind_is_sent_as_its_own_header() {
    let world = World::new().await;
    let hosts = ["api.test"];
    for (body, expected) in [
        (json!({"kind": "api_key", "key": "k3y", "hosts": hosts}), "authorization: Bearer k3y"),
        (
            json!({"kind": "api_key", "key": "k3y", "prefix": "Token ", "hosts": hosts}),
            "authorization: Token k3y",
        ),
        (json!({"kind": "api_key", "key": "k3y", "header": "X-Key", "hosts": hosts}), "x-key: k3y"),
        (
            json!({"kind": "basic", "username": "Aladdin", "password": "open sesame", "hosts": hosts}),
            "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (world.oauth("refresh_token", Some(600)), "authorization: Bearer access-0-s3cret"),
    ] {
        world.put("crm", body).await.unwrap();
        assert_eq!(world.shown(&world.attach("crm").await.unwrap()), expected);
    }
    assert_eq!(world.provider.asked(), 0);
}

#[tokio::test]
async fn it_goes_to_its_hosts_and_nowhere_else() {
    let world = World::new().await;
    world.put("crm", json!({"kind": "api_key", "key": "k3y-s3cret", "hosts": ["api.test"]})).await.unwrap();
    let attached = async || world.attach("crm").await.unwrap();
    assert_eq!(world.call("api.test", attached().await).await.unwrap(), 401);
    let before = world.provider.state.lock().unwrap().connections;
    let refused = world.call("evil.test", attached().await).await;
    assert!(matches!(refused, Err(EgressError::HostNotInCredential)));
    let state = world.provider.state.lock().unwrap();
    assert_eq!(state.connections, before);
    assert_eq!(state.requests.iter().filter(|request| request.contains("k3y-s3cret")).count(), 1);
}

#[tokio::test]
async fn other_hosts_need_the_secret_again() {
    let world = World::new().await;
    world.put("crm", json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]})).await.unwrap();
    let pointed = world.put("crm", json!({"kind": "api_key", "hosts": ["evil.test"]})).await;
    assert_eq!(pointed.unwrap_err().code, Code::InvalidRequest);
    assert_eq!(world.view("crm").await.unwrap().hosts, ["api.test"]);
    world.put("crm", json!({"kind": "api_key", "key": "other", "hosts": ["evil.test"]})).await.unwrap();
    let attached = world.attach("crm").await.unwrap();
    assert!(matches!(world.call("api.test", attached).await, Err(EgressError::HostNotInCredential)));
}

#[tokio::test]
async fn a_webhook_secret_is_compared_and_never_sent() {
    let world = World::new().await;
    world.put("hook", json!({"kind": "webhook_secret", "secret": "whsec"})).await.unwrap();
    assert_eq!(world.attach("hook").await.err().unwrap().code, Code::Conflict);
    world.put("crm", json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]})).await.unwrap();
    world
        .visit(world.one, async |tenant| {
            let secret = world.vault.webhook_secret(&tenant, &slug("hook")).await.unwrap();
            assert!(secret.is(|secret| secret.expose() == "whsec"));
            let refused = world.vault.webhook_secret(&tenant, &slug("crm")).await.err();
            assert_eq!(refused.unwrap().code, Code::NotFound);
        })
        .await;
}

#[tokio::test]
async fn a_key_for_models_goes_to_its_host_and_any_caller_of_the_model_may_use_it() {
    let world = World::new().await;
    world
        .put("openai", json!({"kind": "api_key", "key": "sk-1", "hosts": ["api.test", "only.test:8443"]}))
        .await
        .unwrap();
    let key = async |tenant, service: &str, host: &str, port: u16| {
        let (service, host) = (slug(service), Host::parse(host).unwrap());
        let admission = world.admit(tenant, Role::Member).await;
        let use_it =
            async |tenant: Tenant<'_>| world.vault.upstream_key(&tenant, &service, (&host, port, true)).await;
        admission.enter(use_it).await.unwrap().map(|key| key.expose().to_owned())
    };
    assert_eq!(key(world.one, "openai", "api.test", 443).await.as_deref(), Some("sk-1"));
    assert_eq!(key(world.one, "openai", "evil.test", 443).await, None);
    assert_eq!(key(world.one, "openai", "only.test", 443).await, None);
    assert_eq!(key(world.one, "openai", "only.test", 8443).await.as_deref(), Some("sk-1"));
    assert_eq!(key(world.one, "other", "api.test", 443).await, None);
    assert_eq!(key(world.two, "openai", "api.test", 443).await, None);
}

#[tokio::test]
async fn only_who_may_uses_stores_and_looks() {
    let world = World::new().await;
    let body = json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]});
    world.put("crm", body.clone()).await.unwrap();
    let crm = slug("crm");
    let member = async |tenant: Tenant<'_>| {
        let vault = &world.vault;
        let new = serde_json::from_value(body).unwrap();
        [
            vault.attach(&tenant, &crm).await.err(),
            vault.refresh_now(&tenant, &crm).await.err(),
            vault.webhook_secret(&tenant, &crm).await.err(),
            vault.get(&tenant, &crm).await.err(),
            vault.list(&tenant, &store::PageRequest::first()).await.err(),
            vault.put(&tenant, crm.clone(), new, None, None).await.err(),
            vault.delete(&tenant, &crm, None, None).await.err(),
        ]
    };
    let refused = world.admit(world.one, Role::Member).await.enter(member).await;
    assert!(
        refused.iter().all(|problem| problem.as_ref().is_some_and(|problem| problem.code == Code::Forbidden))
    );
    let facts = RequestFacts::internal(world.env.id());
    let running = SystemPrincipal::RunExecution;
    let running = world.authenticator.admit_system(running, world.one, None, facts).await.unwrap();
    let attached =
        async |tenant: Tenant<'_>| world.vault.attach(&tenant, &crm).await.map(|it| out(&tenant, it));
    assert!(running.enter(attached).await.is_ok());
    world
        .visit(world.two, async |tenant| {
            let missing = world.vault.attach(&tenant, &crm).await.err().unwrap();
            assert_eq!(missing.code, Code::NotFound);
        })
        .await;
}

#[tokio::test]
async fn storing_counts_versions_and_heeds_the_one_that_was_seen() {
    let world = World::new().await;
    let body = json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]});
    world
        .visit(world.one, async |tenant| {
            let new = || serde_json::from_value(body.clone()).unwrap();
            let put = async |expected| {
                let stored = world.vault.put(&tenant, slug("crm"), new(), expected, None).await?;
                Ok::<_, errors::Problem>(out(&tenant, stored))
            };
            let first = put(None).await.unwrap();
            assert!(first.made && first.version == 1);
            let second = put(Some(1)).await.unwrap();
            assert!(!second.made && second.version == 2 && second.view.id == first.view.id);
            assert_eq!(put(Some(1)).await.err().unwrap().code, Code::PreconditionFailed);
            let delete = async |expected| world.vault.delete(&tenant, &slug("crm"), expected, None).await;
            assert_eq!(delete(Some(1)).await.unwrap_err().code, Code::PreconditionFailed);
            delete(Some(2)).await.unwrap();
            assert_eq!(delete(None).await.unwrap_err().code, Code::NotFound);
            assert_eq!(put(Some(2)).await.err().unwrap().code, Code::PreconditionFailed);
            let again = put(None).await.unwrap();
            assert!(again.made && again.view.id != first.view.id);
        })
        .await;
}
