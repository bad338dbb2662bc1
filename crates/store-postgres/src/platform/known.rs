//! What is remembered of the platform's tables between requests, and only while it is known that nothing of it has
//! changed. The database counts changes; every server asks for the count five times a second. What a server changes
//! itself it forgets at once; what another has changed holds here within a second, or nothing that is remembered does.

use super::Platform;
use crate::error::Fault;
use context::{IndexEntry, KeyedHash, TenantStanding};
use ids::TenantId;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Endpoints;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often it is asked whether anything has changed.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(200);
/// For how long an answer is gone by.
const GONE_BY: Duration = Duration::from_secs(1);
/// How many credentials and tenants are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// What is remembered.
#[derive(Default)]
pub(crate) struct Known {
    state: Mutex<State>,
    /// Told when this server has changed something.
    changed: Notify,
}

pub(super) struct State {
    /// Goes up whenever everything is forgotten.
    generation: u64,
    /// The database's count, and when it was asked for.
    confirmed: Option<(i64, Instant)>,
    pub(super) credentials: LruCache<[u8; 32], IndexEntry>,
    pub(super) standings: LruCache<TenantId, TenantStanding>,
    pub(super) endpoints: Option<Endpoints>,
}

/// As of when something is read: if everything was forgotten since, it is not remembered.
#[derive(Clone, Copy)]
pub(crate) struct AsOf(u64);

impl Default for State {
    fn default() -> Self {
        Self {
            generation: 0,
            confirmed: None,
            credentials: LruCache::new(REMEMBERED),
            standings: LruCache::new(REMEMBERED),
            endpoints: None,
        }
    }
}

impl State {
    fn forget(&mut self) {
        self.generation += 1;
        self.credentials.clear();
        self.standings.clear();
        self.endpoints = None;
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered, or as of when it is to be read.
    pub(super) fn find<T>(&self, find: impl FnOnce(&mut State) -> Option<T>) -> Result<T, AsOf> {
        let mut state = self.lock();
        let fresh = state.confirmed.is_some_and(|(_, at)| at.elapsed() < GONE_BY);
        let found = if fresh { find(&mut state) } else { None };
        found.ok_or(AsOf(state.generation))
    }

    /// Remembers what was read.
    pub(super) fn keep(&self, AsOf(generation): AsOf, keep: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.generation == generation {
            keep(&mut state);
        }
    }

    /// Forgets everything: this server has changed something.
    pub(crate) fn forget(&self) {
        self.lock().forget();
        self.changed.notify_one();
    }

    /// Ready when this server has changed something since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn confirm(&self, count: i64, asked_at: Instant) {
        let mut state = self.lock();
        if state.confirmed.is_none_or(|(before, _)| before != count) {
            state.forget();
        }
        state.confirmed = Some((count, asked_at));
    }
}

impl Platform {
    /// Asks whether anything has changed. Where there is no answer, what was confirmed last runs out by itself.
    pub(crate) async fn ask_for_changes(&self) {
        let asked_at = Instant::now();
        let asked = async {
            let rows = self.query("SELECT number FROM tenantry.epoch", &[]).await?;
            let row = rows.first().ok_or(Fault::Damaged("the count of changes"))?;
            Ok::<i64, Fault>(row.try_get(0)?)
        };
        match tokio::time::timeout(GONE_BY, asked).await {
            Ok(Ok(count)) => self.known.confirm(count, asked_at),
            Ok(Err(fault)) => tracing::warn!(%fault, "it could not be asked whether anything has changed"),
            Err(_) => tracing::warn!("the database did not say in time whether anything has changed"),
        }
    }

    /// A line of the credential index.
    pub(crate) async fn known_credential(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, Fault> {
        let as_of = match self.known.find(|state| state.credentials.get(&hash.0).cloned()) {
            Ok(entry) => return Ok(Some(entry)),
            Err(as_of) => as_of,
        };
        let entry = self.credential(hash).await?;
        if let Some(entry) = &entry {
            self.known.keep(as_of, |state| drop(state.credentials.put(hash.0, entry.clone())));
        }
        Ok(entry)
    }

    /// Where a tenant stands.
    pub(crate) async fn known_standing(&self, id: TenantId) -> Result<Option<TenantStanding>, Fault> {
        let as_of = match self.known.find(|state| state.standings.get(&id).cloned()) {
            Ok(standing) => return Ok(Some(standing)),
            Err(as_of) => as_of,
        };
        let standing = self.standing(id).await?;
        if let Some(standing) = &standing {
            self.known.keep(as_of, |state| drop(state.standings.put(id, standing.clone())));
        }
        Ok(standing)
    }

    /// All endpoints.
    pub(crate) async fn known_endpoints(&self) -> Result<Endpoints, Fault> {
        let as_of = match self.known.find(|state| state.endpoints.clone()) {
            Ok(endpoints) => return Ok(endpoints),
            Err(as_of) => as_of,
        };
        let endpoints = self.endpoints().await?;
        self.known.keep(as_of, |state| state.endpoints = Some(endpoints.clone()));
        Ok(endpoints)
    }
}

#[cfg(test)]
mod tests {
    use super::{GONE_BY, Known};
    use ids::{Id as _, TenantId};
    use std::sync::Arc;
    use tokio::time::{Instant, advance};

    fn endpoints(known: &Known) -> bool {
        known.find(|state| state.endpoints.clone()).is_ok()
    }

    /// Remembers something, as of now.
    fn keep(known: &Known) {
        let Err(as_of) = known.find(|_| None::<()>) else { panic!("nothing was looked for") };
        known.keep(as_of, |state| state.endpoints = Some(Arc::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_gone_by_for_a_second_after_the_last_word() {
        let known = Known::default();
        keep(&known);
        assert!(!endpoints(&known), "nobody has said that nothing has changed");
        known.confirm(7, Instant::now());
        keep(&known);
        assert!(endpoints(&known));
        advance(GONE_BY / 2).await;
        known.confirm(7, Instant::now());
        advance(GONE_BY / 2).await;
        assert!(endpoints(&known));
        advance(GONE_BY / 2).await;
        assert!(!endpoints(&known));
        // What was asked a second ago says nothing about now, however late its answer came.
        let asked_at = Instant::now();
        advance(GONE_BY).await;
        known.confirm(7, asked_at);
        assert!(!endpoints(&known));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_forgets_everything_and_what_was_read_before_it() {
        let known = Known::default();
        let tenant = TenantId::from_bytes([1; 16]);
        for change in [|known: &Known| known.forget(), |known: &Known| known.confirm(8, Instant::now())] {
            known.confirm(7, Instant::now());
            keep(&known);
            let Err(early) = known.find(|state| state.standings.get(&tenant).cloned()) else { panic!() };
            change(&known);
            assert!(!endpoints(&known));
            known.keep(early, |state| state.endpoints = Some(Arc::default()));
            assert!(!endpoints(&known), "it was read before the change");
        }
    }
}
