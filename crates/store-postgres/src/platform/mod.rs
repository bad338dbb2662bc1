//! What belongs to no tenant: who there is, their wrapped keys, the credential index, plans, templates, endpoints.
//! What is remembered of it between requests is in `known.rs`, and for how long.

mod catalog;
mod index;
mod known;
mod moves;
mod operators;
pub(crate) mod own_key;
mod provisioning;
mod tenants;

pub(crate) use known::{ASK_EVERY, Known};
pub(crate) use tenants::Making;

use crate::error::Fault;
use crate::home::{Home, Param, Session, params};
use env::Env;
use ids::{Id as _, KeyId, TenantId};
use kms::{Kms, WrappedKey};
use lru::LruCache;
use secret::SecretBytes;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store_core::keys::{NamedKey, WrappedKeys};
use tokio_postgres::Row;

/// Of how many keys it is known when they were last used.
const USES: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// What the next data key is stored as, while tables are sealed under it anew.
const NEXT_DATA: &str = "next data";

/// A tenant's keys, and the data key that a change under way has made.
pub(crate) type KeysAndNext = (WrappedKeys, Option<NamedKey>);

pub(crate) struct Platform {
    home: Arc<Home>,
    env: Env,
    /// How long whoever asks for a home waits for it.
    patience: Duration,
    /// The minute in which a key's use was last written down, so that it is written once a minute.
    uses: Mutex<LruCache<(TenantId, KeyId), i64>>,
    pub(crate) known: Known,
}

impl Platform {
    pub(crate) fn new(home: Arc<Home>, env: Env, patience: Duration) -> Self {
        Self { home, env, patience, uses: Mutex::new(LruCache::new(USES)), known: Known::default() }
    }

    /// One statement.
    pub(crate) async fn query(&self, statement: &str, values: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        Ok(self.home.session().await?.query_typed(statement, values).await?)
    }

