//! Answers kept for identical requests, where the caller asked for that.
//!
//! An answer is found under a keyed hash of tenant, rights, model, endpoint and the canonical request, and
//! rests sealed under the tenant's own key: what opens proves whose it is. A kept answer is no call: it costs
//! nothing and uses no window, and usage counts it apart.

use super::reserve::{Attribution, row};
use super::resolve::Resolved;
use super::settle::{Ending, outcome_event};
use crate::App;
use context::{Origin, Private, Tenant};
use env::Timestamp;
use errors::Problem;
use hmac::{Hmac, KeyInit, Mac};
use ids::{Id, TenantId};
use kms::aead::Cipher;
use kms::framed;
use lru::LruCache;
use metering::tokens::Tokens;
use model::KeyOwner;
use model::dialect::openai::Completion;
use money::Usd;
use secret::SecretBytes;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{CallOutcome, CallStatus, Commit, IdempotencyClaim, KeyPurpose};

const DOMAIN: &str = "tenantry kept answer v1";
/// What an entry costs beside its sealed bytes.
const ENTRY_BYTES: usize = 256;

/// Bounds of the response cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes of all tenants together.
    pub bytes: usize,
    /// Bytes of one tenant.
    pub tenant_bytes: usize,
    /// How long an answer is kept.
    pub kept: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { bytes: 64 << 20, tenant_bytes: 8 << 20, kept: Duration::from_secs(300) }
    }
}

/// What is looked for: the key of an entry, and the tenant's key that opens it.
pub(super) struct Wanted {
    key: [u8; 32],
    secret: SecretBytes<32>,
}

impl Wanted {
    /// The key under which this request's answer is kept.
    pub(super) async fn new(
        app: &App,
        tenant: &Tenant<'_>,
        resolved: &Resolved,
        body: Map<String, Value>,
    ) -> Result<Self, Problem> {
        let secret = app.store.key(tenant, KeyPurpose::Cache).await?;
        let request =
            serde_json_canonicalizer::to_vec(&Value::Object(body)).map_err(|_| Problem::internal())?;
        let owner = match resolved.target.key_owner {
            KeyOwner::Operator => "operator",
            KeyOwner::Tenant => "tenant",
        };
        let parts = framed(
            DOMAIN,
            &[
                &tenant.id().to_bytes(),
                tenant.rights().to_string().as_bytes(),
                resolved.endpoint.name.as_str().as_bytes(),
                resolved.endpoint.url.as_bytes(),
                resolved.model.as_bytes(),
                owner.as_bytes(),
                &request,
            ],
        );
        let hash = Hmac::<Sha256>::new_from_slice(secret.expose());
        let mut hash = hash.map_err(|_| Problem::internal())?;
        hash.update(&parts);
        Ok(Self { key: hash.finalize().into_bytes().into(), secret })
    }

    fn place(&self, tenant: TenantId) -> Vec<u8> {
        framed(DOMAIN, &[&tenant.to_bytes(), &self.key])
    }

    /// Writes down that a kept answer is given, and gives its body.
    pub(super) async fn answered<'t>(
        &self,
        app: &App,
        tenant: &Tenant<'t>,
        resolved: &Resolved,
        kept: Private<'t, Completion>,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Private<'t, Value>, Problem> {
        let part_of = Attribution { payer: tenant.principal().into(), ..Attribution::default() };
        let call = row(app, resolved, part_of, Usd::ZERO);
        let mut tokens = Tokens::default();
        kept.as_ref().map(|kept| tokens = kept.usage.unwrap_or_default());
        let outcome = CallOutcome {
            status: CallStatus::Settled,
            finished_at: call.started_at,
            tokens,
            cost: Usd::ZERO,
            unpriced: false,
            estimated: false,
            cached: true,
        };
        let event = outcome_event(tenant, &call, &outcome, Ending::Answered);
        app.store.end_call(tenant, &call, outcome, Commit::event(event).claiming(claim)).await?;
        Ok(kept.map(|kept| kept.body))
    }
}

