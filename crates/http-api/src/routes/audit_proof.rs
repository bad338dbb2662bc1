//! `GET /v1/audit/proof`: that an event is in the log, or that an earlier log is the beginning of this one.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::{Query, number};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::audit_log;
use audit::event::Action;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use context::{Read, on};
use errors::Problem;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::InclusionProof;

const READ: Action = Action::new("audit.read");

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default, deserialize_with = "number")]
    pub(super) index: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) size: Option<u64>,
}

/// A proof (RFC 6962, section 2.1).
#[derive(Serialize, JsonSchema)]
pub(super) struct Proof {
    /// The event's index, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// The exact leaf, where an event was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
    /// The earlier log's size, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The hashes in base64, in the order of RFC 6962.
    hashes: Vec<String>,
    /// The signed checkpoint that the hashes lead to.
    checkpoint: String,
}

impl Wanted {
    /// What is said where neither or both are given.
    /// The operation with these parameters.
    pub(super) fn taken_by(operation: Operation) -> Operation {
        operation
            .takes_as(Form::Number(0, u64::MAX), "index", "the event whose place is to be proven, from 0")
            .takes_as(
                Form::Number(1, u64::MAX),
                "size",
                "the size of an earlier checkpoint that the log is to be proven to continue",
            )
    }

    pub(super) const ONE_OF_THE_TWO: &str = "Say either `index`, the event whose place is to be proven, or \
        `size`, the size of an earlier checkpoint.";
}

impl Proof {
    /// That an event is in the log.
    pub(super) fn of_event(found: InclusionProof) -> Self {
        Self {
            index: Some(found.index),
            leaf: Some(String::from_utf8_lossy(&found.leaf).into_owned()),
            size: None,
            hashes: texts(&found.hashes),
            checkpoint: found.checkpoint,
        }
    }

    /// That the log of `size` events is the beginning of the present one.
    pub(super) fn of_growth(size: u64, hashes: &[[u8; 32]], checkpoint: String) -> Self {
        Self { index: None, leaf: None, size: Some(size), hashes: texts(hashes), checkpoint }
    }
}

pub(super) fn operation() -> Operation {
    Wanted::taken_by(Operation::new(Method::GET, "/v1/audit/proof", handle))
        .about("audit", "Prove that an event is in the log, or that an earlier log is its beginning")
        .for_tenants::<Read<on::Audit>>()
        .audited(Audited::Aggregated("audit.read"))
        .answers::<Proof>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(wanted): Query<Wanted>) -> Answer {
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let proof = match (wanted.index, wanted.size) {
            (Some(index), None) => {
                let found = audit_log::prove_inclusion(&api.app, &tenant, index).await?;
                found.map(Proof::of_event)
            }
            (None, Some(size)) => {
                let found = audit_log::prove_consistency(&api.app, &tenant, size).await?;
                found.map(|(hashes, checkpoint)| Proof::of_growth(size, &hashes, checkpoint))
            }
            _ => return Err(Problem::invalid(Wanted::ONE_OF_THE_TWO)),
        };
        note_read(&api, &noted, &tenant, READ, "audit", "proof");
        Ok(proof)
    })
    .await
}

fn texts(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}
