//! The interface description (OpenAPI 3.1), made from the operations.

use crate::operation::{Audited, CallerKind, Form, Operation};
use bus::{MAX_LENGTH, Pattern, Subject};
use errors::ProblemBody;
use http::Method;
use ids::Slug;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The description of these operations, for a server at this URL.
pub fn document(operations: &[Operation], public_url: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<ProblemBody>();
    let mut paths = Map::new();
    for operation in operations {
        let described = describe(operation, &mut generator, problem.as_value());
        let path = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tenantry",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What stands under a SaaS company's AI agents, where every tenant is isolated by construction.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "tenant": {"type": "http", "scheme": "bearer", "description": "An API key (`tk_…`) or a token that the tenant signed"},
                "grant": {"type": "http", "scheme": "bearer", "description": "A grant to run the attack suite (`vg_…`), for its own throwaway tenants"},
                "operator": {"type": "http", "scheme": "bearer", "description": "An operator key (`op_…`)"},
                "worker": {"type": "http", "scheme": "bearer", "description": "The token of the worker that a tenant has for itself (`wk_…`)"},
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut schemars::SchemaGenerator, problem: &Value) -> Value {
    let mut responses = Map::new();
    for answer in &operation.answers {
        let content = match answer.schema {
            Some(schema) => json!({answer.media_type: {"schema": schema(generator)}}),
            None if answer.media_type.is_empty() => json!({}),
            None => json!({answer.media_type: {"schema": {"type": "string"}}}),
        };
        let mut described = json!({"description": status_text(answer.status)});
        if content != json!({}) {
            described["content"] = content;
        }
        responses.insert(answer.status.to_string(), described);
    }
    responses.insert(
        "default".into(),
        json!({
            "description": "A problem (RFC 9457)",
            "content": {crate::problem::media_type(operation.path): {"schema": problem}},
        }),
    );
    let mut described = json!({
        "operationId": operation.id(),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses,
        "security": security(operation),
        "x-audit": audit(operation.audited),
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": {operation.body_type: {"schema": body(generator)}},
        });
    }
    if let Some(scope) = &operation.scope {
        described["x-scope"] = json!(scope);
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let schema = match name {
            // What the caller names is a slug; what is no id is merely not found.
            "collection" | "service" | "name" => json!({"type": "string", "pattern": Slug::PATTERN}),
            "subject" if operation.method == Method::GET => {
                json!({"type": "string", "pattern": Pattern::PATTERN, "maxLength": MAX_LENGTH})
            }
            "subject" => json!({"type": "string", "pattern": Subject::PATTERN, "maxLength": MAX_LENGTH}),
            _ => json!({"type": "string"}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let in_query = operation.query.iter().map(|parameter| {
        let schema = match parameter.form {
            // No parameter has the character NUL.
            Form::Text => json!({"type": "string", "pattern": r"^[^\u0000]*$"}),
            Form::OneOf(texts) => json!({"type": "string", "enum": texts}),
            Form::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Form::Moment => json!({"type": "string", "format": "date-time"}),
            Form::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        };
        json!({
            "name": parameter.name,
            "in": "query",
            "required": false,
            "description": parameter.description,
            "schema": schema,
        })
    });
    let in_head = operation.takes_idempotency_key().then(|| {
        json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "a text of the caller's choice; the same request with the same key is carried out once, and \
                            answered as the first time",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        })
    });
    let bound = operation.conditional.then(|| {
        json!({
            "name": "If-Match",
            "in": "header",
            "required": false,
            "description": "the `ETag` of what is changed, as it was answered last; where it is at another version by \
                            now, nothing is done and the answer is 412 (RFC 9110, section 13.1.1)",
            "schema": {"type": "string", "pattern": r#"^(\*|(W/)?"[0-9]+")$"#},
        })
    });
    in_path.chain(in_query).chain(in_head).chain(bound).collect()
}

fn security(operation: &Operation) -> Value {
    match operation.caller {
        CallerKind::Tenant => json!([{"tenant": []}]),
        CallerKind::Operator if operation.for_grants => json!([{"operator": []}, {"grant": []}]),
        CallerKind::Operator => json!([{"operator": []}]),
        CallerKind::Worker => json!([{"worker": []}]),
        CallerKind::TokenHolder | CallerKind::Anyone => json!([]),
    }
}

fn audit(audited: Audited) -> Value {
    match audited {
        Audited::Event(action) => json!({"event": action}),
        Audited::Aggregated(action) => json!({"aggregated": action}),
        Audited::Silent(reason) => json!({"silent": reason}),
    }
}

fn status_text(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        202 => "Accepted",
        204 => "Done, with nothing to say",
        _ => "Answer",
    }
}
