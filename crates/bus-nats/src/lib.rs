//! Messages over NATS with JetStream, for several servers: what one of them is told is heard at all of them.
//!
//! Each tenant has a stream of its own, with its own bounds, under subjects that begin with `tenant.<id>.` and that
//! are put together here alone. What is heard belongs to the tenant that its subject names, whatever stream it came
//! out of.

mod bell;
mod bus;
mod connection;
mod credentials;
mod envelope;
mod feed;
mod link;
mod listener;
mod owed;
mod streams;

pub use bell::{ConnectionClosed, NatsBell};
pub use bus::NatsBus;
pub use connection::Connection;
pub use credentials::Credentials;
pub use link::Link;
pub use tls::Tls;

use std::path::PathBuf;
use std::time::Duration;

/// What is kept of each tenant. A stream's bytes are promised to it when it is made, so that no other tenant's
/// messages can take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long.
    pub kept: Duration,
    /// How many messages.
    pub tenant_messages: u32,
    /// How many bytes.
    pub tenant_bytes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kept: Duration::from_secs(600), tenant_messages: 1000, tenant_bytes: 1 << 20 }
    }
}

/// NATS cannot be used as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It is no address.
    #[error(
        "the address of NATS is no URL such as \"nats://127.0.0.1:4222\" or \"tls://nats.example:4222\", \
         without path or query"
    )]
    Address,
    /// Others could read and change what goes over the link.
    #[error("NATS is across a network: write its address as `tls://…`; `nats://` is for loopback addresses")]
    Plaintext,
    /// A configuration is shown around more than a file of credentials is.
    #[error("the address of NATS holds a user or a password: put them into `credentials_file`")]
    SecretInAddress,
    /// The file of credentials is missing or is none.
    #[error("the credentials file {path} cannot be used: {message}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; nothing of what stands in it.
        message: String,
    },
    /// Others on this machine could come as this server.
    #[error("others can read or change the credentials file {path} (mode {mode:04o}): run `chmod 600 {path}`", path = path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Who may do what with it.
        mode: u32,
    },
    /// TLS came to nothing.
    #[error("TLS with NATS: {0}")]
    Tls(String),
    /// NATS does not let this server in.
    #[error("NATS refuses these credentials: {0}")]
    Refused(String),
    /// Something else stands in the way.
    #[error("NATS cannot be used: {0}")]
    Unusable(String),
}
