//! [`OwnHome`]: what the worker that a tenant has for itself needs of the database, and nothing that opens anything of
//! anybody else's. The process that gets it has neither the master key nor the platform's tables: it reaches the tenant's
//! database as the tenant's role, makes tokens that this database alone takes, and has the keys that content is read and
//! written with. It can neither open backups nor sign checkpoints.

use crate::PostgresStore;
use crate::error::Fault;
use crate::footing::own_footing;
use crate::home::{Home, Own, params};
use crate::homes::{CONNECTIONS, Homes};
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::schema;
use crate::token::Tokens;
use async_trait::async_trait;
use audit::note::Origin;
use env::Env;
use ids::{Slug, TenantId};
use kms::{Binding, Kms, KmsError, MasterKeyId, Purpose, WrappedKey};
use secret::{SecretBytes, SecretText};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Arc;
use store::{Isolation, StoreError};
use store_core::keys::{FIRST_EPOCH, WorkingKeys};
use tls::Tls;
use tokio_postgres::config::{Config, Host, SslMode};
use zeroize::{Zeroize as _, Zeroizing};

/// A tenant's own database, with what reaches and opens it.
pub struct OwnHome {
    tenant: TenantId,
    region: Slug,
    /// The address of the database, as the tenant's role, with the password.
    address: SecretText,
    token_key: SecretBytes<32>,
    keys: WorkingKeys,
}

/// The same as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tenant: TenantId,
    region: Slug,
    address: String,
    token_key: String,
    data_key_name: String,
    content_key: String,
    layers_key: String,
    people_key: String,
}

impl Drop for Written {
    fn drop(&mut self) {
        let Self { address, token_key, content_key, layers_key, people_key, .. } = self;
        [address, token_key, content_key, layers_key, people_key].into_iter().for_each(String::zeroize);
    }
}

fn hexed(key: &SecretBytes<32>) -> String {
    hex::encode(key.expose())
}

fn unhexed(text: &str) -> Option<SecretBytes<32>> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, &mut *bytes).ok()?;
    Some(SecretBytes::take(&mut bytes))
}

impl OwnHome {
    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// As a text, for a file or a pipe that nobody else reads.
    pub fn to_text(&self) -> Option<SecretText> {
        let written = Written {
            tenant: self.tenant,
            region: self.region.clone(),
            address: self.address.expose().to_owned(),
            token_key: hexed(&self.token_key),
            data_key_name: self.keys.data_name.clone(),
            content_key: hexed(&self.keys.content),
            layers_key: hexed(&self.keys.layers),
            people_key: hexed(&self.keys.people),
        };
        serde_json::to_string(&written).ok().map(SecretText::new)
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let (tenant, region) = (written.tenant, written.region.clone());
        let keys = WorkingKeys {
            data_name: written.data_key_name.clone(),
            content: unhexed(&written.content_key)?,
            layers: unhexed(&written.layers_key)?,
            people: unhexed(&written.people_key)?,
            origin: Origin { tenant, region: region.clone(), epoch: FIRST_EPOCH },
        };
        let address = SecretText::new(written.address.clone());
        Some(Self { tenant, region, address, token_key: unhexed(&written.token_key)?, keys })
    }
}

/// An address of the same place as a text. It consists of what our own links are made of.
fn address(config: &Config) -> SecretText {
    let joined = |all: Vec<String>| all.join(",");
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    let ports = config.get_ports().iter().map(ToString::to_string);
    let password = config.get_password().map(|it| String::from_utf8_lossy(it).into_owned());
    let fields = [
        ("host", joined(hosts.collect())),
        ("hostaddr", joined(addresses.collect())),
        ("port", joined(ports.collect())),
        ("user", config.get_user().unwrap_or_default().to_owned()),
        ("dbname", config.get_dbname().unwrap_or_default().to_owned()),
        ("password", password.unwrap_or_default()),
        ("sslmode", if config.get_ssl_mode() == SslMode::Require { "require" } else { "" }.to_owned()),
    ];
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        // Nothing fails that is written into a text.
        let _ = write!(text, "{name}='{value}' ");
    }
    SecretText::new(text)
}

/// The holder of no master key.
struct NoMasterKey;

fn none() -> KmsError {
    KmsError::Refused("a tenant's own worker has no master key".into())
}

#[async_trait]
impl Kms for NoMasterKey {
    fn master_key_id(&self) -> MasterKeyId {
        MasterKeyId::from_bytes([0; 8])
    }

    fn previous_master_key_id(&self) -> Option<MasterKeyId> {
        None
    }

    async fn wrap(&self, _: &Binding, _: &SecretBytes<32>) -> Result<WrappedKey, KmsError> {
        Err(none())
    }

