//! The configuration file, TOML.

use ids::Slug;
use secret::SecretText;
use serde::{Deserialize, Deserializer};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

const OWN_HOMES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// What the configuration file says; everything has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The URL by which callers reach the server; `http://` and the listening address where absent.
    pub(crate) public_url: Option<String>,
    /// The store.
    pub(crate) store: StoreConfig,
    /// What tenants may reach.
    pub(crate) egress: EgressConfig,
    /// The master key.
    pub(crate) kms: KmsConfig,
    /// What carries messages.
    pub(crate) messages: MessagesConfig,
    /// Bounds of the server as a whole.
    pub(crate) limits: LimitsConfig,
    /// Who watches the operators' log.
    #[serde(rename = "witness")]
    pub(crate) witnesses: Vec<WitnessConfig>,
}

impl Config {
    /// Whether this server has its store for itself: the embedded one always, and a database where nothing is named in
    /// which several servers would count together.
    pub(crate) fn is_alone(&self) -> bool {
        self.limits.redis_url.is_none()
    }
}

/// A witness of the operators' log (C2SP tlog-witness).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessConfig {
    /// Its submission prefix: `/add-checkpoint` comes after it.
    pub(crate) url: String,
    /// Its verifier key.
    pub(crate) vkey: String,
}

/// The store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    /// The regions whose data rests in this folder; the first is the default.
    pub(crate) regions: Vec<Slug>,
    /// The address of the PostgreSQL database that `tenantry store init` made, with the server's role. The
    /// store is embedded in the data folder where absent.
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Option<SecretText>,
    /// The address with which `tenantry store init` makes database, roles and tables. No server may have it.
    #[serde(deserialize_with = "secret")]
    pub(crate) admin_url: Option<SecretText>,
    /// Connections to the shared tables of the database at most.
    pub(crate) connections: usize,
    /// How many tenants' own schemas and databases are connected to at once.
    pub(crate) own_homes: NonZeroUsize,
    /// What TLS goes by where the database is across a network.
    pub(crate) tls: TlsConfig,
    /// `full` survives a power loss; `process` survives the end of the process alone, and is faster.
    pub(crate) durability: Durability,
}

/// Files in PEM that TLS goes by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsConfig {
    /// Whose word is taken for the other side; the public authorities' where absent.
    pub(crate) authorities_file: Option<PathBuf>,
    /// The certificate that this process shows, with those between it and its authority.
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it.
    pub(crate) key_file: Option<PathBuf>,
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    Full,
    Process,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let regions = "local".parse().into_iter().collect();
        Self {
            regions,
            url: None,
            admin_url: None,
            connections: 16,
            own_homes: OWN_HOMES,
            tls: TlsConfig::default(),
            durability: Durability::Full,
        }
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretText>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(SecretText::new(text)))
}

/// What tenants may reach.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EgressConfig {
    /// Hosts with ports that are open although their addresses are private.
    pub(crate) allow: Vec<String>,
}

/// The master key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KmsConfig {
    /// The file of the master key before the present one, while `tenantry keys rotate` is under way.
    pub(crate) previous_master_key_file: Option<PathBuf>,
}

/// What carries messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MessagesConfig {
    /// The address of NATS with JetStream: `nats://` on loopback, `tls://` elsewhere. Messages stay in the process
    /// where absent.
    pub(crate) nats_url: Option<String>,
    /// As whom to come: a `.creds` file, or one with the user's name and the password in two lines.
    pub(crate) credentials_file: Option<PathBuf>,
    /// What TLS goes by where NATS is across a network.
    pub(crate) tls: TlsConfig,
}

/// Bounds of the server as a whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Connections at the same time.
    pub(crate) connections: Option<usize>,
    /// Connections of one address at the same time; a quarter of all where absent. Behind a proxy all
    /// callers have its address.
    pub(crate) connections_per_address: Option<usize>,
    /// Model calls of one tenant at the same time.
    pub(crate) parallel_model_calls: Option<u64>,
    /// How long a model call may take as a whole, in seconds; 600 where absent. One whose outcome a crash
    /// leaves unknown is charged its reservation a few seconds after that.
    pub(crate) model_call_seconds: Option<u32>,
    /// Where several servers on one database count together; one server alone gets the database where absent.
    #[serde(deserialize_with = "secret")]
    pub(crate) redis_url: Option<SecretText>,
    /// What TLS goes by where Redis is across a network.
    pub(crate) tls: TlsConfig,
    /// How many servers there are, which all are to tell of their calls under way when Redis has lost what it kept.
    pub(crate) servers: Option<NonZeroU32>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration file {path} cannot be read: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("the configuration file {path} is not right: {message}")]
    Parse { path: String, message: String },
}

impl Config {
    /// Reads the file, or gives the defaults where there is none.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse { path: name, message: error.to_string() })
    }
}
