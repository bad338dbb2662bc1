//! Backups: the same tenant's come back, and nothing else is let in.

use crate::samples::{NOW, call, outcome, record};
use crate::usage::usage;
use crate::{Backend, World, audit_trail, records};
use context::Tenant;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use store::{
    AuditTrail, CallKind, CallStatus, Commit, Erasure, PlatformStore, RestoreOptions, StoreError,
    TenantLifecycle, UsageStore,
};
use tempfile::TempDir;

pub(crate) const AS_IT_IS: RestoreOptions = RestoreOptions { allow_older: false, accept_loss: false };
pub(crate) const OLDER_TOO: RestoreOptions = RestoreOptions { allow_older: true, accept_loss: false };

pub(crate) async fn fill<B: Backend>(world: &World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                records::create(world.store(), &tenant, record(1, json!({"who": word}))).await.unwrap();
            })
            .await;
    }
}

pub(crate) async fn back_up<B: Backend>(
    world: &World<B>,
    tenant: ids::TenantId,
    folder: &Path,
    name: &str,
) -> PathBuf {
    let target = folder.join(name);
    world.store().backup(&world.operator, tenant, &target).await.unwrap();
    target
}

pub(crate) async fn restore<B: Backend>(
    world: &World<B>,
    tenant: ids::TenantId,
    source: &Path,
    options: RestoreOptions,
) -> Result<store::Restored, StoreError> {
    world.store().restore(&world.operator, tenant, source.to_owned(), options).await
}

/// The records of both tenants that are there: the number and the word of each.
pub(crate) async fn present<B: Backend>(world: &World<B>) -> Vec<(u8, String)> {
    let mut all = Vec::new();
    for (tenant, _) in world.tenants() {
        for number in 1..=3 {
            let found =
                world.visit(tenant, async |tenant| records::get(world.store(), &tenant, number).await).await;
            if let Ok(record) = found {
                all.push((number, record.data["who"].as_str().unwrap().to_owned()));
            }
        }
    }
    all
}

pub(crate) async fn refuse<B: Backend>(world: &World<B>, source: &Path, options: RestoreOptions) {
    let before = present(world).await;
    let refused = restore(world, world.one, source, options).await;
    assert!(matches!(refused, Err(StoreError::BackupRefused(_))), "{refused:?}");
    assert_eq!(present(world).await, before);
}

async fn add<B: Backend>(world: &World<B>, number: u8) {
    world
        .visit(world.one, async |tenant| {
            records::create(world.store(), &tenant, record(number, json!({"who": "later"}))).await.unwrap();
        })
        .await;
}

pub async fn what_was_backed_up_comes_back<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    add(&world, 2).await;
    let generation = world.store().tenant(&world.operator, world.one).await.unwrap().generation;
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
    let pair = |number, word: &str| (number, word.to_owned());
    assert_eq!(present(&world).await, [pair(1, "anna"), pair(1, "bert")]);
    let row = world.store().tenant(&world.operator, world.one).await.unwrap();
    assert_eq!(row.generation, generation + 1);
    // It is a store like any other, also after the next start.
    add(&world, 3).await;
    let world = world.reopen_if_it_survives().await;
    assert_eq!(present(&world).await, [pair(1, "anna"), pair(3, "later"), pair(1, "bert")]);
}

