//! Nothing that callers send gets into the server's log: neither content nor secrets, at any level that an
//! operator would choose.

use crate::description::sampled_operations;
use crate::harness::send;
use crate::samples::{By, World};
use http::Method;
use serde_json::{Value, json};

const CANARY: &str = "canary7e5f0c";

/// The body with a canary in every text and beside every member.
fn marked(value: Value) -> Value {
    match value {
        Value::String(_) => CANARY.into(),
        Value::Array(items) => items.into_iter().map(marked).collect(),
        Value::Object(members) => {
            let mut members: serde_json::Map<_, _> =
                members.into_iter().map(|(name, member)| (name, marked(member))).collect();
            members.insert(CANARY.into(), CANARY.into());
            Value::Object(members)
        }
        other => other,
    }
}

#[tokio::test]
async fn no_canary_gets_into_the_log() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("log");
    let world = World::with(&["--log", file.to_str().unwrap(), "--log-filter", "debug"]).await;
    let mut secrets: Vec<String> = vec![
        CANARY.into(),
        world.tenant.owner_key.expose().into(),
        world.server.operator_key().expose().into(),
    ];
    for described in sampled_operations(&world.server).await {
        let Some(sample) = world.sample(described.id()).await else { panic!("{}", described.id()) };
        let who = world.caller(&sample);
        // As it is, then with canaries in its headers, its query, its path and its body.
        let answer = sample.send(&who).await;
        for member in ["key", "hook_url"] {
            secrets.extend(answer.json()[member].as_str().map(str::to_owned));
        }
        if sample.by != By::Anyone && sample.path.starts_with("/v1/") {
            let key = who.with_key(secret::SecretText::new(format!("{CANARY}key")));
            let _ = sample.send(&key).await;
        }
        let body = sample.body.as_ref().and_then(|(_, body)| serde_json::from_slice(body).ok());
        let body = marked(body.unwrap_or_else(|| json!({})));
        let glue = if sample.path.contains('?') { '&' } else { '?' };
        for path in [
            sample.path.clone(),
            format!("{}{glue}q={CANARY}", sample.path),
            format!("{}/{CANARY}", sample.path),
        ] {
            let mut call = who.call(sample.method.clone(), &path).json(&body).unwrap();
            for header in
                ["user-agent", "idempotency-key", "if-match", "x-tenant-id", "traceparent", "cookie"]
            {
                call = call.header(header, CANARY);
            }
            let _ = call.send().await.unwrap();
        }
    }
    world.tenant.owner.post("/v1/records/contacts", &json!({"name": CANARY})).await.unwrap();
    let refused = send(&world.tenant.owner, Method::GET, "/v1/tenants").await;
    let log = std::fs::read_to_string(&file).unwrap();
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
    assert!(secrets.len() > 5, "keys and addresses are looked for, too");
    assert!(refused.status == 403 && log.lines().count() > 10, "there is a log to be looked through");
    // Lines of a tenant's request say whose it is.
    let own = log.lines().filter(|line| line.contains(&world.tenant.id) && line.contains("\"http.route\""));
    assert!(own.count() > 0, "no line names the tenant and the route");
}
