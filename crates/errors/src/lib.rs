//! What callers are told when something goes wrong: a stable [`Code`], each with a page, and the
//! [`Problem`] that carries it (RFC 9457). Causes that only the operator may see stay in the modules'
//! own error types and go to the log.

mod code;

pub use code::Code;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// A refusal or failure as the caller sees it. Never holds SQL, a path, a secret or another tenant's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong and what to do, for people.
    pub detail: String,
    /// Further members, such as `reserved` and `spent`.
    pub members: Map<String, Value>,
    /// Seconds after which a retry may succeed.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem with this detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: Map::new(), retry_after: None }
    }

    /// The same 404 for what is missing and what is another tenant's.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such object in this tenant.")
    }

    /// A request that cannot be carried out as it stands.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// A fault of ours; its cause goes to the log, not to the caller.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "The server could not carry out the request. Its log has the request id.")
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Says when a retry may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

/// The body of a problem answer (RFC 9457, section 3), as the interface description shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemBody {
    /// Address of the page about this code.
    #[serde(rename = "type")]
    pub page: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What went wrong in this case, and what to do.
    pub detail: String,
    /// The request's id, as in the log and the audit trail.
    pub request_id: String,
    /// Members that some codes add.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}
