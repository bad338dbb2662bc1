//! A tenant's keys: wrapped in the platform store and nowhere else, unwrapped once while the tenant is in
//! use, and what is derived from them.

use crate::Fault;
use audit::note::{LogKey, Origin};
use env::Env;
use ids::{Id, Slug, TenantId, UserId};
use kms::{Binding, Kms, Purpose, WrappedKey, derive, framed};
use secret::SecretBytes;
use std::ops::Deref;
use store::KeyPurpose;

/// Keys of backups.
pub(crate) const BACKUP: Purpose = Purpose::new("backup");
/// Keys for the layers above the store.
const LAYERS_ABOVE: Purpose = Purpose::new("layers above");

/// What tokens of values are made under, by which rows are found that are equal in them.
const EQUALITY: Purpose = Purpose::new("postgres equality");

/// Pseudonyms of people in the audit log. They come from the log's key, which is never another.
const PEOPLE: Purpose = Purpose::new("people in the audit log");

/// A wrapped key with the name that it is bound to, which no other key of the tenant ever has.
#[derive(Clone)]
pub struct NamedKey {
    /// The name.
    pub name: String,
    /// The key.
    pub wrapped: WrappedKey,
}

/// A tenant's wrapped keys.
#[derive(Clone)]
pub struct WrappedKeys {
    /// The data key, from which the keys of file, journal and backups come. It can be changed.
    pub data: NamedKey,
    /// The seed of the key that signs the audit log. Apart, since the verifier key that the tenant has
    /// pinned must outlive a change of the data key.
    pub log: NamedKey,
    /// What the keys of the layers above come from. Apart, so that what they sealed inside the file opens
    /// after a change of the data key, and does not open with the data key alone.
    pub layers: NamedKey,
    /// Whether a change of the data key has begun to count and its file may not be in place yet.
    pub changing: bool,
}

impl WrappedKeys {
    /// The name of the data key, where keys are stored.
    pub const DATA: &str = "data";
    /// The name of the seed of the log's key.
    pub const LOG: &str = "audit log";
    /// The name of the key of the layers above.
    pub const LAYERS: &str = "layers above";

    /// Random keys for a new tenant.
    pub async fn make(kms: &dyn Kms, tenant: TenantId, env: &Env) -> Result<Self, Fault> {
        let make = |kind| NamedKey::make(kms, tenant, kind, env);
        let (data, log) = (make(Self::DATA).await?, make(Self::LOG).await?);
        Ok(Self { data, log, layers: make(Self::LAYERS).await?, changing: false })
    }

    /// The same keys, but for a fresh data key.
    pub async fn with_new_data_key(
        mut self,
        kms: &dyn Kms,
        tenant: TenantId,
        env: &Env,
    ) -> Result<Self, Fault> {
        self.data = NamedKey::make(kms, tenant, Self::DATA, env).await?;
        Ok(self)
    }

    /// The keys with the names under which they are stored.
    pub fn named(&self) -> [(&'static str, &NamedKey); 3] {
        [(Self::DATA, &self.data), (Self::LOG, &self.log), (Self::LAYERS, &self.layers)]
    }

    /// The same keys, wrapped by the present master key.
    pub async fn rewrap(&self, kms: &dyn Kms, tenant: TenantId) -> Result<Self, Fault> {
        let (data, log) = (self.data.rewrap(kms, tenant).await?, self.log.rewrap(kms, tenant).await?);
        Ok(Self { data, log, layers: self.layers.rewrap(kms, tenant).await?, changing: self.changing })
    }

    /// Whether a master key other than this one wrapped any of them.
    pub fn need_rewrap(&self, kms: &dyn Kms) -> bool {
        self.named().iter().any(|(_, key)| key.wrapped.master != kms.master_key_id())
    }
}

impl NamedKey {
    /// A fresh random key of this kind.
    pub async fn make(kms: &dyn Kms, tenant: TenantId, kind: &str, env: &Env) -> Result<Self, Fault> {
        let name = format!("{kind} {}", hex::encode(env.random::<8>()));
        let key = SecretBytes::fill_with(|bytes| env.fill(bytes));
        let wrapped = kms.wrap(&Binding::new(tenant, name.clone()), &key).await?;
        Ok(Self { name, wrapped })
    }

    pub(crate) async fn unwrap(&self, kms: &dyn Kms, tenant: TenantId) -> Result<SecretBytes<32>, Fault> {
        Ok(kms.unwrap(&Binding::new(tenant, self.name.clone()), &self.wrapped).await?)
    }

