//! The configuration: the witness's name, and the logs that it watches.

use audit::note::{KeyName, Origin, VerifierKey};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// What the configuration file says, TOML.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    listen: Option<SocketAddr>,
    #[serde(default, rename = "log")]
    logs: Vec<Log>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    origin: String,
    vkey: String,
}

/// A witness's name and the logs that it watches, by their origins.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the witness's key, such as `witness.example/w1`.
    pub name: KeyName,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The key of each log.
    pub logs: BTreeMap<String, VerifierKey>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {0} cannot be read: {1}")]
    Read(String, #[source] std::io::Error),
    /// It is not TOML of this form.
    #[error("the configuration file is not right: {0}")]
    Form(String),
    /// The witness's name is none that a key can have.
    #[error("`name`: {0}")]
    Name(audit::note::KeyError),
    /// A log's key is none, or is of another log.
    #[error("the log {origin}: {reason}")]
    Log {
        /// Which log.
        origin: String,
        /// What is wrong.
        reason: String,
    },
}

impl Config {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.display().to_string(), error))?;
        Self::read(&text)
    }

    /// Reads the text.
    pub fn read(text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Form(error.to_string()))?;
        let mut logs = BTreeMap::new();
        for Log { origin, vkey } in file.logs {
            let wrong = |reason: String| ConfigError::Log { origin: origin.clone(), reason };
            let key: VerifierKey = vkey.trim().parse().map_err(|error| wrong(format!("`vkey`: {error}")))?;
            origin.parse::<Origin>().map_err(|error| wrong(format!("`origin`: {error}")))?;
            if key.name().as_str() != origin {
                return Err(wrong("`vkey` is the key of another log".to_owned()));
            }
            if logs.insert(origin.clone(), key).is_some() {
                return Err(wrong("it stands twice".to_owned()));
            }
        }
        let listen = file.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7071)));
        Ok(Self { name: file.name.parse().map_err(ConfigError::Name)?, listen, logs })
    }
}
