//! Definitions as they were read, so that a run, a delivery and a step need not read theirs again.

use super::beside;
use context::Tenant;
use env::Env;
use errors::{Code, Problem};
use ids::TenantId;
use lru::LruCache;
use sha2::{Digest as _, Sha256};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use workflow::Definition;

/// How many are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(512).unwrap();
/// Longer texts are read anew each time, so that what is kept stays small.
const LONGEST: usize = 16 * 1024;

/// Two tenants' definitions never meet, also where their texts are the same: how long reading takes would tell
/// one what the other has.
type Key = (TenantId, [u8; 32]);

/// The definitions that were read last.
pub struct Definitions {
    env: Env,
    kept: Mutex<Kept>,
}

struct Kept {
    definitions: LruCache<Key, Arc<Definition>>,
    /// How often a tenant's were forgotten: what was begun to be read before is not kept after that.
    forgotten: u64,
}

impl Definitions {
    /// None yet.
    pub fn new(env: Env) -> Self {
        Self { env, kept: Mutex::new(Kept { definitions: LruCache::new(KEPT), forgotten: 0 }) }
    }

    /// The tenant's definition with this text, which was valid when it was stored. Where it is not any more, the
    /// problem's code is `invalid_definition`.
    pub async fn read(&self, tenant: &Tenant<'_>, text: &str) -> Result<Arc<Definition>, Problem> {
        let key = (tenant.id(), Sha256::digest(text).into());
        let forgotten = {
            let mut kept = self.kept();
            if let Some(definition) = kept.definitions.get(&key) {
                return Ok(Arc::clone(definition));
            }
            kept.forgotten
        };
        let read = {
            let text = text.to_owned();
            let invalid = |faults: Vec<workflow::Fault>| {
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                let detail = format!("The definition is not valid: {first}.");
                super::with_faults(Problem::new(Code::InvalidDefinition, detail), &faults)
            };
            beside(&self.env, move || workflow::validate(&text).map(Arc::new).map_err(invalid)).await?
        };
        self.keep(key, text.len(), &read, forgotten);
        Ok(read)
    }

    /// Keeps what was read, unless something was forgotten since.
    fn keep(&self, key: Key, bytes: usize, read: &Arc<Definition>, forgotten: u64) {
        let mut kept = self.kept();
        if bytes <= LONGEST && kept.forgotten == forgotten {
            kept.definitions.put(key, Arc::clone(read));
        }
    }

    /// Forgets what a tenant had.
    pub(crate) fn forget(&self, tenant: TenantId) {
        let mut kept = self.kept();
        kept.forgotten += 1;
        let all = kept.definitions.iter().map(|(key, _)| *key);
        let keys: Vec<Key> = all.filter(|(of, _)| *of == tenant).collect();
        keys.iter().for_each(|key| drop(kept.definitions.pop(key)));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Definitions;
    use admission_fixture::Fixture;
    use context::Tenant;
    use errors::Code;
    use metering::plan::Limits;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_definition_is_read_once_for_each_tenant_until_it_is_forgotten() {
        let fixture = Fixture::new(1);
        let definitions = Definitions::new(fixture.env());
        let read = async |tenant: &Tenant<'_>| {
            definitions.read(tenant, workflow::INBOUND_LEAD_TRIAGE).await.unwrap()
        };
        let [one, other] = [(); 2].map(|()| fixture.tenant(Limits::default()));
        let (one, other) = (fixture.owner(one).await, fixture.owner(other).await);
        let (first, tenant) = one.clone().enter(async |tenant| (read(&tenant).await, tenant.id())).await;
        let again = one.clone().enter(async |tenant| read(&tenant).await).await;
        assert!(Arc::ptr_eq(&first, &again));
        let theirs = other.enter(async |tenant| read(&tenant).await).await;
        assert!(!Arc::ptr_eq(&first, &theirs));
        definitions.forget(tenant);
        let anew = one.clone().enter(async |tenant| read(&tenant).await).await;
        assert!(!Arc::ptr_eq(&first, &anew));
        // What was begun before a tenant was forgotten is not kept after it.
        let key = (tenant, [0; 32]);
        let before = definitions.kept().forgotten;
        definitions.forget(tenant);
        definitions.keep(key, 1, &anew, before);
        assert!(definitions.kept().definitions.get(&key).is_none());
        definitions.keep(key, 1, &anew, before + 1);
        assert!(definitions.kept().definitions.get(&key).is_some());
        let faulty = one.enter(async |tenant| definitions.read(&tenant, "nodes: []").await.err()).await;
        assert_eq!(faulty.unwrap().code, Code::InvalidDefinition);
    }
}