    async fn rewrap(&self, kms: &dyn Kms, tenant: TenantId) -> Result<Self, Fault> {
        let key = self.unwrap(kms, tenant).await?;
        let wrapped = kms.wrap(&Binding::new(tenant, self.name.clone()), &key).await?;
        Ok(Self { name: self.name.clone(), wrapped })
    }
}

/// Which of a tenant's logs it is, and which of the servers that came one after the other writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogAge {
    /// Which of the tenant's logs: it counts up when a restore loses events.
    pub epoch: u64,
    /// Which server.
    pub generation: u64,
}

impl LogAge {
    /// A new tenant's, on a server that nobody was before.
    pub const FIRST: Self = Self { epoch: FIRST_EPOCH, generation: 1 };
}

/// What a tenant in use needs of keys.
pub struct TenantKeys {
    working: WorkingKeys,
    data: SecretBytes<32>,
    log: LogKey,
}

/// What the tenant's content is read and written with, and no more: neither does it open backups, nor does it sign
/// checkpoints of the log.
#[derive(Clone)]
pub struct WorkingKeys {
    /// The name of the data key, which no other key of the tenant ever has.
    pub data_name: String,
    /// What the backend keeps content under.
    pub content: SecretBytes<32>,
    /// What the keys of the layers above come from.
    pub layers: SecretBytes<32>,
    /// What people are called by in the log.
    pub people: SecretBytes<32>,
    /// The log.
    pub origin: Origin,
}

impl WorkingKeys {
    /// The name of the data key, which no other key of the tenant ever has.
    pub fn data_name(&self) -> &str {
        &self.data_name
    }

    /// What the backend keeps content under.
    pub fn content(&self) -> &SecretBytes<32> {
        &self.content
    }

    /// Has them stay in memory.
    #[must_use]
    pub fn kept_in_memory(self) -> Self {
        for kept in [&self.content, &self.layers, &self.people] {
            hardening::keep_in_memory(kept.expose());
        }
        self
    }

    /// What the audit log calls a person who is known by this id elsewhere.
    pub fn pseudonym(&self, id: &str) -> UserId {
        let derived = derive(&self.people, &PEOPLE, id.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&derived.expose()[..16]);
        UserId::from_bytes(bytes)
    }

    /// What tokens of values are made under. It comes from a key that a change of the data key leaves as it is, and the
    /// tokens with it.
    pub fn equality(&self) -> EqualityKey {
        EqualityKey(derive(&self.derived(KeyPurpose::Cursor), &EQUALITY, &[]))
    }

    /// A key for a purpose of the layers above.
    pub fn derived(&self, purpose: KeyPurpose) -> SecretBytes<32> {
        derive(&self.layers, &LAYERS_ABOVE, purpose.as_str().as_bytes())
    }
}

/// Makes tokens of values.
pub struct EqualityKey(SecretBytes<32>);

impl EqualityKey {
    /// What stands for a value where rows are found by it: the same for the same parts, and nothing to others.
    pub fn token(&self, parts: &[&[u8]]) -> Vec<u8> {
        let token = derive(&self.0, &EQUALITY, &framed("tenantry/postgres/token", parts));
        token.expose()[..16].to_vec()
    }

    /// The token of a delivery that began a run of this workflow.
    pub fn delivery(&self, workflow: &str, delivery: &str) -> Vec<u8> {
        self.token(&[b"delivery", workflow.as_bytes(), delivery.as_bytes()])
    }
}

impl TenantKeys {
    /// Unwraps a tenant's keys. `content` names the use of the key that the backend keeps content under.
    pub async fn unwrap(
        kms: &dyn Kms,
        tenant: TenantId,
        region: &Slug,
        log: LogAge,
        wrapped: &WrappedKeys,
        content: &Purpose,
    ) -> Result<Self, Fault> {
        let data = wrapped.data.unwrap(kms, tenant).await?;
        let (seed, layers) =
            (wrapped.log.unwrap(kms, tenant).await?, wrapped.layers.unwrap(kms, tenant).await?);
        let origin = Origin { tenant, region: region.clone(), epoch: log.epoch };
        let (content, people) = (derive(&data, content, &[]), derive(&seed, &PEOPLE, &[]));
        hardening::keep_in_memory(data.expose());
        let log = LogKey::from_seed(origin.clone(), &seed).of_generation(log.generation);
        let data_name = wrapped.data.name.clone();
        let working = WorkingKeys { data_name, content, layers, people, origin }.kept_in_memory();
        Ok(Self { working, data, log })
    }

    /// The data key.
    pub fn data(&self) -> &SecretBytes<32> {
        &self.data
    }

    /// The key that signs the tenant's checkpoints.
    pub fn log(&self) -> &LogKey {
        &self.log
    }
}

impl Deref for TenantKeys {
    type Target = WorkingKeys;

    fn deref(&self) -> &WorkingKeys {
        &self.working
    }
}

/// The epoch of a new tenant's audit log.
pub const FIRST_EPOCH: u64 = 1;
