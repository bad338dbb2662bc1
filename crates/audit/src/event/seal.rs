//! Sealing: a draft gets its id, time and place, and becomes a leaf.

use super::LEAF_VERSION;
use super::canonical::{CanonicalDetails, is_plain};
use super::commitment::{Disclosure, PERSONAL, commitments, take_disclosures};
use super::draft::{Actor, CostRef, Draft, MAX_INTEGER, Outcome, Resource, Source};
use super::name::{Action, Confidence, ReasonCode, is_word};
use crate::merkle::{Hash, MAX_ENTRY_BYTES, leaf_hash};
use crate::note::Origin;
use env::{Env, Timestamp};
use ids::{EventId, Id, RequestId, Slug, TenantId};
use serde::Serialize;
use std::collections::BTreeMap;

/// The most bytes a leaf can have: what fits in an entry bundle.
pub const MAX_LEAF_BYTES: usize = MAX_ENTRY_BYTES;
/// What the first leaf of a log has for the hash of the leaf before it.
pub const NO_PREVIOUS_LEAF: Hash = [0; 32];
/// What most leaves fit in.
const USUAL_LEAF_BYTES: usize = 1024;

/// Where the next event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whose log.
    pub tenant: TenantId,
    /// Where the log is kept.
    pub region: Slug,
    /// Which of the tenant's logs in this region.
    pub epoch: u64,
    /// How many events the log has.
    pub index: u64,
    /// The hash of the last leaf, or [`NO_PREVIOUS_LEAF`].
    pub prev_leaf_hash: Hash,
}

impl Position {
    /// The beginning of a log.
    pub fn start(log: Origin) -> Self {
        let Origin { tenant, region, epoch } = log;
        Self { tenant, region, epoch, index: 0, prev_leaf_hash: NO_PREVIOUS_LEAF }
    }

    /// Goes on to after a leaf with this hash.
    pub fn advance(&mut self, leaf_hash: Hash) {
        self.index += 1;
        self.prev_leaf_hash = leaf_hash;
    }
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The leaf: canonical JSON, at most [`MAX_LEAF_BYTES`], without line breaks.
    pub leaf: Vec<u8>,
    /// The leaf's hash in the tree.
    pub leaf_hash: Hash,
    /// The event's id.
    pub event_id: EventId,
    /// When it was sealed.
    pub time: Timestamp,
    /// The values that the leaf commits to, to be kept where they can be erased.
    pub disclosures: Vec<Disclosure>,
}

/// Why a draft cannot become a leaf. Nothing is ever cut short to fit.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The leaf would be too long. Long values belong into `reasoning` and `personal`.
    #[error("the event is {0} bytes long, more than the {MAX_LEAF_BYTES} that a leaf can have")]
    TooLong(usize),
    /// The name of a detail or a personal value is not a lower-case word.
    #[error("{0:?} is not a name of lower-case letters, digits and _")]
    FieldName(String),
    /// A detail has a fraction or a number above [`MAX_INTEGER`], or is nested too deep.
    #[error("the detail {0} has a number that is not whole and exact, or is nested too deep")]
    Detail(String),
    /// A number is too large to be exact for every reader.
    #[error("the number {0} is larger than JSON keeps exactly")]
    Number(u64),
    /// An intent has no intent of its own.
    #[error("an intent cannot be the outcome of an intent")]
    IntentOfIntent,
    /// The event could not be written as JSON.
    #[error("the event could not be written")]
    Unwritable(#[source] serde_json::Error),
}

/// The leaf's fields, in the order of canonical JSON.
#[derive(Serialize)]
struct Leaf<'a> {
    action: &'a Action,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    commitments: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<&'a Confidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a CostRef>,
    #[serde(skip_serializing_if = "CanonicalDetails::is_empty")]
    details: CanonicalDetails<'a>,
    epoch: u64,
    event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<EventId>,
    prev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<&'a ReasonCode>,
    region: &'a Slug,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    resource: &'a Resource,
    result: Outcome,
    seq: u64,
    #[serde(skip_serializing_if = "<[Source]>::is_empty")]
    sources: &'a [Source],
    tenant: TenantId,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_link: Option<&'a str>,
    v: u8,
}

/// Gives a draft its time, place and, where it has none, its id, and makes its leaf. The caller makes the leaf durable before
/// the action's effect (an intent) or its acknowledgement.
pub fn seal(mut draft: Draft, position: &Position, env: &Env) -> Result<Sealed, EventError> {
    check(&draft, position)?;
    let time = env.now();
    let made = || EventId::from_parts(u64::try_from(time.millis()).unwrap_or(0), env.random());
    let event_id = draft.id.unwrap_or_else(made);
    let disclosures = take_disclosures(&mut draft, env);
    let leaf = Leaf {
        action: &draft.action,
        actor: &draft.actor,
        commitments: commitments(&disclosures),
        confidence: draft.confidence.as_ref(),
        cost: draft.cost.as_ref(),
        details: CanonicalDetails(&draft.details),
        epoch: position.epoch,
        event_id,
        intent: draft.intent,
        prev: hex::encode(position.prev_leaf_hash),
        reason_code: draft.reason_code.as_ref(),
        region: &position.region,
        request_id: draft.request_id,
        resource: &draft.resource,
        result: draft.result,
        seq: position.index,
        sources: &draft.sources,
        tenant: position.tenant,
        time,
        trace_link: draft.trace_link.as_deref(),
        v: LEAF_VERSION,
    };
    let mut bytes = Vec::with_capacity(USUAL_LEAF_BYTES);
    serde_json::to_writer(&mut bytes, &leaf).map_err(EventError::Unwritable)?;
    if bytes.len() > MAX_LEAF_BYTES {
        return Err(EventError::TooLong(bytes.len()));
    }
    Ok(Sealed { leaf_hash: leaf_hash(&bytes), leaf: bytes, event_id, time, disclosures })
}

fn check(draft: &Draft, position: &Position) -> Result<(), EventError> {
    if draft.result == Outcome::Intent && draft.intent.is_some() {
        return Err(EventError::IntentOfIntent);
    }
    let tokens = draft.cost.as_ref().and_then(|cost| cost.tokens).unwrap_or(0);
    let numbers = [position.index, position.epoch, tokens];
    if let Some(number) = numbers.into_iter().find(|number| *number > MAX_INTEGER) {
        return Err(EventError::Number(number));
    }
    let mut names = draft.details.keys().chain(draft.personal.keys());
    if let Some(name) = names.find(|name| !is_word(name.as_bytes())) {
        return Err(EventError::FieldName(name.clone()));
    }
    match draft.details.iter().find(|(_, value)| !is_plain(value)) {
        Some((name, _)) => Err(EventError::Detail(name.clone())),
        None => Ok(()),
    }
}

/// The name that a draft's `personal` value has among the commitments.
pub(super) fn personal_name(field: &str) -> Option<&str> {
    field.strip_prefix(PERSONAL)
}
