//! What the worker must do for a run.

use crate::definition::{Method, NodeName, Operation};
use env::Timestamp;
use ids::{Slug, StepId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Perform an attempt and report its outcome.
    Perform {
        /// The step.
        step: StepId,
        /// Its node.
        node: NodeName,
        /// Which attempt, from 1.
        attempt: u32,
        /// The same for every attempt of a step, so that an outside service can tell a repeat.
        idempotency_key: String,
        /// What to do.
        request: Box<Request>,
        /// When its time is up.
        deadline: Timestamp,
        /// Record the request, carry nothing out, and report [`Request::simulated_output`].
        dry_run: bool,
    },
    /// Stop performing an attempt. Its outcome is of no interest any more.
    Abort {
        /// The step.
        step: StepId,
        /// Its node.
        node: NodeName,
        /// Which attempt.
        attempt: u32,
    },
    /// Say [`super::Input::Tick`] (to a running run) or [`super::Input::Admit`] (to a waiting one, once it
    /// has a slot) at this time. A later one replaces it.
    Wake {
        /// When.
        at: Timestamp,
    },
}

/// What to do, with all values filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Ask a model.
    Ai {
        /// The model's name.
        model: String,
        /// The system message.
        system: Option<String>,
        /// The user's message.
        prompt: String,
        /// The most tokens of the answer.
        max_tokens: Option<u32>,
        /// Sampling temperature.
        temperature: Option<f64>,
        /// What the answer must fit.
        output_schema: Option<Value>,
    },
    /// Call an outside service.
    Http {
        /// The method.
        method: Method,
        /// The address, without `query`.
        url: String,
        /// Headers, without those that the server sets.
        headers: BTreeMap<String, String>,
        /// Query parameters, not yet encoded.
        query: BTreeMap<String, String>,
        /// The JSON body.
        body: Option<Value>,
        /// The credential service.
        credential: Option<Slug>,
        /// The most bytes to read of the answer.
        max_response_bytes: u64,
    },
    /// Read or write records.
    Record {
        /// What is done.
        operation: Operation,
        /// The collection.
        collection: Slug,
        /// The record.
        record_id: Option<String>,
        /// Fields that must be equal.
        #[serde(rename = "match")]
        matching: Map<String, Value>,
        /// Fields to write.
        fields: Map<String, Value>,
        /// The most records that `find` yields.
        limit: u32,
    },
}
