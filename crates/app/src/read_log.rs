//! Reads in the audit log: one event per principal, collection and minute, with how many there were.

use audit::event::Action;
use context::{Admission, Tenant};
use env::Timestamp;
use ids::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use store::{StoreError, TenantStore};

/// Keys that wait at the most; then the oldest minute is written at once.
const MAX_WAITING: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    principal: String,
    action: String,
    kind: &'static str,
    what: String,
    minute: i64,
}

struct Reads {
    admission: Admission,
    action: Action,
    count: u64,
}

/// Reads that wait to be written down at the end of their minute.
#[derive(Default)]
pub struct ReadLog(Mutex<HashMap<Key, Reads>>);

impl ReadLog {
    /// Notes a read. `what` is the collection that was read from, or the kind of thing.
    pub fn note(
        &self,
        admission: &Admission,
        tenant: &Tenant<'_>,
        action: Action,
        kind: &'static str,
        what: &str,
        now: Timestamp,
    ) {
        let key = Key {
            tenant: tenant.id(),
            principal: tenant.principal().id.clone(),
            action: action.as_str().to_owned(),
            kind,
            what: what.to_owned(),
            minute: now.millis().div_euclid(60_000),
        };
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reads =
            waiting.entry(key).or_insert_with(|| Reads { admission: admission.clone(), action, count: 0 });
        reads.count += 1;
    }

    /// Writes down the reads of minutes that are over, or all; those of one tenant where one is given.
    pub async fn flush(
        &self,
        store: &dyn TenantStore,
        now: Timestamp,
        which: Flush,
    ) -> Result<(), StoreError> {
        for (key, reads) in self.due(now, which) {
            let Reads { admission, action, count } = reads;
            let append = admission.enter(async |tenant| {
                let mut draft = context::event::draft(&tenant, action, key.kind, key.what);
                draft.details.insert("count".into(), count.into());
                draft
                    .details
                    .insert("minute".into(), Timestamp::from_millis(key.minute * 60_000).to_string().into());
                store.append_events(&tenant, vec![draft]).await.map(drop)
            });
            append.await?;
        }
        Ok(())
    }

    fn due(&self, now: Timestamp, which: Flush) -> Vec<(Key, Reads)> {
        let minute = now.millis().div_euclid(60_000);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = waiting.len() > MAX_WAITING;
        let due = |key: &Key| match which {
            Flush::Ended => key.minute < minute || full,
            Flush::Tenant(tenant) => key.tenant == tenant,
            Flush::All => true,
        };
        waiting.extract_if(|key, _| due(key)).collect()
    }
}

/// Which reads are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Those of minutes that are over.
    Ended,
    /// One tenant's.
    Tenant(TenantId),
    /// All of them.
    All,
}
