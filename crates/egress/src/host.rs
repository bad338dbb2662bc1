//! [`Host`]: what a URL names, in the one spelling that everything compares.

use std::fmt;
use std::net::IpAddr;

/// The longest DNS name as text (RFC 1035, section 2.3.4), and the longest label.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A DNS name or an IP address. Names are lower-case ASCII (IDNA applied) without the root's dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An address, written out in the URL.
    Address(IpAddr),
}

/// The text is not a host name or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Neither a DNS name nor an address.
    #[error("the host is neither a DNS name nor an IP address")]
    Malformed,
    /// An IPv4 address that is not written as four decimal numbers: readers disagree on what it means.
    #[error("an IPv4 address is written as four decimal numbers")]
    OddAddress,
}

impl Host {
    /// Reads a host as it stands in a URL; an IPv6 address is in brackets.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        // The URL reader would decode percent signs, which no honest host has.
        let plausible = !text.is_empty()
            && !text.contains(|c: char| c.is_ascii_control() || c.is_whitespace() || "%@/\\?#".contains(c));
        if !plausible {
            return Err(HostError::Malformed);
        }
        match url::Host::parse(text).map_err(|_| HostError::Malformed)? {
            url::Host::Ipv4(address) if address.to_string() == text => Ok(Self::Address(address.into())),
            url::Host::Ipv4(_) => Err(HostError::OddAddress),
            url::Host::Ipv6(address) => Ok(Self::Address(address.into())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                if is_name(name) { Ok(Self::Name(name.to_owned())) } else { Err(HostError::Malformed) }
            }
        }
    }

    /// The DNS name, where it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Address(address) => Some(*address),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// As it stands in a URL and in the `Host` header.
impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(out, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(out, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, HostError};
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_name_are_one_host() {
        for text in ["api.example.com", "API.Example.COM", "api.example.com.", "api。example.com"] {
            assert_eq!(
                Host::parse(text).map(|host| host.to_string()),
                Ok("api.example.com".into()),
                "{text}"
            );
        }
        assert_eq!(
            Host::parse("bücher.example").map(|host| host.to_string()),
            Ok("xn--bcher-kva.example".into())
        );
    }

    #[test]
    fn addresses_have_one_spelling() {
        for text in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "0x7f000001", "127.0.0.01"]
        {
            assert_eq!(Host::parse(text), Err(HostError::OddAddress), "{text}");
        }
        for text in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(Host::parse(text).is_ok_and(|host| host.address().is_some()), "{text}");
        }
        assert_eq!(Host::parse("①②⑦.0.0.1"), Err(HostError::OddAddress));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["abcdefgh"; 30].join(".");
        let texts = ["", ".", "..", "a..b", "-a.example", "a-.example", "a b", "a%2eb", "a@b", "[::1", "::1"];
        for text in texts.into_iter().chain([long.as_str(), longer.as_str(), "[fe80::1%25eth0]", "1.2.3.4.5"])
        {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_prints_it_reads(text in "\\PC{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
            }
        }
    }
}
