//! The reference passes the suite that it is the reference of.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test has failed it")]

use async_trait::async_trait;
use env::Env;
use store_memory::MemoryStore;
use store_tests::Backend;

struct Memory(MemoryStore);

#[async_trait]
impl Backend for Memory {
    type Store = MemoryStore;
    const SURVIVES: bool = false;
    const BACKS_UP: bool = false;

    async fn open(env: Env) -> Self {
        Self(MemoryStore::new("local".parse().unwrap(), env))
    }

    fn store(&self) -> &MemoryStore {
        &self.0
    }

    async fn reopen(self) -> Self {
        self
    }
}

store_tests::conformance!(Memory);
