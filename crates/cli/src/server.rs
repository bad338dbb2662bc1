//! Which server a command speaks to, and as whom.

use clap::Args;
use client::{BaseUrl, Client};
use secret::SecretText;
use std::io;
use std::path::{Path, PathBuf};

/// The server, without a key.
#[derive(Args)]
pub struct ServerOption {
    /// The server's address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7070")]
    pub(crate) url: BaseUrl,
}

/// The server, as an operator.
#[derive(Args)]
pub struct OperatorOptions {
    #[command(flatten)]
    server: ServerOption,
    /// The file with an operator's key, such as DIR/operator.key.
    #[arg(long, value_name = "FILE")]
    operator_key_file: PathBuf,
}

/// The server, as a principal of a tenant.
#[derive(Args)]
pub struct TenantOptions {
    #[command(flatten)]
    server: ServerOption,
    /// The file with a key of the tenant.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

/// Why the server cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the key file {path} cannot be read: {source}")]
    KeyFile { path: String, source: io::Error },
    #[error("the key file {0} is empty")]
    NoKey(String),
}

impl OperatorOptions {
    pub(crate) fn connect(&self) -> Result<Client, ConnectError> {
        self.server.connect_with(&self.operator_key_file)
    }
}

impl ServerOption {
    /// The server, as whoever has the key in this file.
    pub(crate) fn connect_with(&self, key_file: &Path) -> Result<Client, ConnectError> {
        Ok(Client::new(self.url.clone()).with_key(key(key_file)?))
    }
}

impl TenantOptions {
    pub(crate) fn connect(&self) -> Result<Client, ConnectError> {
        self.server.connect_with(&self.key_file)
    }
}

/// The key in a file, without the line break after it.
pub(crate) fn key(path: &Path) -> Result<SecretText, ConnectError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConnectError::KeyFile { path: name.clone(), source })?;
    match text.trim() {
        "" => Err(ConnectError::NoKey(name)),
        key => Ok(SecretText::new(key.to_owned())),
    }
}
