//! What a node of each type must and must not have, beyond the types of its fields.

use super::config::schema_fault;
use super::fault::FaultCode;
use super::node::{Ai, Http, Kind, Node, Operation, Record, Source, SourceKind, Webhook};
use crate::hook::Scheme;
use ids::Slug;
use serde_json::Value;

/// A fault in a node: its code, its pointer within the node, what to do.
pub(super) type Finding = (FaultCode, String, String);

const MAX_RESPONSE_BYTES: u64 = 1024 * 1024;
const MAX_TOLERANCE_SECONDS: u64 = 3_600;
const MAX_FIND: u32 = 100;

pub(super) fn findings(node: &Node) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    match &node.kind {
        Kind::Source(source) => found.source(source),
        Kind::Ai(ai) => found.ai(ai),
        Kind::Http(http) => found.http(http),
        Kind::Record(record) => found.record(record),
        Kind::Condition(_) | Kind::Transform(_) => {}
    }
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: FaultCode, pointer: &str, message: impl Into<String>) {
        self.0.push((code, pointer.to_owned(), message.into()));
    }

    fn source(&mut self, source: &Source) {
        match (source.kind, &source.webhook) {
            (SourceKind::Webhook, None) => self.add(
                FaultCode::MissingField,
                "",
                "A webhook source needs `webhook`. Say its `scheme`; `none` accepts unsigned deliveries.",
            ),
            (SourceKind::Manual, Some(_)) => self.add(
                FaultCode::UnknownField,
                "/webhook",
                "A manual source takes no deliveries. Remove `webhook`, or set `kind: webhook`.",
            ),
            (_, Some(webhook)) => self.webhook(webhook),
            (_, None) => {}
        }
    }

    fn webhook(&mut self, webhook: &Webhook) {
        let scheme = literal(&webhook.scheme);
        if let Some(scheme) = scheme {
            match (scheme.parse::<Scheme>(), &webhook.secret) {
                (Err(error), _) => {
                    self.add(FaultCode::WrongValue, "/webhook/scheme", format!("{error}."));
                }
                (Ok(Scheme::None), Some(_)) => self.add(
                    FaultCode::UnknownField,
                    "/webhook/secret",
                    "Scheme `none` checks no signature. Remove `secret`, or choose a scheme.",
                ),
                (Ok(Scheme::None), None) => {}
                (Ok(_), None) => self.needs_secret(),
                (Ok(_), Some(_)) => {}
            }
        } else if webhook.secret.is_none() {
            self.needs_secret();
        }
        self.slug("/webhook/secret", webhook.secret.as_deref());
        if webhook.tolerance_seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_TOLERANCE_SECONDS) {
            let message = format!("The tolerance is from 1 to {MAX_TOLERANCE_SECONDS} seconds.");
            self.add(FaultCode::WrongValue, "/webhook/tolerance_seconds", message);
        }
        if webhook.delivery_id_header.as_deref().is_some_and(|name| !is_header_name(name)) {
            self.add(FaultCode::WrongValue, "/webhook/delivery_id_header", "Not the name of a header.");
        }
    }

    fn needs_secret(&mut self) {
        let message = "The scheme checks a signature. Name the credential service that holds the `secret`.";
        self.add(FaultCode::MissingField, "/webhook", message);
    }

    fn ai(&mut self, ai: &Ai) {
        if ai.model.trim().is_empty() {
            self.add(FaultCode::Empty, "/model", "The model is empty. Name one that the tenant may call.");
        }
        if ai.prompt.trim().is_empty() {
            self.add(FaultCode::Empty, "/prompt", "The prompt is empty. Say what the model shall do.");
        }
        if ai.max_tokens == Some(0) {
            self.add(FaultCode::WrongValue, "/max_tokens", "`max_tokens` is at least 1.");
        }
        if ai.temperature.is_some_and(|degree| !(0.0..=2.0).contains(&degree)) {
            self.add(FaultCode::WrongValue, "/temperature", "`temperature` is from 0 to 2.");
        }
        let Some(schema) = &ai.output_schema else { return };
        if let Some(reason) = schema_fault(schema) {
            self.add(FaultCode::InvalidSchema, "/output_schema", reason);
        } else if schema.get("type").and_then(Value::as_str) != Some("object") {
            let message = "The answer is an object. Give the schema `type: object`.";
            self.add(FaultCode::InvalidSchema, "/output_schema", message);
        }
    }

    fn http(&mut self, http: &Http) {
        for name in http.headers.keys() {
            if !is_header_name(name) {
                self.add(FaultCode::WrongValue, "/headers", format!("`{name}` is not the name of a header."));
            } else if is_ours(name) {
                let message = format!("`{name}` is set by the server. Name a `credential` to authenticate.");
                self.add(FaultCode::WrongValue, "/headers", message);
            }
        }
        self.slug("/credential", http.credential.as_deref());
        if http.expect_status.as_ref().is_some_and(|statuses| {
            statuses.is_empty() || statuses.iter().any(|status| !(200..600).contains(status))
        }) {
            let message = "`expect_status` lists statuses from 200 to 599.";
            self.add(FaultCode::WrongValue, "/expect_status", message);
        }
        if http.max_response_bytes.is_some_and(|bytes| bytes == 0 || bytes > MAX_RESPONSE_BYTES) {
            let message = format!("`max_response_bytes` is from 1 to {MAX_RESPONSE_BYTES}.");
            self.add(FaultCode::WrongValue, "/max_response_bytes", message);
        }
    }

    fn record(&mut self, record: &Record) {
        self.slug("/collection", Some(&record.collection));
        let given = [
            ("record_id", record.record_id.is_some()),
            ("match", record.matching.as_ref().is_some_and(|map| !map.is_empty())),
            ("fields", record.fields.is_some()),
            ("limit", record.limit.is_some()),
        ];
        let (needed, optional): (&[&str], &[&str]) = match record.operation {
            Operation::Create => (&["fields"], &[]),
            Operation::Update => (&["record_id", "fields"], &[]),
            Operation::Upsert => (&["match", "fields"], &[]),
            Operation::Get | Operation::Delete => (&["record_id"], &[]),
            Operation::Find => (&[], &["match", "limit"]),
        };
        for (field, is_given) in given {
            if needed.contains(&field) && !is_given {
                self.add(FaultCode::MissingField, "", format!("This operation needs `{field}`."));
            }
            if is_given && !needed.contains(&field) && !optional.contains(&field) {
                let message = format!("This operation does not take `{field}`. Remove it.");
                self.add(FaultCode::UnknownField, &format!("/{field}"), message);
            }
        }
        if record.limit.is_some_and(|limit| limit == 0 || limit > MAX_FIND) {
            self.add(FaultCode::WrongValue, "/limit", format!("`limit` is from 1 to {MAX_FIND}."));
        }
    }

    fn slug(&mut self, pointer: &str, text: Option<&str>) {
        if let Some(text) = text.and_then(literal)
            && let Err(error) = text.parse::<Slug>()
        {
            self.add(FaultCode::WrongValue, pointer, format!("`{text}` is {error}."));
        }
    }
}

/// The text, where it has no template in it.
pub(super) fn literal(text: &str) -> Option<&str> {
    (!text.contains("{{")).then_some(text)
}

/// A token (RFC 9110, section 5.6.2).
fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 100 && name.bytes().all(token)
}

/// Headers that frame the request or carry credentials, and the key that makes repeats harmless.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 13] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    OURS.contains(&name.to_ascii_lowercase().as_str())
}
