//! [`Address`]: where Redis is. A plaintext link leaves neither the machine nor its socket.

use redis::IntoConnectionInfo as _;
use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// Where Redis is, and as whom to come.
#[derive(Clone)]
pub struct Address(redis::ConnectionInfo);

/// Redis cannot be used at this address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitAddress {
    /// It is no URL of Redis.
    #[error(
        "not a URL of Redis such as \"redis+unix:///run/redis/redis.sock\" or \"redis://127.0.0.1:6379\""
    )]
    NoUrl,
    /// Others could read and change what goes over the link.
    #[error("a plaintext link to Redis may not leave this machine; use a unix socket or a loopback address")]
    Plaintext,
    /// Encrypted links are not offered.
    #[error("`rediss://` is not offered; use a unix socket or a loopback address")]
    Tls,
}

impl Address {
    /// Reads a URL. A name is no loopback address, whatever it resolves to now.
    pub fn parse(text: &str) -> Result<Self, UnfitAddress> {
        let url = Url::parse(text).map_err(|_| UnfitAddress::NoUrl)?;
        match url.scheme() {
            "redis+unix" | "unix" => {}
            "redis" => {
                let address = match url.host() {
                    Some(Host::Ipv4(address)) => IpAddr::V4(address),
                    Some(Host::Ipv6(address)) => IpAddr::V6(address),
                    Some(Host::Domain(name)) => name.parse().map_err(|_| UnfitAddress::Plaintext)?,
                    None => return Err(UnfitAddress::NoUrl),
                };
                if !address.is_loopback() {
                    return Err(UnfitAddress::Plaintext);
                }
            }
            "rediss" => return Err(UnfitAddress::Tls),
            _ => return Err(UnfitAddress::NoUrl),
        }
        url.into_connection_info().map(Self).map_err(|_| UnfitAddress::NoUrl)
    }

    pub(crate) fn info(&self) -> redis::ConnectionInfo {
        self.0.clone()
    }
}

/// The URL may hold a password.
impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Address(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, UnfitAddress};

    #[test]
    fn a_plaintext_link_stays_on_the_machine() {
        for fit in ["redis+unix:///run/redis.sock", "redis://127.0.0.1:6379", "redis://:word@[::1]:6379/2"] {
            Address::parse(fit).unwrap();
        }
        for (unfit, why) in [
            ("redis://10.0.0.7:6379", UnfitAddress::Plaintext),
            ("redis://localhost:6379", UnfitAddress::Plaintext),
            ("redis://redis.internal:6379", UnfitAddress::Plaintext),
            ("redis://0.0.0.0:6379", UnfitAddress::Plaintext),
            ("rediss://redis.internal:6379", UnfitAddress::Tls),
            ("http://127.0.0.1", UnfitAddress::NoUrl),
            ("127.0.0.1:6379", UnfitAddress::NoUrl),
        ] {
            assert_eq!(Address::parse(unfit).unwrap_err(), why, "{unfit}");
        }
        assert_eq!(format!("{:?}", Address::parse("redis://:word@127.0.0.1").unwrap()), "Address(…)");
    }
}
