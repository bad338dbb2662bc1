//! Links to the database: over a socket or loopback as they are, and over a network only with verified TLS.

use crate::init::SetupError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secret::SecretText;
use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, tls as of_postgres};
use tokio_rustls::TlsConnector;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the database is, who we are there, and how it is reached.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) config: Config,
    pub(crate) tls: Verified,
}

impl Link {
    /// Reads an address. One across a network is given TLS, and refused where it says that it wants none.
    pub(crate) fn parse(url: &str, tls: &Tls) -> Result<Self, SetupError> {
        let mut config: Config = url.parse().map_err(|_| SetupError::Address)?;
        let mut hosts = config.get_hosts().iter();
        let stays = match config.get_hostaddrs() {
            [] if config.get_hosts().is_empty() => return Err(SetupError::Missing("host")),
            [] => hosts.all(stays_here),
            addresses => addresses.iter().all(IpAddr::is_loopback),
        };
        match (stays, config.get_ssl_mode()) {
            (false, SslMode::Disable) => return Err(SetupError::Plaintext),
            (false, _) => config.ssl_mode(SslMode::Require),
            (true, SslMode::Require) => &mut config,
            (true, _) => config.ssl_mode(SslMode::Disable),
        };
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let tls = tls.config().map_err(|error| SetupError::Tls(error.to_string()))?;
        Ok(Self { config, tls: Verified(Arc::new(tls)) })
    }

    /// The same place as another role, in another database.
    pub(crate) fn of(&self, role: &str, password: &SecretText, database: &str) -> Self {
        let mut link = self.within(database);
        link.config.user(role).password(password.expose());
        link
    }

    /// The same place and role, in another database.
    pub(crate) fn within(&self, database: &str) -> Self {
        let mut link = self.clone();
        link.config.dbname(database);
        link
    }

    /// A connection, which ends with its client.
    pub(crate) async fn connect(&self) -> Result<Client, SetupError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(refused)?;
        tokio::spawn(async move {
            if connection.await.is_err() {
                tracing::warn!("a connection to the database was lost");
            }
        });
        Ok(client)
    }
}

/// Whether nothing leaves the machine on the way to this host.
fn stays_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Why no connection came about. What is wrong with TLS the operator has to know; a server that does not take our
/// certificate says so only when the handshake is over.
fn refused(error: tokio_postgres::Error) -> SetupError {
    let source = error.source();
    let alert = source.and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::get_ref);
    let alerted = alert.is_some_and(|inner| inner.is::<rustls::Error>());
    if alerted || error.to_string().starts_with("error performing TLS handshake") {
        SetupError::Tls(source.map_or_else(|| "refused".to_owned(), ToString::to_string))
    } else {
        error.into()
    }
}

/// Makes connections that have proved who they are by a certificate for the host's name.
#[derive(Clone)]
pub(crate) struct Verified(Arc<ClientConfig>);

/// The same for one host.
pub(crate) struct VerifiedHost {
    config: Arc<ClientConfig>,
    /// Nothing where the host has no name, as sockets have none: there TLS is not begun.
    name: Option<ServerName<'static>>,
}

impl<S> MakeTlsConnect<S> for Verified
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = VerifiedHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<VerifiedHost, io::Error> {
        let name = ServerName::try_from(host.to_owned()).ok();
        Ok(VerifiedHost { config: self.0.clone(), name })
    }
}

impl<S> TlsConnect<S> for VerifiedHost
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or_else(|| io::Error::other("the host has no name to be verified"))?;
            let stream = TlsConnector::from(self.config).connect(name, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

/// An encrypted connection.
pub(crate) struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> of_postgres::TlsStream for Encrypted<S> {
    /// The certificate is verified by itself, so that passwords need not be bound to it.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, Tls};
    use crate::init::SetupError;
    use tokio_postgres::config::SslMode;

    fn mode(url: &str) -> Result<SslMode, SetupError> {
        Link::parse(url, &Tls::default()).map(|link| link.config.get_ssl_mode())
    }

    #[test]
    fn what_crosses_a_network_is_encrypted_or_refused() {
        for (url, expected) in [
            ("host=/run/postgresql user=u dbname=d", SslMode::Disable),
            ("postgres://u@127.0.0.1/d", SslMode::Disable),
            ("postgres://u@[::1]/d", SslMode::Disable),
            ("postgres://u@localhost/d", SslMode::Disable),
            ("postgres://u@localhost/d?sslmode=require", SslMode::Require),
            ("postgres://u@db.example/d", SslMode::Require),
            ("postgres://u@db.example/d?sslmode=prefer", SslMode::Require),
            // One host of several is enough, and what is connected to is the address.
            ("host=localhost,db.example user=u dbname=d", SslMode::Require),
            ("host=localhost hostaddr=192.0.2.1 user=u dbname=d", SslMode::Require),
        ] {
            assert_eq!(mode(url).unwrap(), expected, "{url}");
        }
        for url in ["postgres://u@db.example/d?sslmode=disable", "postgres://u@192.0.2.1/d?sslmode=disable"] {
            assert!(matches!(mode(url), Err(SetupError::Plaintext)), "{url}");
        }
        assert!(matches!(mode("user=u dbname=d"), Err(SetupError::Missing("host"))));
    }
}
