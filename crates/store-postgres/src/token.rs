//! Tokens: how a transaction proves to the database which tenant it is of. Whoever can run a statement can set
//! any setting, so the setting is no bare id: it is an id and an end, authenticated under a key that the
//! run-time role cannot read from the database.

use crate::error::Fault;
use crate::home::params;
use env::{Env, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ids::{Id as _, TenantId};
use kms::{Binding, Kms, Purpose, WrappedKey, derive};
use secret::{SecretBytes, SecretText};
use sha2::Sha256;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_postgres::Client;
use zeroize::Zeroizing;

/// How long a token opens the tables. The database takes none that ends later.
const LIFE: Duration = Duration::from_secs(50);

/// The name that the sealed key is stored under and bound to.
pub(crate) const NAME: &str = "postgres tenant token";

/// The keys of tenants' own databases, from the platform's.
const DEDICATED: Purpose = Purpose::new("postgres dedicated token");

/// A block of SHA-256.
const BLOCK: usize = 64;

/// Makes tokens.
pub(crate) struct Tokens {
    key: SecretBytes<32>,
    env: Env,
    /// How far the database's clock is ahead of ours, in milliseconds.
    ahead: AtomicI64,
}

impl Tokens {
    pub(crate) fn new(key: SecretBytes<32>, env: Env) -> Self {
        Self { key, env, ahead: AtomicI64::new(0) }
    }

    /// Takes note of the time at the database, whose clock judges when a token ends.
    pub(crate) fn database_time(&self, millis: i64) {
        self.ahead.store(millis - self.env.now().millis(), Ordering::Relaxed);
    }

    /// The time here.
    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// A token for a tenant.
    pub(crate) fn make(&self, tenant: TenantId) -> SecretText {
        let now = self.env.now().millis() + self.ahead.load(Ordering::Relaxed);
        self.ending(tenant, Timestamp::from_millis(now).plus(LIFE))
    }

    /// A token that ends so many milliseconds from now, be it ever so late or over.
    pub(crate) fn ending_in(&self, tenant: TenantId, millis: i64) -> SecretText {
        let now = self.env.now().millis() + self.ahead.load(Ordering::Relaxed);
        self.ending(tenant, Timestamp::from_millis(now + millis))
    }

    fn ending(&self, tenant: TenantId, end: Timestamp) -> SecretText {
        let said = format!("{}.{}", hex::encode(tenant.to_bytes()), end.millis());
        // A key shorter than a block is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK]);
        block[..32].copy_from_slice(self.key.expose());
        let mac = Hmac::<Sha256>::new((&*block).into()).chain_update(said.as_bytes()).finalize();
        SecretText::new(format!("{said}.{}", hex::encode(mac.into_bytes())))
    }
}

/// The key's inner and outer padded blocks, from which the database computes the same HMAC with `sha256` alone.
fn pads(key: &SecretBytes<32>) -> [SecretBytes<BLOCK>; 2] {
    [0x36, 0x5c].map(|pad| {
        SecretBytes::fill_with(|block| {
            block.fill(pad);
            block.iter_mut().zip(key.expose()).for_each(|(byte, key)| *byte ^= key);
        })
    })
}

/// Whose key it is, for the key management: of the operators' own log, which no tenant is.
fn binding() -> Binding {
    Binding::new(crate::store_impl::operator_log(), NAME)
}

/// Seals the key under the master key.
pub(crate) async fn seal(kms: &dyn Kms, key: &SecretBytes<32>) -> Result<Vec<u8>, Fault> {
    Ok(kms.wrap(&binding(), key).await?.to_bytes())
}

/// The key, where the platform has one.
pub(crate) async fn stored(client: &Client, kms: &dyn Kms) -> Result<Option<SecretBytes<32>>, Fault> {
    let select = "SELECT sealed FROM tenantry.own_key WHERE name = $1";
    let Some(row) = client.query_typed_opt(select, params![NAME => TEXT]).await? else { return Ok(None) };
    let wrapped = WrappedKey::from_bytes(row.try_get(0)?).map_err(|_| Fault::Damaged("the token key"))?;
    Ok(Some(kms.unwrap(&binding(), &wrapped).await?))
}

/// The key of a database of one tenant's own. Whoever comes by it can name no tenant anywhere else.
pub(crate) fn dedicated(key: &SecretBytes<32>, tenant: TenantId) -> SecretBytes<32> {
    derive(key, &DEDICATED, &tenant.to_bytes())
}

/// Puts the key into the database that it is for, in the place of what was there.
pub(crate) async fn put_pads(client: &Client, key: &SecretBytes<32>) -> Result<(), Fault> {
    let [inner, outer] = pads(key);
    let (inner, outer) = (inner.expose().as_slice(), outer.expose().as_slice());
    client
        .execute_typed(
            "INSERT INTO tenantry.token_pad(inner_pad, outer_pad) VALUES($1, $2)
             ON CONFLICT (only_row) DO UPDATE SET inner_pad = $1, outer_pad = $2",
            params![inner => BYTEA, outer => BYTEA],
        )
        .await?;
    Ok(())
}