    /// One statement of whose rows nothing is wanted but how many there were.
    pub(crate) async fn execute(&self, statement: &str, values: &[Param<'_>]) -> Result<u64, Fault> {
        Ok(self.home.session().await?.execute_typed(statement, values).await?)
    }

    /// A transaction that no other server's change comes between: what is checked in it still holds when it ends.
    pub(crate) async fn change(&self) -> Result<Session, Fault> {
        let mut session = self.home.session().await?;
        session.begin().await?;
        session.batch_execute("SELECT pg_advisory_xact_lock(1952542576)").await?;
        Ok(session)
    }

    /// A key of the server's own, made when it is first asked for.
    pub(crate) async fn own_key(&self, kms: &dyn Kms, name: &'static str) -> Result<SecretBytes<32>, Fault> {
        let fresh = SecretBytes::fill_with(|bytes| self.env.fill(bytes));
        let (binding, sealed) = own_key::sealed(kms, name, &fresh).await?;
        // Whichever server is first makes it, and all take what there is.
        let make = "INSERT INTO tenantry.own_key(name, sealed) VALUES($1, $2) ON CONFLICT DO NOTHING";
        self.execute(make, params![name => TEXT, sealed => BYTEA]).await?;
        let rows =
            self.query("SELECT sealed FROM tenantry.own_key WHERE name = $1", params![name => TEXT]).await?;
        let row = rows.first().ok_or(Fault::Damaged("a key of the server's own"))?;
        own_key::opened(kms, &binding, row.try_get(0)?).await
    }

    /// A tenant's wrapped keys.
    pub(crate) async fn wrapped_keys(&self, id: TenantId) -> Result<Option<KeysAndNext>, Fault> {
        let session = self.home.session().await?;
        self.keys_in(&session, id).await
    }

    /// A tenant's wrapped keys, in a transaction that goes on.
    pub(crate) async fn keys_in(
        &self,
        session: &Session,
        id: TenantId,
    ) -> Result<Option<KeysAndNext>, Fault> {
        let bytes = id.to_bytes();
        let select = "SELECT kind, name, wrapped FROM tenantry.tenant_key WHERE tenant = $1";
        let rows = session.query_typed(select, params![bytes.as_slice() => BYTEA]).await?;
        let key = |kind: &str| -> Result<Option<NamedKey>, Fault> {
            for row in &rows {
                if row.try_get::<_, &str>(0)? == kind {
                    let wrapped = WrappedKey::from_bytes(row.try_get(2)?)
                        .map_err(|_| Fault::Damaged("a wrapped key"))?;
                    return Ok(Some(NamedKey { name: row.try_get(1)?, wrapped }));
                }
            }
            Ok(None)
        };
        let all = key(WrappedKeys::DATA)?.zip(key(WrappedKeys::LOG)?).zip(key(WrappedKeys::LAYERS)?);
        let next = key(NEXT_DATA)?;
        Ok(all.map(|((data, log), layers)| (WrappedKeys { data, log, layers, changing: false }, next)))
    }

    /// Keeps the key that is to be the tenant's data key, beside the one that still is.
    pub(crate) async fn put_next_key(
        &self,
        session: &Session,
        id: TenantId,
        key: &NamedKey,
    ) -> Result<(), Fault> {
        let (id, wrapped) = (id.to_bytes(), key.wrapped.to_bytes());
        let put = "INSERT INTO tenantry.tenant_key(tenant, kind, name, wrapped) VALUES($1, $2, $3, $4)
            ON CONFLICT (tenant, kind) DO UPDATE SET name = $3, wrapped = $4";
        let values = params![id.as_slice() => BYTEA, NEXT_DATA => TEXT, key.name => TEXT, wrapped => BYTEA];
        session.execute_typed(put, values).await?;
        Ok(())
    }

    /// Puts the next data key in the place of the one before, where the tables are sealed under it. Else nothing.
    pub(crate) async fn settle_key(
        &self,
        session: &Session,
        id: TenantId,
        sealed_under: &str,
    ) -> Result<(), Fault> {
        let id = id.to_bytes();
        let settle =
            "WITH next AS (DELETE FROM tenantry.tenant_key WHERE tenant = $1 AND kind = $2 AND name = $4
                RETURNING name, wrapped)
            UPDATE tenantry.tenant_key SET name = next.name, wrapped = next.wrapped FROM next
            WHERE tenant = $1 AND kind = $3";
        let values = params![id.as_slice() => BYTEA, NEXT_DATA => TEXT, WrappedKeys::DATA => TEXT,
            sealed_under => TEXT];
        session.execute_typed(settle, values).await?;
        Ok(())
    }

    /// Stores a tenant's keys, unless it has some: then nothing is changed.
    pub(crate) async fn add_keys(
        &self,
        session: &Session,
        id: TenantId,
        keys: &WrappedKeys,
    ) -> Result<bool, Fault> {
        let mut added = 0;
        for (kind, key) in keys.named() {
            let (bytes, wrapped) = (id.to_bytes(), key.wrapped.to_bytes());
            added += session
                .execute_typed(
                    "INSERT INTO tenantry.tenant_key(tenant, kind, name, wrapped) VALUES($1, $2, $3, $4)
                     ON CONFLICT DO NOTHING",
                    params![bytes.as_slice() => BYTEA, kind => TEXT, key.name => TEXT, wrapped => BYTEA],
                )
                .await?;
        }
        Ok(added == 3)
    }
}

/// Sixteen bytes of a row's.
pub(crate) fn bytes_of<const N: usize>(row: &Row, place: usize) -> Result<[u8; N], Fault> {
    row.try_get::<_, &[u8]>(place)?.try_into().map_err(|_| Fault::Damaged("an id"))
}

/// A tenant's id of a row's.
pub(crate) fn id_of(row: &Row, place: usize) -> Result<TenantId, Fault> {
    Ok(TenantId::from_bytes(bytes_of(row, place)?))
}
