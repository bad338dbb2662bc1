//! The server's operations, as its own description tells them.

use http::Method;
use serde_json::Value;
use std::collections::BTreeSet;

/// Whose credential an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Tenant,
    Operator,
    /// The worker that a tenant has for itself.
    Worker,
    Anyone,
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With its parameters in braces.
    pub(crate) path: String,
    pub(crate) tag: String,
    pub(crate) caller: Caller,
    /// Whether a grant to run the attack suite may call it.
    pub(crate) for_grants: bool,
    /// Names of parameters in the query.
    pub(crate) query: Vec<String>,
    pub(crate) body: Option<Value>,
    /// The scope that a tenant's key needs.
    pub(crate) scope: Option<String>,
    /// Whether it may answer with a stream of events.
    pub(crate) streams: bool,
    /// Whether an `If-Match` binds it to a version.
    pub(crate) conditional: bool,
    /// Whether an `Idempotency-Key` tells of its repetition.
    pub(crate) repeatable: bool,
}

/// All that the server describes.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: Value,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Description {
    /// Reads an OpenAPI document.
    pub(crate) fn read(document: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                if let Some(described) = item.get(method) {
                    operations.extend(operation(method, path, described));
                }
            }
        }
        Self { operations, schemas: document["components"]["schemas"].clone() }
    }

    /// The operation with this method and path template.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.method == *method && operation.path == path)
    }

    /// Whether the server has such an operation.
    pub(crate) fn has(&self, method: &Method, path: &str) -> bool {
        self.find(method, path).is_some()
    }
}

fn operation(method: &str, path: &str, described: &Value) -> Option<Operation> {
    let needed = described["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let needed: BTreeSet<_> = needed.flat_map(|one| one.keys().map(String::as_str)).collect();
    let caller = match () {
        () if needed.contains("tenant") => Caller::Tenant,
        () if needed.contains("operator") => Caller::Operator,
        () if needed.contains("worker") => Caller::Worker,
        () => Caller::Anyone,
    };
    let parameters = described["parameters"].as_array().into_iter().flatten();
    let conditional = parameters.clone().any(|parameter| is_header(parameter, "If-Match"));
    let repeatable = parameters.clone().any(|parameter| is_header(parameter, "Idempotency-Key"));
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    let answers = described["responses"].as_object().into_iter().flatten();
    let streams = answers
        .filter_map(|(_, answer)| answer["content"].as_object())
        .any(|content| content.contains_key("text/event-stream"));
    Some(Operation {
        method: method.to_uppercase().parse().ok()?,
        path: path.to_owned(),
        tag: described["tags"][0].as_str().unwrap_or("other").to_owned(),
        caller,
        for_grants: needed.contains("grant"),
        query: query.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect(),
        body: described["requestBody"]["content"]["application/json"].get("schema").cloned(),
        scope: described["x-scope"].as_str().map(str::to_owned),
        streams,
        conditional,
        repeatable,
    })
}

fn is_header(parameter: &Value, name: &str) -> bool {
    let named = parameter["name"].as_str().unwrap_or_default();
    parameter["in"] == "header" && named.eq_ignore_ascii_case(name)
}

impl Operation {
    /// Method and path.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path up to and with each parameter, from left to right: what tells parameters of the same
    /// name apart.
    pub(crate) fn places(&self) -> Vec<String> {
        let ends = self.path.char_indices().filter(|(_, character)| *character == '}');
        ends.map(|(at, _)| self.path[..=at].to_owned()).collect()
    }

    /// Whether it only looks.
    pub(crate) fn is_safe(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether its answers come in pages.
    pub(crate) fn is_paged(&self) -> bool {
        self.is_safe() && self.query.iter().any(|name| name == "cursor")
    }
}

/// The name of the parameter that ends a place.
pub(crate) fn parameter_of(place: &str) -> &str {
    place.rsplit('{').next().unwrap_or_default().trim_end_matches('}').trim_start_matches('*')
}

/// The path before the parameter that ends a place, without its last slash.
pub(crate) fn parent_of(place: &str) -> &str {
    place.rsplit_once("/{").map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::{Caller, Description, parameter_of, parent_of};
    use http::Method;
    use serde_json::json;

    #[test]
    fn operations_are_read_with_their_callers_and_places() {
        let document = json!({"paths": {"/v1/records/{collection}/{id}": {
            "get": {"tags": ["data"], "security": [{"tenant": []}], "x-scope": "records:read", "responses": {}},
            "patch": {"parameters": [{"name": "If-Match", "in": "header"}, {"name": "limit", "in": "query"}]},
        }, "/v1/plans/{name}": {"put": {"security": [{"operator": []}]}}, "/healthz": {"get": {"security": []}}}});
        let read = Description::read(&document);
        assert_eq!(read.operations.len(), 4);
        let record = read.find(&Method::GET, "/v1/records/{collection}/{id}").unwrap();
        assert_eq!(record.caller, Caller::Tenant);
        assert_eq!(record.places(), ["/v1/records/{collection}", "/v1/records/{collection}/{id}"]);
        let change = read.find(&Method::PATCH, "/v1/records/{collection}/{id}").unwrap();
        assert_eq!((record.conditional, change.conditional, change.query.len()), (false, true, 1));
        assert_eq!(read.find(&Method::PUT, "/v1/plans/{name}").unwrap().caller, Caller::Operator);
        assert_eq!(read.find(&Method::GET, "/healthz").unwrap().caller, Caller::Anyone);
    }

    #[test]
    fn a_place_knows_its_parameter_and_its_parent() {
        let place = "/v1/records/{collection}/{id}";
        assert_eq!((parameter_of(place), parent_of(place)), ("id", "/v1/records/{collection}"));
    }
}
