//! Audit logs, verified against checkpoints that are held here, outside the server.

use crate::harness::send;
use audit::export::{Trust, verify_export};
use audit::note::VerifierKey;
use client::Client;
use http::Method;
use serde_json::Value;

/// What a tenant keeps of its log.
pub(crate) struct Held {
    key: VerifierKey,
    checkpoints: Vec<String>,
}

/// How many checkpoints are kept: the first ones and the last.
const KEPT: usize = 4;

impl Held {
    pub(crate) async fn of(owner: &Client) -> Self {
        let key = send(owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
        Self { key, checkpoints: vec![checkpoint(owner).await] }
    }

    /// Verifies an export against every checkpoint that is held; gives back its events.
    pub(crate) fn verified(&self, export: &[u8]) -> Vec<Value> {
        verify(export, &self.key, &self.checkpoints)
    }

    pub(crate) fn hold(&mut self, checkpoint: String) {
        if self.checkpoints.len() == KEPT {
            self.checkpoints.pop();
        }
        self.checkpoints.push(checkpoint);
    }
}

pub(crate) async fn checkpoint(owner: &Client) -> String {
    let checkpoint = owner.get("/v1/audit/checkpoint").await.unwrap();
    checkpoint["checkpoint"].as_str().unwrap().to_owned()
}

pub(crate) async fn export(owner: &Client) -> Vec<u8> {
    send(owner, Method::GET, "/v1/audit/export?format=jsonl").await.accepted().unwrap().body.to_vec()
}

/// Verifies an export against every one of these checkpoints; gives back its events.
pub(crate) fn verify(export: &[u8], key: &VerifierKey, checkpoints: &[String]) -> Vec<Value> {
    for earlier in checkpoints {
        if let Err(error) = verify_export(export, &Trust::new(key).earlier(earlier)) {
            panic!("an audit log departs from a checkpoint: {error}\n{earlier}");
        }
    }
    let lines = export.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    events.filter(|event| event.get("checkpoint").is_none()).collect()
}
