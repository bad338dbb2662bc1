//! What callers fill in. The types with fields that go into the leaf as they are declare them in the
//! order of their names, which is the order of canonical JSON.

use super::{Action, Confidence, ReasonCode};
use ids::{CallId, EventId, RequestId, Slug};
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The largest whole number that every reader of JSON keeps exactly (RFC 8259, section 6).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// An event before it has its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its id where that is settled before it is written, so that what begins with it can name it. Else it
    /// gets one with its place.
    pub id: Option<EventId>,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// How it went, or that it is about to be tried.
    pub result: Outcome,
    /// Why it went so.
    pub reason_code: Option<ReasonCode>,
    /// The request that it belongs to.
    pub request_id: Option<RequestId>,
    /// The address it came from. Personal: outside the leaf.
    pub ip: Option<IpAddr>,
    /// The program it came from. Personal: outside the leaf.
    pub user_agent: Option<String>,
    /// The trace id that the caller sent, as a link.
    pub trace_link: Option<String>,
    /// Why an agent did it, in its words. Long and possibly personal: outside the leaf.
    pub reasoning: Option<String>,
    /// What an agent's decision rests on.
    pub sources: Vec<Source>,
    /// How sure an agent was.
    pub confidence: Option<Confidence>,
    /// What it cost.
    pub cost: Option<CostRef>,
    /// The intent whose outcome this is.
    pub intent: Option<EventId>,
    /// Small facts without personal content, by lower-case names. Numbers are whole; amounts are text.
    pub details: BTreeMap<String, Value>,
    /// Further personal or long values, by lower-case names: outside the leaf.
    pub personal: BTreeMap<String, String>,
}

impl Draft {
    /// An event of which only the necessary is said.
    pub fn new(actor: Actor, action: Action, resource: Resource, result: Outcome) -> Self {
        Self {
            id: None,
            actor,
            action,
            resource,
            result,
            reason_code: None,
            request_id: None,
            ip: None,
            user_agent: None,
            trace_link: None,
            reasoning: None,
            sources: Vec::new(),
            confidence: None,
            cost: None,
            intent: None,
            details: BTreeMap::new(),
            personal: BTreeMap::new(),
        }
    }
}

/// Who acted, and how that was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// How it authenticated.
    pub auth: AuthMethod,
    /// Its id. Never a name or an address.
    pub id: String,
    /// What it is.
    pub kind: ActorKind,
    /// For whom it acted, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_behalf_of: Vec<ActorRef>,
}

/// Someone for whom an actor acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActorRef {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: ActorKind,
}

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person of the tenant.
    User,
    /// An agent of the tenant.
    Agent,
    /// A program of the tenant, by its key.
    ServiceKey,
    /// Who runs Tenantry.
    Operator,
    /// Tenantry itself, as a named principal.
    System,
    /// Someone without a credential, such as the sender of a webhook.
    Outsider,
}

/// How an actor authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// By an API key.
    ApiKey,
    /// By a signed token.
    Jwt,
    /// By an operator's key.
    OperatorKey,
    /// By a hook's address and signature.
    Hook,
    /// Not at all: it is part of the server.
    Internal,
}

/// What was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// What it is, such as `record`.
    pub kind: String,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is about to be tried; another event, which names this one, tells how it went.
    Intent,
    /// It was done.
    Success,
    /// It was tried and not done.
    Failure,
    /// It was not allowed.
    Denied,
    /// It was tried, and whether it was done is not known.
    OutcomeUnknown,
}

/// Something that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// A hash of its content, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Its id.
    pub id: String,
    /// What it is, such as `document`.
    pub kind: String,
    /// Where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Slug>,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What an action cost, and where usage has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostRef {
    /// The call as usage counts it.
    pub call: CallId,
    /// Tokens in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The price. None for a call without a known price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
}
