//! Bodies and queries that need meaning. Whatever is not here is made from the operation's schema.

use crate::description::Operation;
use crate::side::Side;
use serde_json::{Value, json};

/// The collection in which both sides have near-identical records.
pub(crate) const COLLECTION: &str = "contacts";
/// What both tenants tell messages about.
pub(crate) const SUBJECT: &str = "app.orders.created";
/// The service whose credential signs deliveries to hooks.
pub(crate) const HOOK_SERVICE: &str = "verify-hook";
/// A host that the reserved name never resolves for (RFC 2606, section 2), so that nothing is sent.
pub(crate) const NOWHERE: &str = "verify.invalid";

/// What the runs of a workflow do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// They end well.
    Succeeds,
    /// They wait for a long time.
    Waits,
    /// They fail.
    Fails,
    /// The workflow is an instance of a template that has a second version.
    Upgrades,
}

impl Course {
    /// The course that an operation on runs needs: only what is under way can be cancelled.
    pub(crate) fn for_operation(operation: &Operation) -> Self {
        match operation.path.rsplit('/').next() {
            Some("cancel") => Self::Waits,
            Some("retry") => Self::Fails,
            Some("upgrade") => Self::Upgrades,
            _ => Self::Succeeds,
        }
    }
}

/// The body for an operation, where it needs meaning; `number` makes names distinct.
pub(crate) fn body(operation: &Operation, side: &Side, course: Course, number: u64) -> Option<Value> {
    let (canary, mark) = (&side.canary, &side.mark);
    let name = format!("{canary} {number}");
    Some(match operation.name().as_str() {
        "POST /v1/tenants" => json!({"name": name}),
        "PATCH /v1/tenants/{id}" => json!({"limits": unlimited()}),
        "POST /v1/templates" => json!({"name": format!("verify-{mark}"), "definition": definition(course)}),
        "POST /v1/api-keys" => json!({"name": name, "role": "member"}),
        "POST /v1/signing-keys" => json!({"alg": "EdDSA", "public_jwk": public_key(number, mark)}),
        "POST /v1/agents" | "PATCH /v1/agents/{id}" => json!({"name": name, "description": canary}),
        "PUT /v1/credentials/{service}" => {
            json!({"kind": "api_key", "key": canary, "hosts": [NOWHERE]})
        }
        "POST /v1/workflows" if course == Course::Upgrades => json!({
            "name": name, "template": {"name": side.template, "version": 1}, "config": {},
        }),
        "POST /v1/workflows/{id}/upgrade" => json!({"version": 2}),
        "POST /v1/workflows" => json!({"name": name, "definition": definition(course), "config": {}}),
        "POST /v1/subjects/{subject}" => json!({"note": canary}),
        "POST /v1/workflows/{id}/runs" => json!({"input": {"note": canary}}),
        "POST /v1/chat/completions" => json!({
            "model": "offline",
            "messages": [{"role": "user", "content": format!("Classify as hot or cold: {canary}")}],
        }),
        "POST /v1/records/{collection}" | "PATCH /v1/records/{collection}/{id}" => json!({
            "name": name, "email": format!("{canary}@example.com"), "note": canary, "stage": "new",
        }),
        "PUT /v1/budgets/{scope}/{id}" => json!({"per": "month", "usd": "1000.00"}),
        "PUT /v1/endpoints/{name}" => json!({
            "url": format!("https://{NOWHERE}/v1"), "dialect": "openai", "models": [format!("{mark}-{number}")],
        }),
        "PUT /v1/plans/{name}" => unlimited(),
        "POST /v1/audit/erase-personal" => json!({"value": format!("{mark} {number}")}),
        "POST /hooks/{token}" => json!({"note": canary, "number": number}),
        _ => return None,
    })
}

/// A version of the template that instances are upgraded from and to.
pub(crate) fn template(name: &str, version: u64) -> Value {
    let mut definition = definition(Course::Upgrades);
    definition["description"] = json!(format!("Version {version}"));
    json!({"name": name, "definition": definition})
}

/// What differs from a plan where nothing is limited.
pub(crate) fn unlimited() -> Value {
    json!({
        "ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": null,
        "concurrent_runs": null, "storage_bytes": null, "retention_days": null,
    })
}

/// Parameters in the query without which an operation says no.
pub(crate) fn query(operation: &Operation) -> Vec<(String, String)> {
    let known = [("index", "0"), ("format", "jsonl"), ("group_by", "key"), ("version", "2")];
    let wanted = known.into_iter().filter(|(name, _)| operation.query.iter().any(|query| query == name));
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn definition(course: Course) -> Value {
    let source = json!({
        "id": "entry", "type": "source", "kind": "webhook",
        "webhook": {"scheme": "standard", "secret": HOOK_SERVICE},
    });
    let work = match course {
        Course::Succeeds | Course::Upgrades => json!({
            "id": "remember", "type": "record", "after": ["entry"], "operation": "create",
            "collection": "deliveries", "fields": {"note": "{{ input.note }}"},
        }),
        Course::Waits => json!({
            "id": "call", "type": "http", "after": ["entry"], "method": "GET",
            "url": format!("https://{NOWHERE}/"),
            "retry": {"max_attempts": 10, "backoff": {"initial_seconds": 3600, "max_seconds": 3600, "factor": 1}},
        }),
        // There is no such record, which only the run finds out.
        Course::Fails => json!({
            "id": "change", "type": "record", "after": ["entry"], "operation": "update",
            "collection": "deliveries", "record_id": "rec_00000000000000000000000000",
            "fields": {"note": "{{ input.note }}"}, "retry": {"max_attempts": 1},
        }),
    };
    json!({"name": "Verify", "nodes": [source, work]})
}

/// A public key on Ed25519, one of those that RFC 8037 and RFC 8032 print: not every text is one.
fn public_key(number: u64, mark: &str) -> Value {
    const POINTS: [&str; 4] = [
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
        "J4EX_BRMcjQPZ9DyMW6Dhs7_vyskKMnFH-98WX8dQm4",
    ];
    let point = POINTS[usize::try_from(number).unwrap_or(0) % POINTS.len()];
    json!({"kty": "OKP", "crv": "Ed25519", "x": point, "kid": format!("{mark}-{number}")})
}
