//! Why a call did not give what was asked.

use serde_json::Value;
use std::fmt;

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem's stable code; empty where the answer has none.
    pub code: String,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// The request's id, by which the server's log knows it.
    pub request_id: String,
    /// The whole problem.
    pub members: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.detail.as_str()) {
            ("", "") => write!(out, "the server answered {}", self.status),
            ("", detail) => write!(out, "the server answered {}: {detail}", self.status),
            (code, detail) => write!(out, "the server answered {} {code}: {detail}", self.status),
        }
    }
}

/// Why a call did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The file that is sent or written could not be used.
    #[error("the file cannot be used: {0}")]
    File(#[source] std::io::Error),
    /// The request cannot be written as HTTP.
    #[error("the request cannot be sent: {0}")]
    Malformed(#[from] http::Error),
    /// The server cannot be reached, or closed the connection.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("the server did not answer within {0} seconds")]
    TimedOut(u64),
    /// The answer is larger than any of this API's.
    #[error("the answer is too large, or was cut off: {0}")]
    Body(String),
    /// The answer is not what the API describes.
    #[error("the answer is not what the API describes: {0}")]
    Unexpected(String),
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
}

impl CallError {
    /// The stable code, where the server refused with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(refusal.code.as_str()),
            _ => None,
        }
    }
}