struct Entry {
    sealed: Vec<u8>,
    until: Timestamp,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.sealed.len() + ENTRY_BYTES
    }
}

/// One tenant's answers.
struct Shelf {
    entries: LruCache<[u8; 32], Entry>,
    bytes: usize,
}

impl Shelf {
    fn drop_oldest(&mut self) -> usize {
        let freed = self.entries.pop_lru().map_or(0, |(_, entry)| entry.bytes());
        self.bytes -= freed.min(self.bytes);
        freed
    }

    fn remove(&mut self, key: &[u8; 32]) -> usize {
        let freed = self.entries.pop(key).map_or(0, |entry| entry.bytes());
        self.bytes -= freed.min(self.bytes);
        freed
    }
}

#[derive(Default)]
struct Shelves {
    by_tenant: HashMap<TenantId, Shelf>,
    bytes: usize,
}

impl Shelves {
    fn put(&mut self, tenant: TenantId, key: [u8; 32], entry: Entry, settings: &CacheSettings) {
        let bytes = entry.bytes();
        if bytes > settings.tenant_bytes || bytes > settings.bytes {
            return;
        }
        self.remove(tenant, &key);
        while self.by_tenant.get(&tenant).is_some_and(|shelf| shelf.bytes + bytes > settings.tenant_bytes) {
            self.drop_oldest(tenant);
        }
        while self.bytes + bytes > settings.bytes {
            // Whoever holds the most gives way.
            let largest = self.by_tenant.iter().max_by_key(|(_, shelf)| shelf.bytes).map(|(id, _)| *id);
            let Some(largest) = largest else { break };
            self.drop_oldest(largest);
        }
        let shelf = self.by_tenant.entry(tenant);
        let shelf = shelf.or_insert_with(|| Shelf { entries: LruCache::unbounded(), bytes: 0 });
        shelf.entries.put(key, entry);
        shelf.bytes += bytes;
        self.bytes += bytes;
    }

    fn drop_oldest(&mut self, tenant: TenantId) {
        let Some(shelf) = self.by_tenant.get_mut(&tenant) else { return };
        self.bytes -= shelf.drop_oldest().min(self.bytes);
        if shelf.entries.is_empty() {
            self.by_tenant.remove(&tenant);
        }
    }

    fn remove(&mut self, tenant: TenantId, key: &[u8; 32]) {
        let Some(shelf) = self.by_tenant.get_mut(&tenant) else { return };
        self.bytes -= shelf.remove(key).min(self.bytes);
        if shelf.entries.is_empty() {
            self.by_tenant.remove(&tenant);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        for shelf in self.by_tenant.values_mut() {
            let old = shelf.entries.iter().filter(|(_, entry)| entry.until <= now).map(|(key, _)| *key);
            for key in old.collect::<Vec<_>>() {
                self.bytes -= shelf.remove(&key).min(self.bytes);
            }
        }
        self.by_tenant.retain(|_, shelf| !shelf.entries.is_empty());
    }

    fn forget(&mut self, tenant: TenantId) {
        if let Some(shelf) = self.by_tenant.remove(&tenant) {
            self.bytes -= shelf.bytes.min(self.bytes);
        }
    }
}

/// Answers kept in this process, bounded in bytes for all and for each tenant, and in time.
pub(super) struct ResponseCache {
    settings: CacheSettings,
    shelves: Mutex<Shelves>,
}

impl ResponseCache {
    pub(super) fn new(settings: CacheSettings) -> Self {
        Self { settings, shelves: Mutex::default() }
    }

