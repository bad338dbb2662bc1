//! Backups: the same tenant's come back, and nothing else is let in.

use crate::samples::{NOW, agent, call, id, outcome, record, run, run_id, update};
use crate::usage::usage;
use crate::{Backend, World, audit_trail, out, records, runs};
use authz::{Role, Scopes};
use context::{Create, Delete, Update, on};
use futures::join;
use ids::{Id, KeyId};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use store::{
    Agent, ApiKeyRecord, AuditTrail, CallKind, CallStatus, Commit, Mark, Objects, PageRequest, PlatformStore,
    RestoreOptions, RunStatus, RunStore, StoreError, TenantLifecycle, UsageStore, WorkIndex, WorkKind,
};
use tempfile::TempDir;

const AS_IT_IS: RestoreOptions = RestoreOptions { allow_older: false, accept_loss: false };
const OLDER_TOO: RestoreOptions = RestoreOptions { allow_older: true, accept_loss: false };

async fn fill<B: Backend>(world: &World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                records::create(world.store(), &tenant, record(1, json!({"who": word}))).await.unwrap();
            })
            .await;
    }
}

async fn back_up<B: Backend>(world: &World<B>, tenant: ids::TenantId, folder: &Path, name: &str) -> PathBuf {
    let target = folder.join(name);
    world.store().backup(&world.operator, tenant, &target).await.unwrap();
    target
}

async fn restore<B: Backend>(
    world: &World<B>,
    tenant: ids::TenantId,
    source: &Path,
    options: RestoreOptions,
) -> Result<store::Restored, StoreError> {
    world.store().restore(&world.operator, tenant, source.to_owned(), options).await
}

/// The records of both tenants that are there: the number and the word of each.
async fn present<B: Backend>(world: &World<B>) -> Vec<(u8, String)> {
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

async fn refuse<B: Backend>(world: &World<B>, source: &Path, options: RestoreOptions) {
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
            let erased = store.erase_disclosures(&tenant, "personal.email", "ada@example.com").await;
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
            let erased = store.erase_disclosures(&tenant, "personal.email", "ada@example.com").await;
            assert_eq!(erased, Ok(0), "what was erased came back");
        })
        .await;
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

/// The ids of the agents and of the keys that are there.
async fn named<B: Backend>(world: &World<B>) -> (Vec<String>, Vec<String>) {
    world
        .visit(world.one, async |tenant| {
            let (agents, keys) = (tenant.authorize().unwrap(), tenant.authorize().unwrap());
            let store = world.store();
            let agents = store.list::<Agent>(&agents, &PageRequest::largest()).await.unwrap();
            let keys = store.list::<ApiKeyRecord>(&keys, &PageRequest::largest()).await.unwrap();
            let agents = out(&tenant, agents).data.into_iter().map(|(agent, _)| agent.name).collect();
            (agents, out(&tenant, keys).data.into_iter().map(|(key, _)| key.name).collect())
        })
        .await
}

async fn make_key<B: Backend>(world: &World<B>, number: u8, name: &str) {
    world
        .visit(world.one, async |tenant| {
            let store = world.store();
            let key = ApiKeyRecord {
                id: id(number),
                name: name.into(),
                role: Role::Viewer,
                scopes: Scopes::everything(),
                agent: Some(id(number)),
                created_by: "key_1".into(),
                created_at: NOW,
                expires_at: None,
                revoked_at: None,
            };
            let access = tenant.authorize::<Create<on::Agent>>().unwrap();
            store.create(&access, &agent(number, name), Commit::default()).await.unwrap();
            let access = tenant.authorize::<Create<on::ApiKey>>().unwrap();
            store.create(&access, &key, Commit::default()).await.unwrap();
        })
        .await;
}

pub async fn keys_are_as_they_were_before_the_restore<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    let folder = TempDir::new().unwrap();
    make_key(&world, 1, "revoked since").await;
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    make_key(&world, 2, "made since").await;
    world
        .visit(world.one, async |tenant| {
            let access = tenant.authorize::<Delete<on::ApiKey>>().unwrap();
            let id = id::<KeyId>(1).to_string();
            world.store().remove::<ApiKeyRecord>(&access, &id, Commit::default()).await.unwrap();
        })
        .await;
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
    let world = world.reopen_if_it_survives().await;
    let (agents, mut keys) = named(&world).await;
    keys.sort();
    assert_eq!(keys, ["first", "made since"]);
    // A key that is there names an agent that is there.
    assert_eq!(agents, ["revoked since", "made since"]);
}