    async fn unwrap(&self, _: &Binding, _: &WrappedKey) -> Result<SecretBytes<32>, KmsError> {
        Err(none())
    }

    async fn derive(&self, _: MasterKeyId, _: &Purpose) -> Result<SecretBytes<32>, KmsError> {
        Err(none())
    }
}

impl PostgresStore {
    /// Tenants that are to have a worker of their own now: those with a database of their own that take part.
    pub async fn tenants_with_own_worker(&self) -> Result<Vec<TenantId>, StoreError> {
        let select = "SELECT tenant.id FROM tenantry.tenant JOIN tenantry.home ON home.tenant = tenant.id
            WHERE tenant.isolation = 'dedicated' AND home.isolation = 'dedicated' AND status = 'active'
                AND (throwaway_until IS NULL OR throwaway_until > $1) AND home.version BETWEEN $2 AND $2 + 1
            ORDER BY tenant.id";
        let values = params![self.env().now().millis() => INT8, schema::VERSION => INT8];
        let rows = self.inner().platform.query(select, values).await?;
        Ok(rows.iter().map(|row| crate::platform::id_of(row, 0)).collect::<Result<_, Fault>>()?)
    }

    /// What a tenant's own worker is given, where the tenant is to have one.
    pub async fn own_home(&self, tenant: TenantId) -> Result<Option<OwnHome>, StoreError> {
        Ok(self.home_of_its_own(tenant).await?)
    }

    async fn home_of_its_own(&self, tenant: TenantId) -> Result<Option<OwnHome>, Fault> {
        let inner = self.inner();
        let Some((Isolation::Dedicated, _)) = inner.platform.whereabouts(tenant).await? else {
            return Ok(None);
        };
        // Another server may have changed the data key, or moved the tenant here a moment ago.
        self.forget(tenant);
        let handle = self.handle(tenant).await?;
        let (link, _) = inner.homes.own_link(&inner.platform, tenant, Isolation::Dedicated).await?;
        let keys = handle.keys().clone();
        Ok(Some(OwnHome {
            tenant,
            region: keys.origin.region.clone(),
            address: address(&link.config),
            token_key: inner.homes.dedicated_token_key(tenant),
            keys,
        }))
    }

    /// Opens one tenant's database as its own worker does, and sees to it that it is as it should be.
    pub async fn open_own(own: OwnHome, tls: &Tls, env: Env) -> Result<Self, SetupError> {
        let OwnHome { tenant, region, address, token_key, keys } = own;
        let link = Link::parse(address.expose(), tls)?;
        let schema = Naming::schema(tenant);
        let client = link.connect().await?;
        own_footing(&client, &schema, Isolation::Dedicated).await?.held()?;
        let tokens = Arc::new(Tokens::new(token_key.clone(), env.clone()));
        let about = Own::new(Isolation::Dedicated, Vec::new(), None);
        let home = Arc::new(Home::own(link.clone(), CONNECTIONS, tokens, schema, about)?);
        let role = link.config.get_user().unwrap_or_default().to_owned();
        let naming = Naming { database: role.clone(), server: role };
        let kms: Arc<dyn Kms> = Arc::new(NoMasterKey);
        let homes = Homes::alone((link, naming), token_key, (kms.clone(), env.clone()))?;
        let (_, found) = home.read(tenant, &[("SELECT data_key FROM log_head", &[])]).await?;
        let head = found.first().and_then(|rows| rows.first()).ok_or(Fault::KeyGone)?;
        let sealed_under: &str = head.try_get(0).map_err(Fault::from)?;
        if sealed_under != keys.data_name {
            return Err(SetupError::Unusable("the tenant's data key has been changed since".to_owned()));
        }
        Ok(Self::of_one((tenant, region), (homes, home), keys.kept_in_memory(), (kms, env)))
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnHome, address};
    use crate::link::Link;
    use tls::Tls;

    #[test]
    fn an_address_reads_back_as_the_same_place() {
        for url in [
            "host=/run/postgresql,/tmp port=5433,5434 user=u dbname=d password=secret",
            "postgres://u:p%27q@127.0.0.1:5433/d",
            "host=db.example hostaddr=192.0.2.1 user=u dbname=d password='it''s \\\\ spaced'",
        ] {
            let Ok(link) = Link::parse(&url.replace("''", "\\'"), &Tls::default()) else { panic!("{url}") };
            let again = Link::parse(address(&link.config).expose(), &Tls::default()).unwrap();
            assert_eq!(again.config, link.config, "{url}");
        }
    }

    #[test]
    fn what_is_not_a_home_is_not_taken_for_one() {
        for text in ["", "{}", "[]", r#"{"tenant": "ten_01"}"#] {
            assert!(OwnHome::from_text(text).is_none(), "{text}");
        }
    }
}
