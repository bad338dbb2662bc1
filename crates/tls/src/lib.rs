//! How links to the deployment's own engines are verified: to PostgreSQL, Redis and NATS, where they are across a
//! network. Each side shows a certificate, and only names are believed that an authority has signed.

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

/// A file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnfitFile(String);

/// What TLS goes by.
#[derive(Default)]
pub struct Tls {
    /// Whose word is taken for the other side's certificate. Where there are none, the public authorities'.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The certificate, with those between it and its authority, and the key that we show.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Tls {
    /// From files in PEM: the authorities', and the chain and key that we show.
    pub fn read(authorities: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<Self, UnfitFile> {
        let unfit = |path: &Path, error: &dyn Display| {
            UnfitFile(format!("{} cannot be used: {error}", path.display()))
        };
        let certificates = |path: &Path| {
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.map_err(|error| unfit(path, &error))
        };
        let identity = identity.map(|(chain, key)| {
            let read = PrivateKeyDer::from_pem_file(key).map_err(|error| unfit(key, &error))?;
            Ok::<_, UnfitFile>((certificates(chain)?, read))
        });
        Ok(Self {
            authorities: authorities.map(certificates).transpose()?.unwrap_or_default(),
            identity: identity.transpose()?,
        })
    }

    /// The client's side. Nothing is kept of a session for the next one, so that each shows its certificate.
    pub fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        if self.authorities.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => config.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}
