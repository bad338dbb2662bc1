//! What a restore must not take back, what runs on, and what a change of the data key leaves as it was.

use crate::backups::{AS_IT_IS, OLDER_TOO, back_up, fill, present, refuse, restore};
use crate::samples::{NOW, agent, id, record, run, run_id, update};
use crate::{Backend, World, audit_trail, out, records, runs};
use authz::{Role, Scopes};
use context::{Create, Delete, Update, on};
use futures::join;
use ids::{Id, KeyId};
use serde_json::json;
use std::fs;
use store::{
    Agent, ApiKeyRecord, Commit, Mark, Objects, PageRequest, RunStatus, RunStore, StoreError,
    TenantLifecycle, WorkIndex, WorkKind,
};
use tempfile::TempDir;

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
            world.store().remove::<ApiKeyRecord>(&access, &id, None, Commit::default()).await.unwrap();
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

/// Moves the first run on from there, and says where it is then.
async fn move_on<B: Backend>(world: &World<B>, from: &store::Run) -> Result<store::Run, StoreError> {
    world
        .visit(world.one, async |tenant| {
            runs::advance(world.store(), &tenant, from, RunStatus::Running, "anna").await?;
            runs::get(world.store(), &tenant, 1).await
        })
        .await
}

pub async fn runs_move_on_from_where_the_backup_has_them<B: Backend>(world: World<B>) {
    if !B::BACKS_UP {
        return;
    }
    let folder = TempDir::new().unwrap();
    begin_run(&world, world.one, 1).await;
    let at_the_backup = move_on(&world, &run(1, id(9), "").run).await.unwrap();
    let backup = back_up(&world, world.one, folder.path(), "backup").await;
    let since = move_on(&world, &move_on(&world, &at_the_backup).await.unwrap()).await.unwrap();
    assert_eq!((at_the_backup.cursor, since.cursor), (2, 4));
    restore(&world, world.one, &backup, AS_IT_IS).await.unwrap();
    // Whoever drove it on from there drives a run that is no more.
    assert_eq!(move_on(&world, &since).await, Err(StoreError::Stale));
    assert_eq!(move_on(&world, &at_the_backup).await.unwrap().cursor, 3);
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