    /// The answer kept for this request, if there is one that opens under the tenant's key.
    pub(super) fn find<'t>(
        &self,
        app: &App,
        tenant: &Tenant<'t>,
        wanted: &Wanted,
    ) -> Option<Private<'t, Completion>> {
        let now = app.env.now();
        let sealed = {
            let mut shelves = self.shelves();
            let entry = shelves.by_tenant.get_mut(&tenant.id())?.entries.get(&wanted.key)?;
            if entry.until > now {
                entry.sealed.clone()
            } else {
                shelves.remove(tenant.id(), &wanted.key);
                return None;
            }
        };
        let opened = Cipher::new(&wanted.secret).open(&wanted.place(tenant.id()), &sealed).ok()?;
        let completion = Completion::read(serde_json::from_slice(&opened).ok()?).ok()?;
        // It opened under the tenant's own key, for a place that names the tenant.
        Some(Private::arrived(tenant, Origin::authenticated(tenant.id()), completion))
    }

    /// Keeps an answer that has gone to the tenant.
    pub(super) fn keep(&self, app: &App, tenant: &Tenant<'_>, wanted: &Wanted, answer: &Completion) {
        let Ok(body) = serde_json::to_vec(&answer.body) else { return };
        let sealed = Cipher::new(&wanted.secret).seal(&app.env, &wanted.place(tenant.id()), &body);
        let Ok(sealed) = sealed else { return };
        let entry = Entry { sealed, until: app.env.now().plus(self.settings.kept) };
        self.shelves().put(tenant.id(), wanted.key, entry, &self.settings);
    }

    /// Drops answers that are too old.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.shelves().sweep(now);
    }

    /// Forgets all answers of the tenant.
    pub(super) fn forget(&self, tenant: TenantId) {
        self.shelves().forget(tenant);
    }

    /// Nothing that holds the lock can panic half-way through a change.
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheSettings, ENTRY_BYTES, Entry, Shelves};
    use env::{Env, Timestamp};
    use ids::TenantId;
    use proptest::prelude::*;
    use std::time::Duration;

    const SETTINGS: CacheSettings =
        CacheSettings { bytes: 10_000, tenant_bytes: 4_000, kept: Duration::from_secs(1) };

    fn entry(bytes: usize) -> Entry {
        Entry { sealed: vec![0; bytes], until: Timestamp::from_millis(0) }
    }

    #[test]
    fn a_tenant_that_keeps_much_drops_its_own_first() {
        let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
        let [quiet, busy]: [TenantId; 2] = [env.id(), env.id()];
        let mut shelves = Shelves::default();
        shelves.put(quiet, [0; 32], entry(500), &SETTINGS);
        for number in 0..100 {
            shelves.put(busy, [number; 32], entry(500), &SETTINGS);
        }
        assert!(shelves.by_tenant[&quiet].entries.contains(&[0; 32]));
        assert!(shelves.by_tenant[&busy].entries.contains(&[99; 32]));
        shelves.put(quiet, [1; 32], entry(5_000), &SETTINGS);
        assert!(!shelves.by_tenant[&quiet].entries.contains(&[1; 32]), "larger than a share");
        shelves.forget(busy);
        assert_eq!(shelves.bytes, 500 + ENTRY_BYTES);
        let later = Entry { until: Timestamp::from_millis(9), ..entry(1) };
        shelves.put(busy, [0; 32], later, &SETTINGS);
        shelves.sweep(Timestamp::from_millis(0));
        assert_eq!((shelves.by_tenant.len(), shelves.bytes), (1, 1 + ENTRY_BYTES));
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_the_sums_are_right(
            puts in proptest::collection::vec((0usize..5, 0u8..9, 0usize..4_500), 1..200),
        ) {
            let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
            let tenants: [TenantId; 5] = std::array::from_fn(|_| env.id());
            let mut shelves = Shelves::default();
            for (tenant, key, bytes) in puts {
                shelves.put(tenants[tenant], [key; 32], entry(bytes), &SETTINGS);
                let sums = shelves.by_tenant.values().map(|shelf| {
                    let sum: usize = shelf.entries.iter().map(|(_, entry)| entry.bytes()).sum();
                    assert!(sum == shelf.bytes && sum <= SETTINGS.tenant_bytes && sum > 0);
                    sum
                });
                prop_assert_eq!(sums.sum::<usize>(), shelves.bytes);
                prop_assert!(shelves.bytes <= SETTINGS.bytes);
            }
        }
    }
}