/// Moves the run on, with the mark that its status asks for.
async fn end_run<B: Backend>(world: &World<B>, number: u8) {
    world
        .visit(world.one, async |tenant| {
            let access = tenant.authorize::<Update<on::Run>>().unwrap();
            let from = runs::get(world.store(), &tenant, number).await.unwrap();
            let mark = Mark::Closed { kind: WorkKind::Run, id: from.id.to_bytes() };
            let update = update(&from, RunStatus::Succeeded, "anna");
            world.store().move_run(&access, update, Commit::default().and_mark(mark)).await.unwrap();
        })
        .await;
}

async fn begin_run<B: Backend>(world: &World<B>, tenant: ids::TenantId, number: u8) {
    world
        .visit(tenant, async |tenant| {
            let access = tenant.authorize::<Create<on::Run>>().unwrap();
            let stored = run(number, id(9), "anna");
            let mark = Mark::Open { kind: WorkKind::Run, id: stored.run.id.to_bytes(), due: None };
            let commit = Commit::default().and_mark(mark);
            world.store().create_run(&access, stored, None, commit).await.unwrap();
        })
        .await;
}

pub async fn runs_that_come_back_are_marked<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    let folder = TempDir::new().unwrap();
    begin_run(&world, world.one, 1).await;
    begin_run(&world, world.two, 3).await;
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    end_run(&world, 1).await;
    begin_run(&world, world.one, 2).await;
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
    let world = world.reopen_if_it_survives().await;
    let pending = world.store().pending(WorkKind::Run).await.unwrap();
    let pending: Vec<_> = pending.into_iter().map(|work| (work.tenant, work.id)).collect();
    assert_eq!(pending, [(world.one, run_id(1).to_bytes()), (world.two, run_id(3).to_bytes())]);
}

pub async fn whole_while_it_is_written<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    let folder = TempDir::new().unwrap();
    let writing = async {
        for number in 0..120 {
            world
                .visit(world.one, async |tenant| {
                    records::create(world.store(), &tenant, record(number, json!({}))).await.unwrap();
                })
                .await;
        }
    };
    let backing_up = async {
        // Two at once, as when a job and a person ask for one at the same time.
        for round in 0..4 {
            let (first, second) = (format!("{round} a"), format!("{round} b"));
            let both = join!(
                back_up(&world, world.one, folder.path(), &first),
                back_up(&world, world.one, folder.path(), &second)
            );
            drop(both);
        }
    };
    join!(writing, backing_up);
    for entry in fs::read_dir(folder.path()).unwrap() {
        restore(&world, world.one, &entry.unwrap().path(), OLDER_TOO).await.unwrap();
        world
            .visit(world.one, async |tenant| {
                let there = async |number| records::get(world.store(), &tenant, number).await.is_ok();
                let mut ended = false;
                for number in 0..120 {
                    let found = there(number).await;
                    assert!(!(ended && found), "record {number} is there and an earlier one is not");
                    ended |= !found;
                }
                audit_trail::verified(world.store(), &tenant, None).await;
            })
            .await;
    }
}

pub async fn a_new_data_key_loses_nothing_and_opens_no_older_backup<B: Backend>(world: World<B>) {
    fill(&world).await;
    let folder = TempDir::new().unwrap();
    let older = match B::BACKS_UP {
        true => Some(back_up(&world, world.one, folder.path(), "older").await),
        false => None,
    };
    let (keys, there) = (crate::keys::all(&world).await, present(&world).await);
    let before = world
        .visit(world.one, async |tenant| {
            audit_trail::append(world.store(), &tenant, &["before"]).await;
            audit_trail::checkpoint(world.store(), &tenant).await.note().to_string()
        })
        .await;
    for _ in 0..2 {
        world.store().change_data_key(&world.operator, world.one).await.unwrap();
    }
    let world = world.reopen_if_it_survives().await;
    assert_eq!(present(&world).await, there);
    assert_eq!(crate::keys::all(&world).await, keys, "what the layers above sealed opens no more");
    world
        .visit(world.one, async |tenant| {
            records::create(world.store(), &tenant, record(2, json!({"who": "anna"}))).await.unwrap();
            audit_trail::verified(world.store(), &tenant, Some(&before)).await;
        })
        .await;
    if let Some(older) = older {
        refuse(&world, &older, OLDER_TOO).await;
        let newer = back_up(&world, world.one, folder.path(), "newer").await;
        restore(&world, world.one, &newer, AS_IT_IS).await.unwrap();
    }
    let nobody = world.store().change_data_key(&world.operator, id(99)).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
}
