//! The suite that every backend passes, on each kind of isolation.

use crate::place::Place;
use async_trait::async_trait;
use env::Env;
use std::marker::PhantomData;
use store::Isolation;
use store_postgres::PostgresStore;
use store_tests::Backend;

/// A kind of isolation.
pub trait Kind: Send + 'static {
    const ISOLATION: Isolation;
    /// Whether there is a pooler between the store and the database.
    const POOLER: bool = false;
}

pub struct Shared;
pub struct SharedBehindPooler;
pub struct OwnSchema;
pub struct OwnDatabase;

impl Kind for Shared {
    const ISOLATION: Isolation = Isolation::Pooled;
}

impl Kind for SharedBehindPooler {
    const ISOLATION: Isolation = Isolation::Pooled;
    const POOLER: bool = true;
}

impl Kind for OwnSchema {
    const ISOLATION: Isolation = Isolation::Schema;
}

impl Kind for OwnDatabase {
    const ISOLATION: Isolation = Isolation::Dedicated;
}

/// The backend under test, with all tenants of one kind.
pub struct Tier<K> {
    pub place: Place,
    env: Env,
    store: PostgresStore,
    kind: PhantomData<K>,
}

#[async_trait]
impl<K: Kind> Backend for Tier<K> {
    type Store = PostgresStore;
    const SURVIVES: bool = true;
    const BACKS_UP: bool = true;
    const ISOLATION: Isolation = K::ISOLATION;

    async fn open(env: Env) -> Self {
        let mut place = Place::make(&env).await;
        if K::POOLER {
            place = place.behind_a_pooler();
        }
        if K::ISOLATION != Isolation::Pooled {
            place.provision(&env);
        }
        let store = place.open(&env).await;
        Self { place, env, store, kind: PhantomData }
    }

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn reopen(self) -> Self {
        let Self { place, env, store, kind } = self;
        drop(store);
        let store = place.open(&env).await;
        Self { place, env, store, kind }
    }
}

mod pooled {
    use super::*;
    store_tests::conformance!(Tier<Shared>);
}

// What a pooler could break: what is set for a transaction, locks and cursors in one, several at once, and refused
// ones. The other cases do nothing on the wire that these do not.
mod pooler {
    use super::*;
    store_tests::cases! { Tier<SharedBehindPooler>;
        objects: kept_for_its_tenant_alone, either_changed_or_removed_also_at_once;
        records: kept_for_its_tenant_alone, pages_are_stable_under_inserts;
        runs: kept_for_its_tenant_alone, a_delivery_at_once_makes_one_run;
        usage: a_call_from_its_beginning_to_its_end, a_claim_holds_for_calls_too;
        audit_trail: in_order_and_at_once, proofs_hold, an_export_verifies, a_failed_write_leaves_no_event,
            a_bad_event_hurts_nobody_else;
        idempotency: answers_are_remembered, claimed_once_also_at_once;
        keys: work_is_marked_until_it_ends, who_has_stored_something_is_listed;
        platform: tenants_are_made_once, templates_count_versions;
        operators: events_are_listed, keys_are_claimed_and_given_back;
        erasure: nothing_is_left_to_open, the_neighbour_stays;
        survival: everything_acknowledged_is_there_after_reopening;
        backups: what_was_backed_up_comes_back, an_altered_backup_is_refused;
        restores: whole_while_it_is_written, a_new_data_key_loses_nothing_and_opens_no_older_backup;
    }
}

mod schema {
    use super::*;
    store_tests::conformance!(Tier<OwnSchema>);
}

mod dedicated {
    use super::*;
    store_tests::conformance!(Tier<OwnDatabase>);
}
