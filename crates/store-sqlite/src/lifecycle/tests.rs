//! The ends of tenants, where only the inside of the store can bring them about.

use crate::error::Fault;
use crate::keys::FIRST_EPOCH;
use crate::tenant::{Append, blocking};
use crate::{EmbeddedStore, Settings};
use async_trait::async_trait;
use context::Tenant;
use env::Env;
use ids::TenantId;
use kms_file::{FileKms, MasterKey};
use std::sync::Arc;
use store::{Commit, StoreError, TenantLifecycle};
use store_tests::samples::record;
use store_tests::{Backend, World, audit_trail, records};
use tempfile::TempDir;

/// A backend whose inside these tests reach.
pub(crate) struct Embedded(TempDir, Env, EmbeddedStore);

async fn open(place: &TempDir, env: &Env) -> EmbeddedStore {
    let file = place.path().join("key");
    let made = MasterKey::create_development(&file, env);
    let key = made.or_else(|_| MasterKey::load(&file)).unwrap();
    let regions = vec!["local".parse().unwrap()];
    let settings = Settings { folder: place.path().join("data"), regions, durable: true };
    EmbeddedStore::open(settings, Arc::new(FileKms::new(env.clone(), key, None)), env.clone()).await.unwrap()
}

impl Embedded {
    /// The folder that has the data folder and the master key.
    pub(crate) fn place(&self) -> &std::path::Path {
        self.0.path()
    }
}

#[async_trait]
impl Backend for Embedded {
    type Store = EmbeddedStore;
    const SURVIVES: bool = true;
    const BACKS_UP: bool = true;

    async fn open(env: Env) -> Self {
        let place = TempDir::new().unwrap();
        let store = open(&place, &env).await;
        Self(place, env, store)
    }

    fn store(&self) -> &EmbeddedStore {
        &self.2
    }

    async fn reopen(self) -> Self {
        let Self(place, env, store) = self;
        drop(store);
        let store = open(&place, &env).await;
        Self(place, env, store)
    }
}

fn remains(world: &World<Embedded>, tenant: TenantId) -> (bool, usize) {
    let local = "local".parse().unwrap();
    let file = world.store().inner().folder.tenant(&local, tenant).unwrap();
    let entries = world.store().journal(&local).unwrap().entries(tenant, 0, 500).unwrap();
    (file.exists(), entries.len())
}

#[test]
fn a_handle_that_outlives_its_tenant_writes_nothing() {
    World::<Embedded>::run(async |world| {
        let held = world.store().handle_of(world.one).await.unwrap();
        world.store().erase(&world.operator, world.one).await.unwrap();
        let appended = held.append(Append::default()).await;
        assert_eq!(appended, Err(Fault::KeyGone));
        let written = held.write(true, Commit::default(), |_| Ok(())).await;
        assert!(written.is_err());
        assert!(blocking(move || held.settle()).await.is_err());
        assert_eq!(remains(&world, world.one), (false, 0));
    });
}

#[test]
fn an_erasure_that_was_cut_short_is_finished_at_the_next_start() {
    World::<Embedded>::run(async |mut world| {
        for (tenant, word) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    let made = record(1, serde_json::json!({"who": word}));
                    records::create(world.store(), &tenant, made).await.unwrap();
                })
                .await;
        }
        // As if the server had stopped once the keys were destroyed.
        let now = world.env().now();
        world.store().inner().platform.destroy_tenant(world.one, now).await.unwrap();
        let (file, entries) = remains(&world, world.one);
        assert!(file && entries > 0);
        world = world.reopen().await;
        assert_eq!(remains(&world, world.one), (false, 0));
        let (file, entries) = remains(&world, world.two);
        assert!(file && entries > 0);
        assert!(world.store().inner().platform.unfinished_erasures().await.unwrap().is_empty());
    });
}

