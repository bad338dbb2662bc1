//! Credentials for outside services: what goes in does not come out, and tokens are renewed.

use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use crate::provider::Provider;
use client::{Answer, Client};
use http::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CRM: &str = "/v1/credentials/crm";

fn kinds() -> Vec<Value> {
    let hosts = json!(["api.example.com", "*.crm.example:8443"]);
    vec![
        json!({"kind": "api_key", "key": "c4nary", "hosts": hosts}),
        json!({"kind": "basic", "username": "c4nary", "password": "c4nary", "hosts": hosts}),
        json!({"kind": "webhook_secret", "secret": "c4nary"}),
        json!({
            "kind": "oauth2", "grant": "refresh_token", "token_url": "https://c4nary.example/token",
            "client_id": "c4nary", "client_secret": "c4nary", "refresh_token": "c4nary",
            "access_token": "c4nary", "expires_at": "2100-01-01T00:00:00Z", "hosts": hosts,
        }),
    ]
}

#[tokio::test]
async fn values_go_in_and_do_not_come_out() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start_with("", &["--log", log.path().to_str().unwrap()]);
    let tenant = server.tenant("Acme").await;
    let mut told = String::new();
    for (number, body) in kinds().into_iter().enumerate() {
        let stored = send_json(&tenant.owner, Method::PUT, CRM, &body).await;
        assert_eq!(stored.status, if number == 0 { 201 } else { 200 }, "{}", stored.text());
        let read = send(&tenant.owner, Method::GET, CRM).await;
        assert_eq!(read.json(), stored.json());
        assert_eq!(read.header("etag"), Some(format!("\"{}\"", number + 1).as_str()));
        assert_eq!((&read.json()["kind"], &read.json()["status"]), (&body["kind"], &json!("active")));
        assert_eq!(read.json()["hosts"], body.get("hosts").cloned().unwrap_or(json!([])));
        let listed = send(&tenant.owner, Method::GET, "/v1/credentials").await;
        assert_eq!(listed.json()["data"], json!([read.json()]));
        told += &(stored.text() + read.text() + listed.text());
    }
    for body in [
        json!({"kind": "api_key", "key": "c4nary"}),
        json!({"kind": "api_key", "key": ["c4nary"], "hosts": ["a.example"]}),
        json!({"kind": "api_key", "key": "c4nary\n", "hosts": ["a.example"]}),
        json!({"kind": "api_key", "key": "c4nary", "c4nary": 1, "hosts": ["a.example"]}),
        json!({"kind": "c4nary"}),
        json!(["c4nary"]),
    ] {
        let refused = send_json(&tenant.owner, Method::PUT, CRM, &body).await;
        assert_refused(&refused, 400, "invalid_request");
        told += &refused.text();
    }
    for body in [r#"{"kind":"api_key","c4nary":1,"c4nary":2}"#, r#"{"kind":"basic","password":c4nary}"#] {
        let call = tenant.owner.call(Method::PUT, CRM).body("application/json", body.into());
        let refused = call.send().await.unwrap();
        assert_refused(&refused, 400, "invalid_request");
        told += &refused.text();
    }
    assert_eq!(send(&tenant.owner, Method::DELETE, CRM).await.status, 204);
    assert_refused(&send(&tenant.owner, Method::GET, CRM).await, 404, "not_found");
    let events = tenant.events("action=credential").await;
    assert_eq!(events.iter().filter(|event| event["action"] == "credential.put").count(), 4);
    told += &serde_json::to_string(&events).unwrap();
    told += &std::fs::read_to_string(log.path()).unwrap();
    assert!(!told.contains("c4nary"), "{told}");
}

#[tokio::test]
async fn only_developers_touch_credentials_and_only_the_tenants_own() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Globex").await);
    let body = &kinds()[0];
    tenant.owner.put(CRM, body).await.unwrap();
    let made = tenant.owner.post("/v1/api-keys", &json!({"name": "m", "role": "member"})).await.unwrap();
    let key = secret::SecretText::new(made["key"].as_str().unwrap().to_owned());
    let member = tenant.owner.with_key(key);
    assert_refused(&send_json(&member, Method::PUT, CRM, body).await, 403, "forbidden");
    for (method, path) in [(Method::GET, CRM), (Method::GET, "/v1/credentials"), (Method::DELETE, CRM)] {
        assert_refused(&send(&member, method, path).await, 403, "forbidden");
    }
    assert_refused(&send(&other.owner, Method::GET, CRM).await, 404, "not_found");
    assert_refused(&send(&other.owner, Method::DELETE, CRM).await, 404, "not_found");
    assert_eq!(other.owner.get("/v1/credentials").await.unwrap()["data"], json!([]));
    assert_refused(&send(&tenant.owner, Method::GET, "/v1/credentials/None!").await, 404, "not_found");
}

/// A token endpoint whose refresh tokens rotate; each answer takes a while.
struct TokenEndpoint {
    port: u16,
    asked: Arc<AtomicUsize>,
    delay: Arc<Mutex<Duration>>,
}