pub async fn audit_and_usage_cannot_be_taken_back<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let store = world.store();
    let settle = async |number, status, cost| {
        world
            .visit(world.one, async |tenant| {
                let call = call(number, CallKind::Model, "small", NOW);
                store.end_call(&tenant, &call, outcome(status, cost), Commit::default()).await.unwrap();
            })
            .await;
    };
    let mut personal = world
        .visit(world.one, async |tenant| {
            for number in [1, 2] {
                let call = call(number, CallKind::Model, "small", NOW);
                store.begin_call(&tenant, &call, Commit::default()).await.unwrap();
            }
            crate::samples::draft(&tenant, "personal")
        })
        .await;
    personal.personal.insert("email".into(), "ada@example.com".into());
    world.visit(world.one, async |tenant| store.append_events(&tenant, vec![personal]).await.unwrap()).await;
    settle(1, CallStatus::Settled, "0.1").await;
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    settle(2, CallStatus::Settled, "0.2").await;
    let before = world
        .visit(world.one, async |tenant| {
            let erased = erase(store, &tenant, "ada@example.com").await;
            assert_eq!(erased, Ok(1));
            audit_trail::append(store, &tenant, &["after the backup"]).await;
            audit_trail::checkpoint(store, &tenant).await
        })
        .await;
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
    let world = world.reopen_if_it_survives().await;
    world
        .visit(world.one, async |tenant| {
            let store = world.store();
            assert_eq!(usage(store, &tenant, &[]).await[0].cost_usd, "0.3".parse().unwrap());
            let after = audit_trail::checkpoint(store, &tenant).await;
            assert_eq!(after.checkpoint(), before.checkpoint());
            audit_trail::append(store, &tenant, &["after the restore"]).await;
            let earlier = before.note().to_string();
            let report = audit_trail::verified(store, &tenant, Some(&earlier)).await;
            assert_eq!(report.events, before.checkpoint().size + 1);
            let erased = erase(store, &tenant, "ada@example.com").await;
            assert_eq!(erased, Ok(0), "what was erased came back");
        })
        .await;
}

async fn erase(store: &impl AuditTrail, tenant: &Tenant<'_>, value: &str) -> Result<u64, StoreError> {
    let access = tenant.authorize().unwrap();
    store.erase_disclosures(&access, &Erasure::Value(value.to_owned()), Commit::default()).await
}

pub async fn another_tenants_backup_is_refused<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let foreign = back_up(&world, world.two, folder.path(), "foreign").await;
    refuse(&world, &foreign, OLDER_TOO).await;
    // Its own name on the other's content.
    let own = back_up(&world, world.one, folder.path(), "own").await;
    let mut bytes = fs::read(&foreign).unwrap();
    let (one, two) = (world.one.to_string(), world.two.to_string());
    let places: Vec<_> =
        (0..bytes.len() - two.len()).filter(|at| bytes[*at..].starts_with(two.as_bytes())).collect();
    for at in &places {
        bytes[*at..*at + one.len()].copy_from_slice(one.as_bytes());
    }
    assert!(!places.is_empty());
    fs::write(&foreign, bytes).unwrap();
    refuse(&world, &foreign, OLDER_TOO).await;
    restore(&world, world.one, &own, AS_IT_IS).await.unwrap();
}

pub async fn an_altered_backup_is_refused<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    let whole = fs::read(&backup).unwrap();
    let altered = folder.path().join("altered");
    let step = whole.len() / 40;
    for at in (0..64).chain((64..whole.len()).step_by(step)).chain(whole.len() - 20..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        fs::write(&altered, bytes).unwrap();
        refuse(&world, &altered, AS_IT_IS).await;
    }
    for length in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        fs::write(&altered, &whole[..length]).unwrap();
        refuse(&world, &altered, AS_IT_IS).await;
    }
    fs::write(&altered, [&whole[..], b"more"].concat()).unwrap();
    refuse(&world, &altered, AS_IT_IS).await;
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
}

pub async fn an_older_backup_is_refused_unless_allowed<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let first = back_up(&world, world.one, folder.path(), "first").await;
    add(&world, 2).await;
    let second = back_up(&world, world.one, folder.path(), "second").await;
    restore(&world, world.one, &second, AS_IT_IS).await.unwrap();
    refuse(&world, &first, AS_IT_IS).await;
    refuse(&world, &second, AS_IT_IS).await;
    restore(&world, world.one, &first, OLDER_TOO).await.unwrap();
    assert_eq!(present(&world).await.len(), 2);
}

pub async fn a_target_is_never_overwritten<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("there");
    fs::write(&target, "something else").unwrap();
    assert!(world.store().backup(&world.operator, world.one, &target).await.is_err());
    assert_eq!(fs::read(&target).unwrap(), b"something else");
    let missing = restore(&world, world.one, &folder.path().join("missing"), AS_IT_IS).await;
    assert!(missing.is_err());
    assert_eq!(present(&world).await.len(), 2);
}
