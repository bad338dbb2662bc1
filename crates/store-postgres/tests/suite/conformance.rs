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
}

pub struct Shared;
pub struct OwnSchema;
pub struct OwnDatabase;

impl Kind for Shared {
    const ISOLATION: Isolation = Isolation::Pooled;
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
        let place = Place::make(&env).await;
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

mod schema {
    use super::*;
    store_tests::conformance!(Tier<OwnSchema>);
}

mod dedicated {
    use super::*;
    store_tests::conformance!(Tier<OwnDatabase>);
}
