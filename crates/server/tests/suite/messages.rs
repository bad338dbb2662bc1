//! Messages under subjects.

mod over_nats;
mod servers_own;

use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use client::{Answer, Client};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::time::Duration;

/// How long somebody listens.
const SPAN: Duration = Duration::from_millis(600);
/// How long it may take until somebody listens.
const EAR: Duration = Duration::from_millis(200);

async fn listen(who: &Client, subject: &str, after: Option<&str>) -> Answer {
    let mut call = who.call(Method::GET, &format!("/v1/subjects/{subject}"));
    if let Some(after) = after {
        call = call.header("last-event-id", after);
    }
    call.listen(SPAN).await.unwrap()
}

async fn tell(who: &Client, subject: &str, data: &Value) -> Answer {
    send_json(who, Method::POST, &format!("/v1/subjects/{subject}"), data).await
}

/// What was heard: each event's id, name and data.
fn heard(answer: &Answer) -> Vec<(String, String, Value)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text().into_owned();
    let events = text.split("\n\n").filter(|event| event.contains("event: "));
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let event = |event| {
        let data = serde_json::from_str(&field(event, "data: ")).unwrap();
        (field(event, "id: "), field(event, "event: "), data)
    };
    events.map(event).collect()
}

async fn key(tenant: &Tenant, role: &str, scopes: &[&str]) -> (String, Client) {
    let made = json!({"name": role, "role": role, "scopes": scopes});
    let made = tenant.owner.post("/v1/api-keys", &made).await.unwrap();
    let client = tenant.owner.with_key(SecretText::new(made["key"].as_str().unwrap().to_owned()));
    (made["id"].as_str().unwrap().to_owned(), client)
}

#[tokio::test]
async fn what_is_told_is_heard_in_its_tenant_alone() {
    let server = Server::start();
    let (one, two) = (server.tenant("One").await, server.tenant("Two").await);
    let telling = async {
        tokio::time::sleep(EAR).await;
        let told = tell(&one.owner, "app.orders.created", &json!({"order": 7})).await;
        assert_eq!(told.status, 202, "{}", told.text());
        told.json()
    };
    let whole = format!("tenant.{}.app.%3E", one.id);
    let (named, own, other, told) = tokio::join!(
        listen(&one.owner, &whole, None),
        listen(&one.owner, "app.*.created", None),
        listen(&two.owner, "app.%3E", None),
        telling
    );
    let events = heard(&named);
    assert_eq!(events, heard(&own));
    assert_eq!(heard(&other), []);
    let [(_, name, data)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(name, "message");
    let subject = format!("tenant.{}.app.orders.created", one.id);
    assert_eq!((&data["id"], &data["subject"]), (&told["id"], &json!(subject)));
    assert_eq!(told["subject"], json!(subject));
    assert_eq!(data["data"], json!({"order": 7}));
    assert_eq!(data["publisher"].as_str().unwrap().get(..4), Some("key_"));
    for path in [whole, format!("tenant.{}.app.orders", one.id)] {
        let path = format!("/v1/subjects/{path}");
        assert_refused(&send(&two.owner, Method::GET, &path).await, 404, "not_found");
    }
    let foreign = format!("tenant.{}.app.orders.created", one.id);
    assert_refused(&tell(&two.owner, &foreign, &json!({})).await, 404, "not_found");
}

#[tokio::test]
async fn a_listener_goes_on_where_it_was() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let telling = async {
        tokio::time::sleep(EAR).await;
        for number in 0..3 {
            tell(&tenant.owner, "app.count", &json!({"number": number})).await;
        }
    };
    let (answer, ()) = tokio::join!(listen(&tenant.owner, "app.count", None), telling);
    let events = heard(&answer);
    let numbers = |events: &[(String, String, Value)]| -> Vec<Value> {
        events.iter().map(|(_, _, data)| data["data"]["number"].clone()).collect()
    };
    assert_eq!(numbers(&events), [0, 1, 2]);
    let again = heard(&listen(&tenant.owner, "app.count", Some(&events[0].0)).await);
    assert_eq!(numbers(&again), [1, 2]);
    assert_eq!(again, events[1..]);
    let elsewhere = heard(&listen(&tenant.owner, "app.count", Some("00000000000000ff.1")).await);
    assert_eq!((elsewhere[0].1.as_str(), &elsewhere[0].0), ("missed", &String::new()));
    assert_eq!(elsewhere[1..], events);
    let path = "/v1/subjects/app.count";
    let call = tenant.owner.call(Method::GET, path).header("last-event-id", "7");
    assert_refused(&call.send().await.unwrap(), 400, "invalid_request");
}

