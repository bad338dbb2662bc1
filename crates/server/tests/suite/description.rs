//! The interface description: complete, and as it was reviewed.

use crate::harness::Server;
use serde_json::Value;
use std::fmt::Write as _;

/// An operation as the description has it.
pub(crate) struct Described {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) operation: Value,
}

impl Described {
    pub(crate) fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap()
    }

    /// Whether a credential of this kind opens it: `tenant` or `operator`.
    pub(crate) fn is_for(&self, who: &str) -> bool {
        self.operation["security"][0].get(who).is_some()
    }
}

/// Every operation that the server describes.
pub(crate) async fn operations(server: &Server) -> Vec<Described> {
    let description = server.operator.get("/openapi.json").await.unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (method, path) = (method.clone(), path.clone());
            operations.push(Described { method, path, operation: operation.clone() });
        }
    }
    operations
}

/// The same, but for what tenants' own workers alone call, who are tried by themselves.
pub(crate) async fn sampled_operations(server: &Server) -> Vec<Described> {
    let mut all = operations(server).await;
    all.retain(|described| !described.is_for("worker"));
    all
}

#[tokio::test]
async fn the_description_is_as_reviewed() {
    let server = Server::start();
    let mut description = server.operator.get("/openapi.json").await.unwrap();
    // The port is another each time.
    description["servers"][0]["url"] = "https://tenantry.example".into();
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&description).unwrap());
}

#[tokio::test]
async fn every_operation_says_all_there_is_to_say() {
    let server = Server::start();
    for described in operations(&server).await {
        let (place, operation) = (format!("{} {}", described.method, described.path), &described.operation);
        for member in ["summary", "operationId"] {
            assert!(!operation[member].as_str().unwrap().is_empty(), "{place}: no {member}");
        }
        assert!(!operation["tags"][0].as_str().unwrap().is_empty(), "{place}: no tag");
        let audit = operation["x-audit"].as_object().unwrap();
        assert_eq!(audit.len(), 1, "{place}: one of event, aggregated and silent");
        let least = if audit.contains_key("silent") { 20 } else { 3 };
        let said = audit.values().next().unwrap().as_str().unwrap();
        assert!(said.len() >= least, "{place}: says too little of what it leaves in the log");
        for content in operation["requestBody"]["content"].as_object().iter().flat_map(|it| it.values()) {
            assert!(!content["schema"].is_null(), "{place}: a body without a schema");
        }
        let good: Vec<_> = operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(status, _)| status.starts_with('2'))
            .collect();
        assert!(!good.is_empty(), "{place}: no good answer");
        for (status, answer) in good {
            let contents = answer["content"].as_object();
            let silent = status == "204" || status == "202";
            assert!(contents.is_some() || silent, "{place}: {status} without a content");
            for content in contents.iter().flat_map(|it| it.values()) {
                assert!(!content["schema"].is_null(), "{place}: {status} without a schema");
            }
        }
    }
}

#[tokio::test]
async fn operations_that_leave_no_event_are_as_reviewed() {
    let server = Server::start();
    let mut silent = String::new();
    for described in operations(&server).await {
        if let Value::String(reason) = &described.operation["x-audit"]["silent"] {
            writeln!(silent, "{} {}: {reason}", described.method.to_uppercase(), described.path).unwrap();
        }
    }
    insta::assert_snapshot!("silent_operations", silent);
}
