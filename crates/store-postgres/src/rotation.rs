//! [`KeyRotation`]: every key that the master key wraps, wrapped by the next one. All of them are in the platform's
//! database, so that it is one transaction, and a crash at any step leaves either all of them or none. What they open,
//! in this database and in tenants' own, stays as it is.
//!
//! It is done with the administrator's address, since no server may change the keys that it has not made.

use crate::Tls;
use crate::error::Fault;
use crate::home::params;
use crate::homes;
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::store_impl::operator_log;
use ids::TenantId;
use kms::{Binding, Kms, KmsError, WrappedKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Row};

/// Every column with wrapped keys: for whom, and under which name.
const WRAPPED: [(&str, &str, &str); 3] = [
    ("own_key", "sealed", "decode(repeat('00', 16), 'hex'), name"),
    ("tenant_key", "wrapped", "tenant, name"),
    ("home", "sealed", "tenant, NULL::text"),
];
/// How many rows are put at once.
const ROWS_AT_ONCE: usize = 5000;

/// Who else is connected to the platform's database and to tenants' own. A server always is, since it asks for changes
/// several times a second.
const OTHERS: &str = "SELECT coalesce(string_agg(role, ', ' ORDER BY role), '') FROM (
        SELECT DISTINCT usesysid::regrole::text AS role FROM pg_stat_activity
        WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()
            AND (datname = current_database() OR starts_with(datname, current_database() || '_t_'))
    ) AS it";
/// How long those who have just left may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A change of the master key on a database that nobody else is on.
pub struct KeyRotation {
    client: Client,
    owner: String,
    kms: Arc<dyn Kms>,
}

impl KeyRotation {
    /// Enters the database that `url` names, with the administrator's address. `kms` wraps with the next master key, and
    /// unwraps with that until now as well.
    pub async fn enter(admin_url: &str, url: &str, tls: &Tls, kms: Arc<dyn Kms>) -> Result<Self, SetupError> {
        let naming = Naming::of(&Link::parse(url, tls)?)?;
        let client = Link::parse(admin_url, tls)?.within(&naming.database).connect().await?;
        let rotation = Self { client, owner: naming.owner(), kms };
        rotation.alone().await?;
        Ok(rotation)
    }

    /// Wraps anew what another master key has wrapped. How many tenants' keys that were.
    pub async fn rewrap(self) -> Result<u64, SetupError> {
        let owner = &self.owner;
        self.client.batch_execute(&format!("BEGIN; SET LOCAL ROLE {owner}")).await?;
        self.alone().await?;
        // Whoever has read a key before is seen behind this, and whoever starts now waits for it.
        let held = "SET LOCAL lock_timeout = '5s';
            LOCK TABLE tenantry.own_key, tenantry.tenant_key, tenantry.home IN ACCESS EXCLUSIVE MODE";
        self.client.batch_execute(held).await?;
        self.alone().await?;
        let mut tenants = BTreeSet::new();
        for (table, column, whose) in WRAPPED {
            let rewrapped = self.rewrap_column(table, column, whose).await?;
            if table == "tenant_key" {
                tenants = rewrapped;
            }
        }
        self.client.batch_execute("COMMIT").await?;
        Ok(tenants.len() as u64)
    }

    /// Refuses where others are connected who do not leave soon.
    async fn alone(&self) -> Result<(), SetupError> {
        let until = Instant::now() + PATIENCE;
        loop {
            // What a transaction has seen of others it sees until it is told to look again.
            self.client.query_typed("SELECT pg_stat_clear_snapshot()", &[]).await?;
            let others: String = self.client.query_typed_one(OTHERS, &[]).await?.try_get(0)?;
            if others.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(SetupError::InUse(others));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Wraps the keys of a column anew; whose they were.
    async fn rewrap_column(
        &self,
        table: &str,
        column: &str,
        whose: &str,
    ) -> Result<BTreeSet<TenantId>, SetupError> {
        let select = format!("SELECT ctid::text, {column}, {whose} FROM tenantry.{table}");
        let put = format!(
            "UPDATE tenantry.{table} SET {column} = anew.value FROM unnest($1::text[], $2::bytea[]) AS anew(at, value)
             WHERE {table}.ctid = anew.at::tid"
        );
        let mut tenants = BTreeSet::new();
        for rows in self.client.query_typed(&select, &[]).await?.chunks(ROWS_AT_ONCE) {
            let (mut places, mut values) = (Vec::new(), Vec::new());
            for row in rows {
                if let Some((tenant, wrapped)) = self.rewrap_row(row).await? {
                    places.push(row.try_get::<_, String>(0)?);
                    values.push(wrapped);
                    tenants.insert(tenant);
                }
            }
            let count = places.len() as u64;
            let values = params![places => TEXT_ARRAY, values => BYTEA_ARRAY];
            if self.client.execute_typed(&put, values).await? != count {
                return Err(Fault::Damaged("a table whose rows moved").into());
            }
        }
        Ok(tenants)
    }

    /// A row's key, wrapped anew, where another master key has wrapped it.
    async fn rewrap_row(&self, row: &Row) -> Result<Option<(TenantId, Vec<u8>)>, SetupError> {
        let wrapped = WrappedKey::from_bytes(row.try_get(1)?).map_err(|_| Fault::Damaged("a wrapped key"))?;
        if wrapped.master == self.kms.master_key_id() {
            return Ok(None);
        }
        let tenant = crate::platform::id_of(row, 2)?;
        let binding = match row.try_get::<_, Option<String>>(3)? {
            Some(name) => Binding::new(tenant, name),
            None => homes::binding(tenant),
        };
        let key = self.kms.unwrap(&binding, &wrapped).await.map_err(|error| match error {
            KmsError::UnknownMasterKey(_) => SetupError::WrongMasterKey,
            other if tenant == operator_log() => SetupError::Unusable(format!("a key of its own: {other}")),
            other => SetupError::Unusable(format!("a key of {tenant}: {other}")),
        })?;
        let anew = self.kms.wrap(&binding, &key).await.map_err(Fault::from)?;
        Ok(Some((tenant, anew.to_bytes())))
    }
}
