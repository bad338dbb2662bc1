//! What is known of the request that brings a principal in, and the log of those that failed.

use env::Timestamp;
use ids::{KeyId, RequestId};
use std::net::IpAddr;

/// The request's circumstances, for the audit log and the deadline.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The request's id.
    pub id: RequestId,
    /// The caller's address, where there is a caller.
    pub ip: Option<IpAddr>,
    /// The caller's `User-Agent`, cut to a sensible length.
    pub user_agent: Option<String>,
    /// The caller's W3C trace id: a link, never our own.
    pub trace_link: Option<String>,
    /// When the caller stops waiting.
    pub deadline: Option<Timestamp>,
}

impl RequestFacts {
    /// Facts of work that no caller waits for.
    pub fn internal(id: RequestId) -> Self {
        Self { id, ip: None, user_agent: None, trace_link: None, deadline: None }
    }
}

/// Where failed authentications go: the operator's log, aggregated. An outsider can write nothing into a
/// tenant's log.
pub trait FailureLog: Send + Sync {
    /// Notes one failure by address and the key id that was claimed, if its form was right.
    fn note(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, at: Timestamp);
}
