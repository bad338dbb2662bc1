//! The suite that every backend passes.

use crate::place::Place;
use async_trait::async_trait;
use env::Env;
use store::Isolation;
use store_postgres::PostgresStore;
use store_tests::Backend;

/// The backend under test.
struct Pooled {
    place: Place,
    env: Env,
    store: PostgresStore,
}

#[async_trait]
impl Backend for Pooled {
    type Store = PostgresStore;
    const SURVIVES: bool = true;
    const BACKS_UP: bool = true;
    const ISOLATION: Isolation = Isolation::Pooled;

    async fn open(env: Env) -> Self {
        let place = Place::make(&env).await;
        let store = place.open(&env).await;
        Self { place, env, store }
    }

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn reopen(self) -> Self {
        let Self { place, env, store } = self;
        drop(store);
        let store = place.open(&env).await;
        Self { place, env, store }
    }
}

store_tests::conformance!(Pooled);
