//! What waits for the end of its minute, by tenant.

use super::Flush;
use audit::event::Action;
use context::Admission;
use errors::Code;
use ids::TenantId;
use std::collections::HashMap;

/// What is told apart of one tenant's; the rest counts together.
pub(super) const MAX_OF_TENANT: usize = 1_000;
/// What is told apart of one principal's.
pub(super) const MAX_OF_PRINCIPAL: usize = 100;
/// What is told apart of all tenants' together.
const MAX_IN_ALL: usize = 100_000;
/// How often writing down is tried for a tenant, a minute apart, before its reads are given up.
const MAX_TRIES: u32 = 10;
/// Stands for what is not told apart.
const OTHERS: &str = "others";

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) principal: String,
    pub(super) action: Action,
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) refused: Option<Code>,
    pub(super) minute: i64,
}

pub(super) struct Reads {
    pub(super) admission: Admission,
    pub(super) count: u64,
}

/// What is to be written down for one tenant.
pub(super) struct Due {
    pub(super) tenant: TenantId,
    pub(super) reads: Vec<(Key, Reads)>,
    tries: u32,
}

#[derive(Default)]
struct Of {
    reads: HashMap<Key, Reads>,
    /// How many keys each principal has.
    principals: HashMap<String, usize>,
    /// How often writing has failed, and the minute after which it is tried again.
    tries: u32,
    not_before: i64,
}

/// What waits, by tenant.
#[derive(Default)]
pub(super) struct Waiting {
    tenants: HashMap<TenantId, Of>,
    keys: usize,
}

impl Waiting {
    pub(super) fn count(&mut self, tenant: TenantId, key: Key, admission: &Admission) {
        let reads = Reads { admission: admission.clone(), count: 1 };
        let full = self.keys >= MAX_IN_ALL;
        self.keys += self.tenants.entry(tenant).or_default().add(key, reads, full);
    }

    pub(super) fn forget(&mut self, tenant: TenantId) {
        if let Some(of) = self.tenants.remove(&tenant) {
            self.keys -= of.reads.len();
        }
    }

    /// Takes out what is to be written down now.
    pub(super) fn due(&mut self, minute: i64, which: Flush) -> Vec<Due> {
        let mut all = Vec::new();
        for (tenant, of) in &mut self.tenants {
            let wanted = match which {
                Flush::Ended => of.not_before <= minute,
                Flush::Tenant(one) => one == *tenant,
                Flush::All => true,
            };
            if !wanted {
                continue;
            }
            let ended = |key: &Key| which != Flush::Ended || key.minute < minute;
            let reads: Vec<_> = of.reads.extract_if(|key, _| ended(key)).collect();
            if reads.is_empty() {
                continue;
            }
            for (key, _) in &reads {
                of.let_go(&key.principal);
            }
            self.keys -= reads.len();
            all.push(Due { tenant: *tenant, reads, tries: of.tries });
            of.tries = 0;
        }
        self.tenants.retain(|_, of| !of.reads.is_empty());
        all
    }

    /// Lets what could not be written wait for the next minute. Whether it was not too often.
    pub(super) fn put_back(&mut self, due: Due, minute: i64) -> bool {
        let Due { tenant, reads, tries } = due;
        if tries + 1 >= MAX_TRIES {
            return false;
        }
        let full = self.keys >= MAX_IN_ALL;
        let of = self.tenants.entry(tenant).or_default();
        (of.tries, of.not_before) = (tries + 1, minute + 1);
        for (key, reads) in reads {
            self.keys += of.add(key, reads, full);
        }
        true
    }
}

impl Of {
    /// Adds to what there is, under a name of its own as long as there is room. Gives how many keys are new.
    fn add(&mut self, mut key: Key, reads: Reads, full: bool) -> usize {
        if !self.reads.contains_key(&key) {
            let own = self.principals.get(&key.principal).copied().unwrap_or_default();
            if full || own >= MAX_OF_PRINCIPAL || self.reads.len() >= MAX_OF_TENANT {
                OTHERS.clone_into(&mut key.what);
            }
            // Principals name themselves, too, where tokens say who they are.
            if self.reads.len() >= MAX_OF_TENANT && !self.reads.contains_key(&key) {
                OTHERS.clone_into(&mut key.principal);
            }
        }
        let before = self.reads.len();
        let principal = key.principal.clone();
        self.reads.entry(key).and_modify(|have| have.count += reads.count).or_insert(reads);
        let new = self.reads.len() - before;
        if new > 0 {
            *self.principals.entry(principal).or_default() += 1;
        }
        new
    }

    fn let_go(&mut self, principal: &str) {
        if let Some(count) = self.principals.get_mut(principal) {
            *count -= 1;
            if *count == 0 {
                self.principals.remove(principal);
            }
        }
    }
}
