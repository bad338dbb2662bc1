//! The configuration of an instance, checked against the definition's `config_required`.

use super::cost::Cost;
use super::fault::{Fault, FaultCode};
use super::{Definition, document};
use serde_json::Value;

const MAX_CONFIG_BYTES: usize = 64 * 1024;
const MAX_FAULTS: usize = 50;

/// Everything in which `config` does not fit what the definition requires. Empty means that it fits. It may
/// take a second where a schema and a configuration ask for it: not for a thread that others wait for.
/// Pointers are into the configuration; lines are zero, because they are in no text of ours.
pub fn check_config(definition: &Definition, config: &Value) -> Vec<Fault> {
    let fault = |pointer: String, message: String| Fault {
        code: FaultCode::InvalidConfig,
        node: None,
        line: 0,
        pointer,
        message,
    };
    if !config.is_object() {
        return vec![fault(String::new(), "The configuration is not an object.".to_owned())];
    }
    if crate::template::bytes_of(config) > MAX_CONFIG_BYTES {
        let message = format!("The configuration is over {MAX_CONFIG_BYTES} bytes.");
        return vec![fault(String::new(), message)];
    }
    match covered(&definition.config_required, config) {
        Ok(schema) => schema
            .iter_errors(config)
            .take(MAX_FAULTS)
            .map(|error| fault(error.instance_path().to_string(), sentence(&error.masked().to_string())))
            .collect(),
        Err(reason) => vec![fault(String::new(), reason)],
    }
}

/// Whether a value fits a schema that was accepted; if not, the first reason, without the value in it.
pub(crate) fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    covered(schema, value)?.validate(value).map_err(|error| {
        let path = error.instance_path().to_string();
        let place = if path.is_empty() { "the value".to_owned() } else { format!("`{path}`") };
        format!("At {place}: {}", sentence(&error.masked().to_string()))
    })
}

/// Why a schema cannot be used, if it cannot.
pub(super) fn schema_fault(schema: &Value) -> Option<String> {
    Cost::of(schema).and_then(|_| compile(schema)).err()
}

/// The schema, if it is one that this value can be checked against in a bounded time.
fn covered(schema: &Value, value: &Value) -> Result<jsonschema::Validator, String> {
    Cost::of(schema)?.covers(value)?;
    compile(schema)
}

/// Nothing is ever fetched: a `$ref` that leaves the schema is an error.
fn compile(schema: &Value) -> Result<jsonschema::Validator, String> {
    let options = jsonschema::draft202012::options();
    let options = options.with_pattern_options(
        jsonschema::PatternOptions::regex().size_limit(256 * 1024).dfa_size_limit(256 * 1024),
    );
    options.build(schema).map_err(|error| {
        let place = error.instance_path().to_string();
        format!("The schema cannot be used at `{place}`: {}", sentence(&error.to_string()))
    })
}

fn sentence(text: &str) -> String {
    let mut end = text.trim_end_matches('.').to_owned();
    end.push('.');
    end
}

/// Whether the schema says which members there are and allows no others; then a template that reads
/// another is a mistake.
pub(super) fn declares(schema: &Value, name: &str) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return true };
    let open = matches!(schema.get("additionalProperties"), Some(Value::Bool(true) | Value::Object(_)));
    open || properties.contains_key(name)
}

/// The pointer of a member of `config_required`.
pub(super) fn pointer(name: &str) -> String {
    document::member("/config_required", name)
}
