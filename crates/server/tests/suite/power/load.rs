//! What is asked of the server while its files are recorded.

use super::ledger::{Kind, Ledger, Thing};
use crate::harness::{Server, Tenant, send};
use http::Method;
use serde_json::{Value, json};

/// How often each lane goes round.
const ROUNDS: u64 = 6;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn thing(tenant: &Tenant, kind: Kind, name: impl ToString) -> Thing {
    Thing { tenant: tenant.id.clone(), kind, name: name.to_string() }
}

/// Makes a tenant, and notes its first key.
pub(super) async fn tenant(server: &Server, ledger: &Ledger, name: &str) -> Tenant {
    let sent = ledger.sent();
    let tenant = server.tenant(name).await;
    ledger.made(thing(&tenant, Kind::Key, tenant.owner_key.expose()), 1, sent);
    tenant
}

/// Makes a record and gives back its path.
async fn record(tenant: &Tenant, ledger: &Ledger, number: u64) -> String {
    let body = json!({"number": number, "value": number, "text": "x".repeat(700)});
    let made = tenant.owner.post("/v1/records/contacts", &body);
    let made = ledger.say(&thing(tenant, Kind::Record, number), Some(number), made).await.unwrap();
    format!("/v1/records/contacts/{}", text(&made["id"]))
}

async fn change(tenant: &Tenant, ledger: &Ledger, (number, path): (u64, &str), value: u64) {
    let changed = send_change(tenant, path, value);
    ledger.say(&thing(tenant, Kind::Record, number), Some(value), changed).await;
}

async fn send_change(tenant: &Tenant, path: &str, value: u64) {
    let call = tenant.owner.call(Method::PATCH, path).json(&json!({"value": value})).unwrap();
    call.send().await.unwrap().accepted().unwrap();
}

pub(super) async fn checkpoint(tenant: &Tenant, ledger: &Ledger) {
    let checkpoint = tenant.owner.get("/v1/audit/checkpoint").await.unwrap();
    ledger.hold(&tenant.id, text(&checkpoint["checkpoint"]));
}

/// Everything that an ordinary tenant does.
pub(super) async fn customer(tenant: &Tenant, workflow: &str, ledger: &Ledger, lane: u64) {
    for round in 0..ROUNDS {
        let number = lane * 1000 + round * 10;
        let path = record(tenant, ledger, number).await;
        change(tenant, ledger, (number, &path), number + 1).await;
        let doomed = record(tenant, ledger, number + 5).await;
        let deleted = tenant.owner.delete(&doomed);
        ledger.say(&thing(tenant, Kind::Record, number + 5), None, deleted).await.unwrap();
        let sent = ledger.sent();
        let wanted = json!({"name": "lane", "role": "member"});
        let key = tenant.owner.post("/v1/api-keys", &wanted).await.unwrap();
        let named = thing(tenant, Kind::Key, text(&key["key"]));
        ledger.made(named.clone(), 1, sent);
        let path = format!("/v1/api-keys/{}", text(&key["id"]));
        ledger.say(&named, None, tenant.owner.delete(&path)).await.unwrap();
        let sent = ledger.sent();
        let started = json!({"input": {"number": number}});
        let run = tenant.owner.post(&format!("/v1/workflows/{workflow}/runs"), &started).await.unwrap();
        ledger.made(thing(tenant, Kind::Run, text(&run["id"])), 1, sent);
        let body = json!({"model": "brief", "messages": [{"role": "user", "content": "Say hello."}]});
        let answer = tenant.owner.post("/v1/chat/completions", &body);
        ledger.say(&thing(tenant, Kind::Call, number), Some(1), answer).await.unwrap();
        checkpoint(tenant, ledger).await;
    }
}

/// A tenant whose file is put back again and again.
pub(super) async fn restored(server: &Server, tenant: &Tenant, ledger: &Ledger, first: u64) {
    let at = |what: &str| format!("/v1/tenants/{}/{what}", tenant.id);
    for number in first..first + 3 {
        let path = record(tenant, ledger, number).await;
        let backup = send(&server.operator, Method::POST, &at("backup")).await.accepted().unwrap().body;
        change(tenant, ledger, (number, &path), number + 100).await;
        let restore = server.operator.call(Method::POST, &at("restore"));
        let restore = restore.body("application/octet-stream", backup).send();
        let restored = ledger.say(&thing(tenant, Kind::Record, number), Some(number), restore).await;
        restored.unwrap().accepted().unwrap();
        checkpoint(tenant, ledger).await;
    }
}

/// A tenant that gets another key again and again.
pub(super) async fn rekeyed(server: &Server, tenant: &Tenant, ledger: &Ledger, first: u64) {
    for number in first..first + 3 {
        let path = record(tenant, ledger, number).await;
        let data_key = format!("/v1/tenants/{}/data-key", tenant.id);
        send(&server.operator, Method::POST, &data_key).await.accepted().unwrap();
        change(tenant, ledger, (number, &path), number + 100).await;
        checkpoint(tenant, ledger).await;
    }
}

/// Tenants that come, and one that goes.
pub(super) async fn comings(server: &Server, ledger: &Ledger, round: u64) {
    for number in 0..3 {
        let one = tenant(server, ledger, &format!("Guest {round} {number}")).await;
        record(&one, ledger, number).await;
        if number == 1 {
            let path = format!("/v1/tenants/{}", one.id);
            let erased = server.operator.delete(&path);
            // The record goes with it, and is not asked for any more.
            let key = thing(&one, Kind::Key, one.owner_key.expose());
            ledger.say(&key, None, erased).await.unwrap();
        }
    }
}
