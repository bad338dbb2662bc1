//! [`Address`]: where Redis is. A plaintext link leaves neither the machine nor its socket; any other is verified.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisResult};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

/// The port where a URL names none.
const PORT: u16 = 6379;

/// Where Redis is, and as whom to come.
#[derive(Clone)]
pub struct Address {
    info: redis::ConnectionInfo,
    /// How it proves who it is, where it is across a network.
    verified: Option<Verified>,
}

/// A place across a network.
#[derive(Clone)]
struct Verified {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

/// Redis cannot be used at this address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitAddress {
    /// It is no URL of Redis.
    #[error(
        "not a URL of Redis such as \"redis+unix:///run/redis/redis.sock\", \"redis://127.0.0.1:6379\" or \
         \"rediss://redis.example:6380\""
    )]
    NoUrl,
    /// Others could read and change what goes over the link.
    #[error(
        "a plaintext link to Redis may not leave this machine; use `rediss://`, a unix socket or a loopback address"
    )]
    Plaintext,
    /// TLS came to nothing.
    #[error("TLS with Redis: {0}")]
    Tls(String),
}

impl Address {
    /// Reads a URL. A name is no loopback address, whatever it resolves to now.
    pub fn parse(text: &str, tls: &Tls) -> Result<Self, UnfitAddress> {
        let mut url = Url::parse(text).map_err(|_| UnfitAddress::NoUrl)?;
        let verified = match url.scheme() {
            "redis+unix" | "unix" => None,
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
                None
            }
            "rediss" => {
                let verified = Verified::of(&url, tls)?;
                // As whom to come stands in the rest of it.
                url = text.replacen("rediss://", "redis://", 1).parse().map_err(|_| UnfitAddress::NoUrl)?;
                Some(verified)
            }
            _ => return Err(UnfitAddress::NoUrl),
        };
        // It would be a wish not to verify anything.
        if verified.is_some() && url.fragment().is_some() {
            return Err(UnfitAddress::NoUrl);
        }
        let info = url.into_connection_info().map_err(|_| UnfitAddress::NoUrl)?;
        Ok(Self { info, verified })
    }

    /// Whether Redis proves who it is, where it is to and answers at all.
    pub async fn verify(&self, patience: Duration) -> Result<(), UnfitAddress> {
        let Some(verified) = &self.verified else { return Ok(()) };
        match tokio::time::timeout(patience, verified.connect()).await {
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(UnfitAddress::Tls(error.to_string()))
            }
            // It may come yet.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A connection, whose making and whose every answer may take so long.
    pub(crate) async fn open(&self, patience: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let Some(verified) = &self.verified else {
            let client = Client::open(self.info.clone())?;
            return client.get_multiplexed_async_connection_with_config(&config).await;
        };
        let made = async {
            let stream = verified.connect().await?;
            MultiplexedConnection::new_with_config(self.info.redis_settings(), stream, config).await
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let (connection, driver) = tokio::time::timeout(patience, made).await.map_err(late)??;
        // It ends with the connection's last user.
        tokio::spawn(driver);
        Ok(connection)
    }
}

impl Verified {
    fn of(url: &Url, tls: &Tls) -> Result<Self, UnfitAddress> {
        // Of schemes that it does not know the parser takes any text for a name.
        let host = url.host_str().map(Host::parse).transpose().ok().flatten().ok_or(UnfitAddress::NoUrl)?;
        let host = match host {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| UnfitAddress::NoUrl)?;
        let tls = tls.config().map_err(|error| UnfitAddress::Tls(error.to_string()))?;
        Ok(Self { host, port: url.port().unwrap_or(PORT), name, tls: Arc::new(tls) })
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(self.tls.clone()).connect(self.name.clone(), stream).await
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
    use tls::Tls;

    #[test]
    fn a_plaintext_link_stays_on_the_machine() {
        for fit in ["redis+unix:///run/redis.sock", "redis://127.0.0.1:6379", "redis://:word@[::1]:6379/2"] {
            assert!(Address::parse(fit, &Tls::default()).unwrap().verified.is_none());
        }
        for (fit, host, port) in [
            ("rediss://redis.internal", "redis.internal", 6379),
            ("rediss://anna:word@192.0.2.1:6380/2", "192.0.2.1", 6380),
            ("rediss://[2001:db8::1]:7", "2001:db8::1", 7),
        ] {
            let verified = Address::parse(fit, &Tls::default()).unwrap().verified.unwrap();
            assert_eq!((verified.host.as_str(), verified.port), (host, port));
        }
        for (unfit, why) in [
            ("redis://10.0.0.7:6379", UnfitAddress::Plaintext),
            ("redis://localhost:6379", UnfitAddress::Plaintext),
            ("redis://redis.internal:6379", UnfitAddress::Plaintext),
            ("redis://0.0.0.0:6379", UnfitAddress::Plaintext),
            ("rediss://redis.internal:6379#insecure", UnfitAddress::NoUrl),
            ("rediss://", UnfitAddress::NoUrl),
            ("http://127.0.0.1", UnfitAddress::NoUrl),
            ("127.0.0.1:6379", UnfitAddress::NoUrl),
        ] {
            assert_eq!(Address::parse(unfit, &Tls::default()).unwrap_err(), why, "{unfit}");
        }
        let address = Address::parse("rediss://:word@redis.internal/3", &Tls::default()).unwrap();
        assert_eq!(format!("{address:?}"), "Address(…)");
    }
}
