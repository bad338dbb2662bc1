//! What throwaway tenants store: something in every table that tenants have, by requests of their own, with a word in it
//! that stands nowhere else.

use client::{Client, signed_delivery, webhook_secret};
use env::Env;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

/// The service whose credential signs deliveries.
const SERVICE: &str = "verify-hook";
/// A host that never resolves (RFC 2606, section 2), so that nothing is sent.
const NOWHERE: &str = "verify.invalid";

/// What is known of what a tenant stores.
pub(super) struct Filled {
    /// The word.
    pub(super) canary: SecretText,
}

/// Fills a tenant.
pub(super) async fn fill(owner: &Client, env: &Env) -> Result<Filled, String> {
    let canary = format!("canary{}", hex_of(env.random::<12>()));
    let asked = |what: &'static str| move |error: client::CallError| format!("{what}: {error}");
    let collection = json!({"indexes": ["email"]});
    owner.put("/v1/records/contacts", &collection).await.map_err(asked("a collection"))?;
    let record = json!({"name": canary, "email": format!("{canary}@example.com")});
    once(owner, "/v1/records/contacts", &record).await.map_err(asked("a record"))?;
    let agent = json!({"name": canary, "description": canary});
    owner.post("/v1/agents", &agent).await.map_err(asked("an agent"))?;
    let key = json!({"kind": "api_key", "key": canary, "hosts": [NOWHERE]});
    owner.put("/v1/credentials/verify", &key).await.map_err(asked("a credential"))?;
    let question = format!("Classify as hot or cold: {canary}");
    let chat = json!({"model": "offline", "messages": [{"role": "user", "content": question}]});
    owner.post("/v1/chat/completions", &chat).await.map_err(asked("a model call"))?;
    deliver(owner, env, &canary).await?;
    Ok(Filled { canary: SecretText::new(canary) })
}

/// A delivery to a hook, which begins a run that waits.
async fn deliver(owner: &Client, env: &Env, canary: &str) -> Result<(), String> {
    let said = |error: client::CallError| format!("a delivery: {error}");
    let secret = webhook_secret(env.random());
    let kept = json!({"kind": "webhook_secret", "secret": secret.expose()});
    owner.put(&format!("/v1/credentials/{SERVICE}"), &kept).await.map_err(said)?;
    let workflow = json!({"name": canary, "definition": definition(), "config": {}});
    let made = owner.post("/v1/workflows", &workflow).await.map_err(said)?;
    let address = made["hook_url"].as_str().and_then(|url| url.rsplit_once("/hooks/"));
    let (_, token) = address.ok_or_else(|| "a workflow was made without a hook".to_owned())?;
    let body = json!({"note": canary}).to_string();
    let id = format!("msg_{}", hex_of(env.random::<12>()));
    let headers = signed_delivery(&secret, &id, env.now().seconds(), body.as_bytes());
    let anybody = owner.without_key();
    let mut call = anybody.call(Method::POST, &format!("/hooks/{token}"));
    for (name, value) in headers.into_iter().flatten() {
        call = call.header(name, &value);
    }
    call.body("application/json", body.into()).send().await.and_then(client::Answer::accepted).map_err(said)?;
    Ok(())
}

/// Asks under an idempotency key.
async fn once(owner: &Client, path: &str, body: &Value) -> Result<(), client::CallError> {
    let call = owner.call(Method::POST, path).header("idempotency-key", "verify").json(body)?;
    call.send().await?.accepted().map(drop)
}

fn definition() -> Value {
    let source = json!({
        "id": "entry", "type": "source", "kind": "webhook",
        "webhook": {"scheme": "standard", "secret": SERVICE},
    });
    // Whichever server takes it up, it waits.
    let call = json!({
        "id": "call", "type": "http", "after": ["entry"], "method": "GET", "url": format!("https://{NOWHERE}/"),
        "retry": {"max_attempts": 10, "backoff": {"initial_seconds": 3600, "max_seconds": 3600, "factor": 1}},
    });
    json!({"name": "Verify", "nodes": [source, call]})
}

fn hex_of(bytes: [u8; 12]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
