//! [`Destination`]: an absolute `http` or `https` URL that a tenant may have influenced, read once and kept
//! in parts, so that what was checked is what is connected to.

use crate::{Host, HostError};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::{ParseError, Url};

/// The longest URL in bytes. RFC 9110, section 4.1, asks for at least 8,000.
pub const MAX_URL_BYTES: usize = 8000;

/// How the destination is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme means when it names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a request goes. Two destinations with the same text are the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    scheme: Scheme,
    host: Host,
    port: u16,
    target: String,
}

/// The text is not a URL that a request may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Not `http://…` or `https://…`.
    #[error("the URL does not begin with http:// or https://")]
    Scheme,
    /// A user name or password in the URL, which logs and redirects would spread.
    #[error("the URL names a user; store a credential instead")]
    UserInfo,
    /// The host is not one.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The port is empty, zero or no number.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// White space, control characters or backslashes, which readers of URLs disagree about.
    #[error("the URL holds white space, control characters or backslashes")]
    Characters,
    /// Not a URL.
    #[error("the text is not a URL")]
    Malformed,
}

impl Destination {
    /// Reads an absolute URL. Its fragment is dropped: it is never sent.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.len() > MAX_URL_BYTES {
            return Err(DestinationError::TooLong);
        }
        if is_odd(text) {
            return Err(DestinationError::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(DestinationError::Scheme)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(DestinationError::Scheme),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = split_authority(authority, scheme)?;
        Self::assemble(scheme, host, port, &Url::parse(text).map_err(|_| DestinationError::Malformed)?)
    }

    /// What a `Location` header of an answer from here points to (RFC 9110, section 10.2.2).
    pub fn join(&self, location: &str) -> Result<Self, DestinationError> {
        if is_odd(location) {
            return Err(DestinationError::Characters);
        }
        // Whatever names a host is read as strictly as a tenant's own URL; the URL reader resolves paths alone.
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme.as_str()));
        }
        if Url::parse(location) != Err(ParseError::RelativeUrlWithoutBase) {
            return Self::parse(location);
        }
        let base = Url::parse(&self.to_string()).map_err(|_| DestinationError::Malformed)?;
        let joined = base.join(location).map_err(|_| DestinationError::Malformed)?;
        Self::parse(joined.as_str())
    }

    fn assemble(scheme: Scheme, host: Host, port: u16, url: &Url) -> Result<Self, DestinationError> {
        // Two readers looked at the same text. Where they disagree, so may a third.
        let agrees = url.scheme() == scheme.as_str()
            && url.port_or_known_default() == Some(port)
            && url.host_str().is_some_and(|text| Host::parse(text) == Ok(host.clone()));
        if !agrees {
            return Err(DestinationError::Malformed);
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let destination = Self { scheme, host, port, target };
        if destination.to_string().len() > MAX_URL_BYTES {
            return Err(DestinationError::TooLong);
        }
        Ok(destination)
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who is spoken to.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, always a number.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query: the request target in origin form (RFC 9112, section 3.2.1).
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the `Host` header gives them: without the scheme's own port.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether scheme, host and port are the same (RFC 6454, section 5).
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The address, where the URL writes one out instead of a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.address()
    }
}

/// Whether the URL reader would mend the text silently: each mending is a way to mean two things at once.
fn is_odd(text: &str) -> bool {
    text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\')
}

fn split_authority(authority: &str, scheme: Scheme) -> Result<(Host, u16), DestinationError> {
    if authority.contains('@') {
        return Err(DestinationError::UserInfo);
    }
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[after_brackets..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            (host, crate::host_port::parse_port(&port[1..]).ok_or(DestinationError::Port)?)
        }
        None => (authority, scheme.default_port()),
    };
    Ok((Host::parse(host)?, port))
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Self::parse(text)
    }
}

/// The whole URL. Paths and queries are a tenant's content: it belongs in no log.
impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.scheme.as_str(), self.authority(), self.target)
    }
}

/// Without path and query, which may hold a tenant's content.
impl fmt::Debug for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Destination({}://{}/…)", self.scheme.as_str(), self.authority())
    }
}

#[cfg(test)]
mod tests;
