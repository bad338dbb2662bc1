//! What is kept in memory of the platform store, bounded, and forgotten by the write that changes it.

use context::{IndexedSubject, KeyedHash, TenantStanding};
use env::Timestamp;
use ids::{KeyId, TenantId};
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use store::Endpoints;

/// A few hundred bytes each.
const MAX_LINES: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const MAX_STANDINGS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
/// Keys whose use is not yet written down; it is, every minute.
const MAX_USES: usize = 200_000;

/// How exact the times of last use are, and how often they are written down.
const MINUTE: Duration = Duration::from_secs(60);

/// A line of the credential index.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) subject: Arc<IndexedSubject>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The cached part of the platform store.
pub(crate) struct Cache {
    /// Raised by every write, so that a reader that read before it keeps nothing of what it read.
    generation: u64,
    pub(crate) lines: LruCache<KeyedHash, Line>,
    pub(crate) standings: LruCache<TenantId, TenantStanding>,
    pub(crate) endpoints: Option<Endpoints>,
    uses: HashMap<KeyId, (TenantId, Timestamp)>,
    /// When the uses were last taken to be written down.
    taken: Timestamp,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            generation: 0,
            lines: LruCache::new(MAX_LINES),
            standings: LruCache::new(MAX_STANDINGS),
            endpoints: None,
            uses: HashMap::new(),
            taken: Timestamp::from_millis(0),
        }
    }
}

impl Cache {
    /// The present generation, to be read before the store is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Keeps something that was read in this generation; drops it if a write has come between.
    pub(crate) fn keep(&mut self, generation: u64, keep: impl FnOnce(&mut Self)) {
        if self.generation == generation {
            keep(self);
        }
    }

    /// Forgets what a write has changed.
    pub(super) fn forget(&mut self, forget: impl FnOnce(&mut Self)) {
        self.generation += 1;
        forget(self);
    }

    /// Forgets the lines of one tenant, and nobody else's.
    pub(crate) fn forget_lines(&mut self, tenant: TenantId) {
        let of_tenant = self.lines.iter().filter(|(_, line)| line.tenant == Some(tenant));
        let hashes: Vec<_> = of_tenant.map(|(hash, _)| *hash).collect();
        for hash in hashes {
            self.lines.pop(&hash);
        }
    }

    /// Notes that a key was used, to the minute. Costs no write.
    pub(crate) fn used(&mut self, key: KeyId, tenant: TenantId, at: Timestamp) {
        if self.uses.len() < MAX_USES || self.uses.contains_key(&key) {
            self.uses.insert(key, (tenant, at));
        }
    }

    /// When a tenant's keys were last used, as far as that is not written down yet.
    pub(crate) fn last_uses(&self, tenant: TenantId) -> Vec<(KeyId, Timestamp)> {
        let uses = self.uses.iter().filter(|(_, (of, _))| *of == tenant);
        uses.map(|(key, (_, at))| (*key, *at)).collect()
    }

    /// Whether the uses are to be written down: once a minute, since that is as exact as they are.
    pub(crate) fn uses_are_due(&self, now: Timestamp) -> bool {
        !self.uses.is_empty() && now.since(self.taken) >= MINUTE
    }

    /// Takes the uses that are not written down yet.
    pub(crate) fn take_uses(&mut self, now: Timestamp) -> Vec<(KeyId, TenantId, Timestamp)> {
        self.taken = now;
        self.uses.drain().map(|(key, (tenant, at))| (key, tenant, at)).collect()
    }
}