#[tokio::test]
async fn the_right_is_that_of_what_subjects_tell_of() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let (_, viewer) = key(&tenant, "viewer", &["*"]).await;
    let (_, narrow) = key(&tenant, "owner", &["records:*"]).await;
    assert_eq!(heard(&listen(&viewer, "app.%3E", None).await), []);
    assert_eq!(heard(&listen(&viewer, "config.%3E", None).await), []);
    assert_refused(&tell(&viewer, "app.word", &json!({})).await, 403, "forbidden");
    for subject in ["audit.%3E", "sys.%3E"] {
        let path = format!("/v1/subjects/{subject}");
        assert_refused(&send(&viewer, Method::GET, &path).await, 403, "forbidden");
    }
    assert_refused(&send(&narrow, Method::GET, "/v1/subjects/app.word").await, 403, "forbidden");
    for subject in ["audit.key.create", "config.changed", "sys.stop"] {
        assert_refused(&tell(&tenant.owner, subject, &json!({})).await, 403, "forbidden");
    }
    for subject in ["word", "other.word", "app..word", "app.%3E", "app.*", "app.%C3%A9", "%3E"] {
        assert_refused(&tell(&tenant.owner, subject, &json!({})).await, 400, "invalid_request");
    }
    let large = json!({"text": "a".repeat(65 << 10)});
    assert_refused(&tell(&tenant.owner, "app.word", &large).await, 413, "payload_too_large");
    let call = tenant.owner.call(Method::POST, "/v1/subjects/app.word").header("idempotency-key", "a");
    assert_refused(&call.json(&json!({})).unwrap().send().await.unwrap(), 400, "invalid_request");
}

#[tokio::test]
async fn who_is_not_let_in_any_more_hears_nothing_more() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let (id, listener) = key(&tenant, "viewer", &["*"]).await;
    let call = listener.call(Method::GET, "/v1/subjects/app.count");
    let listening = call.listen(Duration::from_secs(10));
    let telling = async {
        tokio::time::sleep(EAR).await;
        tenant.owner.delete(&format!("/v1/api-keys/{id}")).await.unwrap();
        // So many that there is always one to be heard.
        for number in 0..600 {
            tell(&tenant.owner, "app.count", &json!({"number": number})).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (answer, ()) = tokio::join!(listening, telling);
    let events = heard(&answer.unwrap());
    let last = events.last().unwrap().2["data"]["number"].as_u64().unwrap();
    assert!(last < 500, "{last} was heard by who was not let in any more");
}

#[tokio::test]
async fn what_was_told_goes_with_the_tenant() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let listening = listen(&tenant.owner, "app.%3E", None);
    let deleting = async {
        tokio::time::sleep(EAR).await;
        tell(&tenant.owner, "app.word", &json!({"word": "anna"})).await;
        let suspended = server.operator.post(&format!("/v1/tenants/{}/suspend", tenant.id), &json!({})).await;
        suspended.unwrap();
    };
    let (answer, ()) = tokio::join!(listening, deleting);
    assert_eq!(heard(&answer).len(), 1);
    server.operator.post(&format!("/v1/tenants/{}/resume", tenant.id), &json!({})).await.unwrap();
    let again = heard(&listen(&tenant.owner, "app.%3E", Some("00000000000000ff.1")).await);
    assert_eq!(again.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), ["missed"]);
}