/// Writes a new file under a new data key up to the given step, as if the server had stopped there.
async fn stop_a_key_change(world: &World<Embedded>, commit: bool, place: bool) {
    let inner = world.store().inner();
    let local = "local".parse().unwrap();
    let path = inner.folder.tenant(&local, world.one).unwrap();
    let staged = path.with_extension("rekeyed.db");
    let wrapped = inner.platform.wrapped_keys(world.one).await.unwrap().unwrap();
    let kms = inner.kms.as_ref();
    let next = wrapped.with_new_data_key(kms, world.one, &world.env()).await.unwrap();
    let keys = crate::keys::unwrap(kms, world.one, &local, inner.log_age(FIRST_EPOCH), &next).await.unwrap();
    let handle = world.store().handle_of(world.one).await.unwrap();
    let platform = inner.platform.clone();
    let id = world.one;
    let stop = || Fault::Io("the server stops here".into());
    let stopped = blocking(move || {
        handle.change_keys(
            &staged,
            keys,
            || {
                if !commit {
                    return Err(stop());
                }
                platform.change_data_key(id, &next.data)?;
                if place { Ok(()) } else { Err(stop()) }
            },
            || Err(stop()),
        )
    });
    assert_eq!(stopped.await, Err(stop()));
}

#[test]
fn a_key_change_that_was_cut_short_is_undone_or_finished() {
    for (commit, place) in [(false, false), (true, false), (true, true)] {
        World::<Embedded>::run(async |mut world| {
            for (tenant, word) in world.tenants() {
                let made = async |tenant: Tenant<'_>| {
                    let made = record(1, serde_json::json!({"who": word}));
                    records::create(world.store(), &tenant, made).await.unwrap();
                };
                world.visit(tenant, made).await;
            }
            let name = async |world: &World<Embedded>| {
                let wrapped = world.store().inner().platform.wrapped_keys(world.one).await;
                wrapped.unwrap().unwrap().data.name
            };
            let before = name(&world).await;
            stop_a_key_change(&world, commit, place).await;
            world = world.reopen().await;
            assert_eq!(name(&world).await != before, commit);
            for (tenant, word) in world.tenants() {
                let look = async |tenant: Tenant<'_>| {
                    assert_eq!(records::get(world.store(), &tenant, 1).await.unwrap().data["who"], word);
                    audit_trail::verified(world.store(), &tenant, None).await;
                };
                world.visit(tenant, look).await;
            }
            let wrapped = world.store().inner().platform.wrapped_keys(world.one).await.unwrap().unwrap();
            assert!(!wrapped.changing, "the key from before is still there");
            // And it can be changed again.
            TenantLifecycle::change_data_key(world.store(), &world.operator, world.one).await.unwrap();
            let look = async |tenant: Tenant<'_>| records::get(world.store(), &tenant, 1).await;
            assert!(world.visit(world.one, look).await.is_ok());
        });
    }
}

#[test]
fn a_full_journal_is_folded_into_files_and_shrinks() {
    World::<Embedded>::run(async |world| {
        let journal = world.store().journal(&"local".parse().unwrap()).unwrap();
        let long = "x".repeat(20_000);
        for number in 0..60 {
            let append = async |tenant: Tenant<'_>| {
                let mut draft = store_tests::samples::draft(&tenant, &number.to_string());
                draft.details.insert("why".into(), long.as_str().into());
                store::AuditTrail::append_events(world.store(), &tenant, vec![draft]).await.unwrap();
            };
            world.visit(world.one, append).await;
        }
        assert!(!remains(&world, world.one).0, "nothing has asked for a file yet");
        let before = journal.bytes().unwrap();
        assert!(before > 1 << 20);
        world.store().maintain().await;
        // Forgetting is handed to the journal's writer, which is asked something after it.
        blocking(move || journal.mark(world.one, Vec::new()).map(|()| journal)).await.map(drop).unwrap();
        let journal = world.store().journal(&"local".parse().unwrap()).unwrap();
        assert!(remains(&world, world.one).0);
        assert!(journal.bytes().unwrap() < before / 4);
        let look = async |tenant: Tenant<'_>| {
            let report = audit_trail::verified(world.store(), &tenant, None).await;
            assert_eq!(report.events, audit_trail::FIRST + 60);
        };
        world.visit(world.one, look).await;
    });
}

#[test]
fn a_call_whose_tenant_is_erased_under_it_is_told_that_there_is_none() {
    World::<Embedded>::run(async |world| {
        let (store, tenant) = (world.store(), world.one);
        let handle = store.handle_of(tenant).await.unwrap();
        let reading = || {
            blocking({
                let handle = handle.clone();
                move || handle.checkpoint()
            })
        };
        assert!(store.unless_erased(tenant, reading().await).await.is_ok());
        store.erase(&world.operator, tenant).await.unwrap();
        let late = store.unless_erased(tenant, reading().await).await;
        assert_eq!(late.err(), Some(StoreError::NotFound));
    });
}
