//! [`HostPort`]: an exception that the operator makes, and [`HostPattern`]: the hosts that a credential names.

use crate::{Host, HostError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A port from 1 to 65535 in plain decimal digits.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// One host and one port, as in `egress.allow = ["crm.internal:8080"]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// The text is not `host:port`, or not a pattern of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPortError {
    /// The host is not one.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The port is missing, zero or no number.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// `*.` is not followed by a domain of two labels or more.
    #[error("a wildcard stands for the first labels of a name with a domain of its own, as in *.example.com")]
    Wildcard,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError::Port)?;
        Ok(Self { host: Host::parse(host)?, port: parse_port(port).ok_or(HostPortError::Port)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Hosts that a credential may go to: `api.example.com`, `*.example.com` (every name below, not the domain
/// itself), an IP address; each with a port if only that one is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    below: bool,
    host: Host,
    port: Option<u16>,
}

impl HostPattern {
    /// Whether the pattern names this host and port.
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        let named = match (self.below, &self.host, host) {
            (false, named, host) => named == host,
            (true, Host::Name(domain), Host::Name(name)) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.')),
            (true, _, _) => false,
        };
        named && self.port.is_none_or(|only| only == port)
    }
}

impl FromStr for HostPattern {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match text[after_brackets..].find(':') {
            Some(colon) => {
                let (host, port) = text.split_at(after_brackets + colon);
                (host, Some(parse_port(&port[1..]).ok_or(HostPortError::Port)?))
            }
            None => (text, None),
        };
        let (below, host) = match host.strip_prefix("*.") {
            Some(domain) => (true, Host::parse(domain)?),
            None => (false, Host::parse(host)?),
        };
        if below && !host.name().is_some_and(|domain| domain.contains('.')) {
            return Err(HostPortError::Wildcard);
        }
        Ok(Self { below, host, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below {
            out.write_str("*.")?;
        }
        write!(out, "{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = HostPortError;

            fn try_from(text: String) -> Result<Self, HostPortError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(HostPort HostPattern);

#[cfg(test)]
mod tests {
    use super::{HostPattern, HostPort, HostPortError};
    use crate::{Host, HostError};

    fn matches(pattern: &str, host: &str, port: u16) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(&Host::parse(host).unwrap(), port)
    }

    #[test]
    fn an_exception_is_one_host_and_one_port() {
        let exception: HostPort = "CRM.internal.:8080".parse().unwrap();
        assert_eq!(exception.to_string(), "crm.internal:8080");
        assert_eq!("[::1]:80".parse::<HostPort>().unwrap().to_string(), "[::1]:80");
        for text in ["crm.internal", "crm.internal:", "crm.internal:0", "crm.internal:http", "::1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
        assert_eq!("*.internal:80".parse::<HostPort>(), Err(HostPortError::Host(HostError::Malformed)));
    }

    #[test]
    fn an_exact_pattern_names_itself_alone() {
        assert!(matches("api.example.com", "API.example.com.", 443));
        assert!(matches("api.example.com", "api.example.com", 8443));
        assert!(!matches("api.example.com", "x.api.example.com", 443));
        assert!(!matches("api.example.com", "api.example.com.evil.test", 443));
        assert!(!matches("api.example.com:443", "api.example.com", 8443));
        assert!(matches("[::1]:8080", "[::1]", 8080) && matches("127.0.0.1", "127.0.0.1", 9));
    }

    #[test]
    fn a_wildcard_names_what_is_below_and_not_the_domain() {
        assert!(
            matches("*.example.com", "a.example.com", 443)
                && matches("*.example.com", "a.b.example.com", 443)
        );
        assert!(!matches("*.example.com", "example.com", 443));
        assert!(!matches("*.example.com", "badexample.com", 443));
        assert!(!matches("*.example.com", "a.example.com.evil.test", 443));
    }

    #[test]
    fn wide_or_broken_patterns_are_refused() {
        for text in
            ["*", "*.com", "*.", "*.1.2.3.4", "a.*.com", "", "**.example.com", "*.example.com:0", "http://a"]
        {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_travel_as_text() {
        let json = r#"["*.example.com","api.example.com:8443"]"#;
        let patterns: Vec<HostPattern> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&patterns).unwrap(), json);
    }
}
