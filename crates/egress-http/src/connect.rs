//! [`Connector`]: from a destination to a connection. The name is resolved once, every address is checked,
//! and one of those addresses is connected to; the TLS name stays the URL's.

use crate::bulkhead::Place;
use crate::connection::{Connection, Progress};
use egress::{AddressPolicy, Destination, EgressError, Host, Scheme};
use egress::{Resolve, ResolveFailed};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How many addresses of a name are tried, and how long each. Nothing is sent before one takes the connection.
const MAX_ADDRESSES: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// More addresses than this are not an answer that anyone needs.
const MAX_ANSWER: usize = 64;

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS could not be set up: {0}")]
pub struct TlsSetupError(#[from] rustls::Error);

pub(crate) struct Connector {
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(
        policy: Arc<AddressPolicy>,
        resolver: Arc<dyn Resolve>,
        own_roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in own_roots {
            roots.add(root)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would tell a server that two tenants come from one place, and keep one's
        // secrets in the other's connection.
        config.resumption = Resumption::disabled();
        Ok(Self { policy, resolver, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Connects. `place` is kept until the resolver has answered, even where the call gives up before:
    /// the operating system's look-ups cannot be stopped, and each holds a thread.
    pub(crate) async fn connect(
        &self,
        destination: &Destination,
        place: &Arc<Place>,
        progress: &Progress,
    ) -> Result<Connection<TcpStream>, EgressError> {
        let addresses = self.addresses(destination, place).await?;
        let stream = reach(&addresses, destination.port()).await?;
        match destination.scheme() {
            Scheme::Http => Ok(Connection::Plain(stream, progress.clone())),
            Scheme::Https => {
                let name = server_name(destination.host())?;
                let stream = self.tls.connect(name, stream).await.map_err(|_| EgressError::Tls)?;
                Ok(Connection::Tls(Box::new(stream), progress.clone()))
            }
        }
    }

    /// The addresses that may be connected to. One refused address refuses the name: a name that is half
    /// in the operator's network is either an attack or a mistake, and trying the other half would make
    /// the outcome depend on the order of a DNS answer.
    async fn addresses(
        &self,
        destination: &Destination,
        place: &Arc<Place>,
    ) -> Result<Vec<IpAddr>, EgressError> {
        let host = destination.host();
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                self.resolve(name.clone(), Arc::clone(place)).await.map_err(|_| EgressError::Resolve)?
            }
        };
        if addresses.is_empty() || addresses.len() > MAX_ANSWER {
            return Err(EgressError::Resolve);
        }
        for address in &addresses {
            self.policy.permits(host, destination.port(), *address)?;
        }
        Ok(addresses)
    }

    async fn resolve(&self, name: String, place: Arc<Place>) -> Result<Vec<IpAddr>, ResolveFailed> {
        let resolver = Arc::clone(&self.resolver);
        let lookup = tokio::spawn(async move {
            let found = resolver.resolve(&name).await;
            drop(place);
            found
        });
        lookup.await.map_err(|_| ResolveFailed)?
    }
}

async fn reach(addresses: &[IpAddr], port: u16) -> Result<TcpStream, EgressError> {
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let attempt = TcpStream::connect(SocketAddr::new(*address, port));
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            stream.set_nodelay(true).map_err(|_| EgressError::Connect)?;
            return Ok(stream);
        }
    }
    Err(EgressError::Connect)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, EgressError> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| EgressError::Tls),
        Host::Address(address) => Ok(ServerName::from(*address)),
    }
}
