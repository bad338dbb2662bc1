//! Workflows on the whole server: runs through every type of node, failures, orders, crashes, crowds, hooks.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod following;
#[cfg(test)]
mod github;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod rude;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod schemes;
#[cfg(test)]
pub(crate) mod service;
#[cfg(test)]
mod upgrades;

use crate::harness::{Server, Tenant};
use client::Client;
use serde_json::{Value, json};
use service::Service;
use std::time::Duration;

/// How long a run may take in a test, in tenths of a second.
const PATIENCE: usize = 600;

/// A server that lets tenants reach the stand-in for an outside service.
async fn stage() -> (Server, Service) {
    let service = Service::start().await;
    let config = format!("[egress]\nallow = [\"{}\"]\n", service.host);
    (Server::start_with(&config, &[]), service)
}

/// A workflow with this definition.
pub(crate) async fn workflow(tenant: &Tenant, definition: &Value) -> String {
    tenant.make("/v1/workflows", json!({"name": "under test", "definition": definition})).await
}

/// Starts a run.
pub(crate) async fn start(who: &Client, workflow: &str, input: Value) -> String {
    let path = format!("/v1/workflows/{workflow}/runs");
    let run = who.post(&path, &json!({"input": input})).await.unwrap();
    assert_eq!(run["status"], "queued");
    run["id"].as_str().unwrap().to_owned()
}

/// The run, once it stands as wanted.
pub(crate) async fn until(who: &Client, run: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..PATIENCE {
        let found = who.get(&format!("/v1/runs/{run}")).await.unwrap();
        if wanted(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", who.get(&format!("/v1/runs/{run}")).await.unwrap());
}

/// The run, once it is over.
pub(crate) async fn over(who: &Client, run: &str) -> Value {
    until(who, run, |run| matches!(run["status"].as_str(), Some("succeeded" | "failed" | "cancelled"))).await
}

/// The step of a node.
pub(crate) fn step<'a>(run: &'a Value, node: &str) -> &'a Value {
    run["steps"].as_array().unwrap().iter().find(|step| step["node"] == node).unwrap()
}

/// Waits until something holds.
pub(crate) async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not come to hold");
}