impl TokenEndpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, delay) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Duration>>::default());
        let (counter, pause) = (asked.clone(), delay.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (counter, pause) = (counter.clone(), pause.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 8192];
                    let length = stream.read(&mut request).await.unwrap();
                    let before = counter.fetch_add(1, Ordering::SeqCst);
                    let shown = String::from_utf8_lossy(&request[..length]).into_owned();
                    let present = shown.contains(&format!("refresh_token=refresh-{before}&"))
                        || shown.ends_with(&format!("refresh_token=refresh-{before}"));
                    let pause = *pause.lock().unwrap();
                    tokio::time::sleep(pause).await;
                    let number = before + 1;
                    let (status, body) = if present {
                        let body = json!({"access_token": format!("access-{number}"), "token_type": "bearer",
                            "expires_in": 2, "refresh_token": format!("refresh-{number}")});
                        ("200 OK", body.to_string())
                    } else {
                        ("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned())
                    };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                });
            }
        });
        Self { port, asked, delay }
    }
}

struct World {
    server: Server,
    tenant: Tenant,
    tokens: TokenEndpoint,
    models: Provider,
}

impl World {
    /// A tenant whose own OAuth credential opens the endpoint that serves `gpt-test`.
    async fn new() -> Self {
        let (tokens, models) = (TokenEndpoint::start().await, Provider::start().await);
        let config = format!("[egress]\nallow = [\"127.0.0.1:{}\", \"{}\"]\n", tokens.port, models.host());
        let server = Server::start_with(&config, &[]);
        let tenant = server.tenant("Acme").await;
        let endpoint = json!({"url": models.url, "dialect": "openai", "models": ["gpt-test"],
            "tenant_credential": "models"});
        server.operator.put("/v1/endpoints/own-key", &endpoint).await.unwrap();
        Self { server, tenant, tokens, models }
    }

    async fn store(&self) {
        let number = self.tokens.asked.load(Ordering::SeqCst);
        let body = json!({
            "kind": "oauth2", "grant": "refresh_token", "client_id": "c", "client_secret": "s",
            "token_url": format!("http://127.0.0.1:{}/token", self.tokens.port),
            "refresh_token": format!("refresh-{number}"), "hosts": ["127.0.0.1"],
        });
        self.owner().put("/v1/credentials/models", &body).await.unwrap();
    }

    fn owner(&self) -> Client {
        self.tenant.owner_at(&self.server)
    }

    async fn chat(&self) -> Answer {
        let body = json!({"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]});
        send_json(&self.owner(), Method::POST, "/v1/chat/completions", &body).await
    }

    async fn status(&self) -> Value {
        self.owner().get("/v1/credentials/models").await.unwrap()["status"].clone()
    }
}

#[tokio::test]
async fn a_models_key_is_renewed_as_it_is_used() {
    let world = World::new().await;
    assert_eq!(world.chat().await.status, 409);
    world.store().await;
    for number in 1..=3 {
        let answers = futures::future::join_all((0..20).map(|_| world.chat())).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{}", answers[0].text());
        assert_eq!(world.tokens.asked.load(Ordering::SeqCst), number);
        let shown = world.models.requests().last().unwrap()["authorization"].clone();
        assert_eq!(shown, json!(format!("Bearer access-{number}")));
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    let events = world.tenant.events("action=credential.refresh").await;
    assert_eq!(events.len(), 6);
    assert_eq!(events[0]["intent"], events[1]["event_id"]);
    // Token endpoints are outside services.
    let usage = world.owner().get("/v1/usage?group_by=tool").await.unwrap();
    let line =
        usage["data"].as_array().unwrap().iter().find(|line| !line["group"]["tool"].is_null()).unwrap();
    let asked = format!("127.0.0.1:{}", world.tokens.port);
    assert_eq!((&line["group"]["tool"], &line["api_calls"]), (&json!(asked), &json!(3)));
}

#[tokio::test]
async fn a_crash_during_a_refresh_asks_for_the_credential_again() {
    let mut world = World::new().await;
    world.store().await;
    *world.tokens.delay.lock().unwrap() = Duration::from_secs(60);
    let hangs = tokio::time::timeout(Duration::from_secs(2), world.chat()).await;
    assert!(hangs.is_err());
    assert_eq!(world.tokens.asked.load(Ordering::SeqCst), 1);
    world.server.crash_and_restart();
    *world.tokens.delay.lock().unwrap() = Duration::ZERO;
    let refused = world.chat().await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("needs_reauthorization")));
    assert_eq!(world.tokens.asked.load(Ordering::SeqCst), 1, "the old refresh token was shown again");
    assert_eq!(world.status().await, "needs_reauthorization");
    world.store().await;
    assert_eq!(world.chat().await.status, 200);
    assert_eq!(world.status().await, "active");
}

#[tokio::test]
async fn many_who_store_at_once_are_all_heard_and_of_those_with_a_condition_one() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = "/v1/credentials/crowded";
    let put = async |number: usize, version: Option<&str>| {
        let body = json!({"kind": "api_key", "key": format!("k-{number}"), "hosts": ["api.example.com"]});
        let call = tenant.owner.call(Method::PUT, path).json(&body).unwrap();
        let call = version.into_iter().fold(call, |call, version| call.header("If-Match", version));
        call.send().await.unwrap()
    };
    let all = futures::future::join_all((0..48).map(|number| put(number, None))).await;
    for answer in &all {
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    let version = send(&tenant.owner, Method::GET, path).await.header("etag").unwrap().to_owned();
    let all = futures::future::join_all((0..8).map(|number| put(number, Some(&version)))).await;
    let statuses: Vec<u16> = all.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
    // A condition on what is not there does not hold.
    let missing = tenant.owner.call(Method::DELETE, "/v1/credentials/none").header("If-Match", &version);
    assert_eq!(missing.send().await.unwrap().status, 404);
}
