//! [`OutboundRequest`] and [`OutboundResponse`]: what may leave, and what comes back.
//!
//! Neither prints: they hold a tenant's content, and the request may hold its credential.

use crate::{AttachedCredential, Destination, Headers};
use http::HeaderMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The methods that a tenant may use. CONNECT would open a tunnel, and TRACE echoes credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Read the header fields alone.
    Head,
    /// Ask what is possible.
    Options,
    /// Replace.
    Put,
    /// Remove.
    Delete,
    /// Process.
    Post,
    /// Change in part (RFC 5789).
    Patch,
}

/// The text is none of the methods that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the method is none of GET, HEAD, OPTIONS, PUT, DELETE, POST, PATCH")]
pub struct MethodError;

impl Method {
    const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Options, Self::Put, Self::Delete, Self::Post, Self::Patch];

    /// The method's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Post => "POST",
            Self::Patch => "PATCH",
        }
    }

    /// Whether doing it twice is as good as doing it once (RFC 9110, section 9.2.2).
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }
}

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, MethodError> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or(MethodError)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A request to an outside service.
#[derive(Clone)]
pub struct OutboundRequest {
    /// What is asked.
    pub method: Method,
    /// Where it goes.
    pub url: Destination,
    /// Header fields that the tenant chose.
    pub headers: Headers,
    /// The body; empty is none.
    pub body: Vec<u8>,
    /// The credential that goes with it, if its own rules let it.
    pub credential: Option<AttachedCredential>,
    /// How long all of it may take: names, connections, redirects and the whole answer.
    pub timeout: Duration,
    /// How many bytes the answer's body may have.
    pub max_response_bytes: usize,
    /// How many redirects are followed. With 0 a redirect is the answer.
    pub follow_redirects: u8,
}

impl OutboundRequest {
    /// A request without header fields, body or credential that takes at most 30 seconds and 1 MiB and
    /// follows no redirect.
    pub fn new(method: Method, url: Destination) -> Self {
        Self {
            method,
            url,
            headers: Headers::default(),
            body: Vec::new(),
            credential: None,
            timeout: Duration::from_secs(30),
            max_response_bytes: 1 << 20,
            follow_redirects: 0,
        }
    }
}

/// The answer of an outside service.
#[derive(Clone)]
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// The answer's header fields.
    pub headers: HeaderMap,
    /// The answer's body, exactly as it was sent: nothing is decompressed.
    pub body: Vec<u8>,
    /// Who answered: another than was asked where redirects were followed.
    pub url: Destination,
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn methods_read_back_and_tunnels_are_refused() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
        }
        for text in ["CONNECT", "TRACE", "get", "", "GET "] {
            assert!(text.parse::<Method>().is_err(), "{text}");
        }
    }
}
