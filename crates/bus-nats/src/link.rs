//! [`Link`]: where NATS is, and how it is reached: over loopback as it is, and over a network only with verified TLS.

use crate::{Credentials, SetupError};
use async_nats::ConnectOptions;
use rustls::ClientConfig;
use std::time::Duration;
use tls::Tls;
use url::{Host, Url};

/// How long NATS may take for a connection, and for any answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// The longest between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a silent connection is tried.
const PING: Duration = Duration::from_secs(5);
/// How many messages may wait for a reader of one subscription: more than a reader asks for at a time.
const WAITING: usize = 256;

/// Where NATS is, and as whom to come.
pub struct Link {
    pub(crate) address: String,
    /// Nothing where the link stays on the machine.
    tls: Option<ClientConfig>,
    credentials: Option<Credentials>,
}

impl Link {
    /// Reads an address. A name is no loopback address, whatever it resolves to now.
    pub fn new(address: &str, tls: &Tls, credentials: Option<Credentials>) -> Result<Self, SetupError> {
        let url = Url::parse(address).map_err(|_| SetupError::Address)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SetupError::SecretInAddress);
        }
        // Of schemes that it does not know the parser takes any text for a name.
        let host = url.host_str().map(Host::parse).transpose();
        let host = host.ok().flatten().ok_or(SetupError::Address)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(SetupError::Address);
        }
        let stays = match host {
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
            Host::Domain(_) => false,
        };
        let tls = match url.scheme() {
            "nats" if stays => None,
            "nats" => return Err(SetupError::Plaintext),
            "tls" => Some(tls.config().map_err(|error| SetupError::Tls(error.to_string()))?),
            _ => return Err(SetupError::Address),
        };
        Ok(Self { address: url.to_string(), tls, credentials })
    }

    pub(crate) fn options(&self) -> Result<ConnectOptions, SetupError> {
        let options = ConnectOptions::new()
            .name("tenantry")
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .ping_interval(PING)
            .subscription_capacity(WAITING)
            // A server hears its own doorbell by itself.
            .no_echo()
            // Others than the one that was named might be reached in the clear.
            .ignore_discovered_servers()
            .reconnect_delay_callback(|attempts| {
                let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(10);
                Duration::from_millis(2 << doublings).min(LONGEST_PAUSE)
            });
        let options = match &self.tls {
            Some(tls) => options.require_tls(true).tls_client_config(tls.clone()),
            None => options,
        };
        match &self.credentials {
            Some(credentials) => credentials
                .apply(options)
                .ok_or_else(|| SetupError::Unusable("its credentials cannot be read".to_owned())),
            None => Ok(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Link;
    use crate::{SetupError, Tls};

    fn refused(address: &str) -> SetupError {
        Link::new(address, &Tls::default(), None).err().unwrap()
    }

    #[test]
    fn what_crosses_a_network_is_encrypted_or_refused() {
        for address in ["nats://127.0.0.1:4222", "nats://[::1]:4222", "nats://127.8.0.1"] {
            assert!(Link::new(address, &Tls::default(), None).unwrap().tls.is_none(), "{address}");
        }
        for address in ["tls://nats.example:4222", "tls://192.0.2.1", "tls://127.0.0.1:4222"] {
            assert!(Link::new(address, &Tls::default(), None).unwrap().tls.is_some(), "{address}");
        }
        for address in ["nats://nats.example:4222", "nats://192.0.2.1", "nats://localhost", "nats://0.0.0.0"]
        {
            assert!(matches!(refused(address), SetupError::Plaintext), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "127.0.0.1:4222",
            "http://127.0.0.1",
            "ws://127.0.0.1",
            "nats://",
            "nats:127.0.0.1",
            "tls://a b",
            "tls://nats.example/x",
            "tls://nats.example?a=b",
        ] {
            assert!(matches!(refused(address), SetupError::Address), "{address}");
        }
        for address in ["tls://anna:hunter2@nats.example", "nats://token@127.0.0.1"] {
            let refused = refused(address);
            assert!(matches!(refused, SetupError::SecretInAddress), "{address}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
    }
}
