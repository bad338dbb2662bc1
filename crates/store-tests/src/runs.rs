//! Cases about runs: cursors, deliveries, content and lists.

use crate::samples::{commit, id, run, run_id, update};
use crate::{Backend, World, out, page};
use authz::{Role, SystemPrincipal};
use context::{Create, Delete, Read, ReadContent, Tenant, Update, on};
use futures::future::join_all;
use ids::{RunId, WorkflowId};
use serde_json::json;
use std::collections::BTreeSet;
use store::{AuditQuery, AuditTrail, Run, RunStatus, RunStore, StoreError, StoredRun, UnknownDelivery};

fn workflow(number: u8) -> WorkflowId {
    id(number)
}

pub async fn create<S: RunStore>(
    store: &S,
    tenant: &Tenant<'_>,
    stored: StoredRun,
    delivery: Option<&str>,
) -> Result<UnknownDelivery, StoreError> {
    let access = tenant.authorize::<Create<on::Run>>().unwrap();
    let commit = commit(tenant, &stored.run.id.to_string());
    store.create_run(&access, stored, delivery.map(str::to_owned), commit).await
}

pub async fn get<S: RunStore>(store: &S, tenant: &Tenant<'_>, number: u8) -> Result<Run, StoreError> {
    let access = tenant.authorize::<Read<on::Run>>().unwrap();
    Ok(out(tenant, store.run(&access, run_id(number)).await?))
}

async fn load<S: RunStore>(store: &S, tenant: &Tenant<'_>, number: u8) -> Result<StoredRun, StoreError> {
    let access = tenant.authorize::<Update<on::Run>>().unwrap();
    Ok(out(tenant, store.load_run(&access, run_id(number)).await?).0)
}

/// Moves a run on from the given state of it.
pub async fn advance<S: RunStore>(
    store: &S,
    tenant: &Tenant<'_>,
    from: &Run,
    status: RunStatus,
    word: &str,
) -> Result<(), StoreError> {
    let access = tenant.authorize::<Update<on::Run>>().unwrap();
    store.move_run(&access, update(from, status, word), commit(tenant, &from.id.to_string())).await
}

pub async fn kept_for_its_tenant_alone<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let stored = run(1, workflow(1), word);
                let made = create(world.store(), &tenant, stored.clone(), None).await;
                assert_eq!(made, Ok(UnknownDelivery::New));
                assert_eq!(load(world.store(), &tenant, 1).await, Ok(stored));
            })
            .await;
    }
    world
        .visit(world.one, async |tenant| {
            create(world.store(), &tenant, run(2, workflow(1), "anna"), None).await.unwrap();
            advance(world.store(), &tenant, &run(1, workflow(1), "").run, RunStatus::Running, "anna")
                .await
                .unwrap();
        })
        .await;
    world
        .visit(world.two, async |tenant| {
            assert_eq!(get(world.store(), &tenant, 2).await, Err(StoreError::NotFound));
            assert_eq!(load(world.store(), &tenant, 2).await.err(), Some(StoreError::NotFound));
            let foreign = run(2, workflow(1), "").run;
            let moved = advance(world.store(), &tenant, &foreign, RunStatus::Running, "bert").await;
            assert_eq!(moved, Err(StoreError::NotFound));
            let access = tenant.authorize::<Read<on::Run>>().unwrap();
            let steps = world.store().steps(&access, run_id(2)).await;
            assert_eq!(steps.err(), Some(StoreError::NotFound));
            assert_eq!(get(world.store(), &tenant, 1).await.unwrap().status, RunStatus::Queued);
            assert!(out(&tenant, world.store().steps(&access, run_id(1)).await.unwrap()).is_empty());
        })
        .await;
}

pub async fn moved_from_its_cursor_alone<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                create(store, &tenant, run(1, workflow(1), word), None).await.unwrap();
                let first = get(store, &tenant, 1).await.unwrap();
                advance(store, &tenant, &first, RunStatus::Running, word).await.unwrap();
                // A second worker that read the same cursor comes too late.
                let late = advance(store, &tenant, &first, RunStatus::Failed, "late").await;
                assert_eq!(late, Err(StoreError::Stale));
                let second = get(store, &tenant, 1).await.unwrap();
                assert_eq!((second.cursor, second.status), (2, RunStatus::Running));
                advance(store, &tenant, &second, RunStatus::Succeeded, word).await.unwrap();
                let ended = load(store, &tenant, 1).await.unwrap();
                assert_eq!((ended.run.cursor, ended.state), (3, r#"{"at":3}"#.to_owned()));
                assert!(ended.run.finished_at.is_some());
                let nowhere =
                    advance(store, &tenant, &run(9, workflow(1), "").run, RunStatus::Running, "").await;
                assert_eq!(nowhere, Err(StoreError::NotFound));
            })
            .await;
    }
}

/// Moves that come at once may be written together: one that comes too late spoils none of the others.
pub async fn a_late_move_spoils_no_other<B: Backend>(world: World<B>) {
    const RUNS: u8 = 12;
    world
        .visit(world.one, async |tenant| {
            let store = world.store();
            let mut first = Vec::new();
            for number in 1..=RUNS {
                create(store, &tenant, run(number, workflow(1), "anna"), None).await.unwrap();
                first.push(get(store, &tenant, number).await.unwrap());
            }
            advance(store, &tenant, &first[0], RunStatus::Running, "anna").await.unwrap();
            let nowhere = run(RUNS + 1, workflow(1), "").run;
            let all = first.iter().chain([&nowhere]);
            let moved =
                join_all(all.map(|from| advance(store, &tenant, from, RunStatus::Succeeded, "anna"))).await;
            let (others, last) = moved.split_at(RUNS.into());
            assert_eq!((&others[0], &last[0]), (&Err(StoreError::Stale), &Err(StoreError::NotFound)));
            assert!(others[1..].iter().all(Result::is_ok), "{others:?}");
            for number in 1..=RUNS {
                let moved = load(store, &tenant, number).await.unwrap();
                let status = if number == 1 { RunStatus::Running } else { RunStatus::Succeeded };
                assert_eq!((moved.run.cursor, moved.run.status), (2, status));
            }
            // What came of them is in the log, and of the two that came to nothing there is no word.
            for number in 1..=RUNS {
                assert_eq!(events_about(store, &tenant, run_id(number).to_string()).await, 2);
            }
            assert_eq!(events_about(store, &tenant, nowhere.id.to_string()).await, 0);
        })
        .await;
}

pub async fn content_takes_its_own_permission<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                create(world.store(), &tenant, run(1, workflow(1), word), None).await.unwrap();
                let first = get(world.store(), &tenant, 1).await.unwrap();
                advance(world.store(), &tenant, &first, RunStatus::Running, word).await.unwrap();
                let access = tenant.authorize::<ReadContent<on::Run>>().unwrap();
                let content = world.store().steps_with_content(&access, run_id(1)).await.unwrap();
                let (input, steps) = out(&tenant, content);
                assert_eq!(input, json!({"who": word}));
                assert_eq!(steps, [crate::samples::step(2, word)]);
            })
            .await;
    }
    world
        .with_role(world.one, Role::Viewer)
        .await
        .enter(async |tenant| {
            assert!(tenant.authorize::<ReadContent<on::Run>>().is_err());
            let access = tenant.authorize::<Read<on::Run>>().unwrap();
            let steps = out(&tenant, world.store().steps(&access, run_id(1)).await.unwrap());
            assert_eq!(steps.len(), 1);
            assert_eq!((&steps[0].input, &steps[0].output), (&None, &None));
            assert_eq!((steps[0].node.as_str(), steps[0].attempts), ("ask", 1));
        })
        .await;
}

async fn events_about<S: AuditTrail>(store: &S, tenant: &Tenant<'_>, resource: String) -> usize {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    let query = AuditQuery { resource: Some(resource), ..AuditQuery::default() };
    out(tenant, store.events(&access, &query, &page(500, None)).await.unwrap()).data.len()
}

pub async fn a_delivery_makes_one_run<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let deliver = async |number, of, delivery| {
                    create(store, &tenant, run(number, workflow(of), word), Some(delivery)).await
                };
                assert_eq!(deliver(1, 1, "delivery").await, Ok(UnknownDelivery::New));
                assert_eq!(deliver(2, 1, "delivery").await, Ok(UnknownDelivery::Repeated(run_id(1))));
                assert_eq!(get(store, &tenant, 2).await, Err(StoreError::NotFound));
                assert_eq!(events_about(store, &tenant, run_id(2).to_string()).await, 0);
                assert_eq!(deliver(3, 2, "delivery").await, Ok(UnknownDelivery::New));
                assert_eq!(deliver(4, 1, "other").await, Ok(UnknownDelivery::New));
            })
            .await;
    }
}

pub async fn a_delivery_at_once_makes_one_run<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let tries = (1..=16_u8).map(|number| {
                    let stored = run(number, workflow(1), word);
                    create(world.store(), &tenant, stored, Some("delivery"))
                });
                let answers = join_all(tries).await;
                let new = answers.iter().filter(|it| matches!(it, Ok(UnknownDelivery::New))).count();
                assert_eq!(new, 1, "{answers:?}");
                let runs: BTreeSet<RunId> = answers
                    .iter()
                    .filter_map(|answer| match answer {
                        Ok(UnknownDelivery::Repeated(run)) => Some(*run),
                        _ => None,
                    })
                    .collect();
                let access = tenant.authorize::<Read<on::Run>>().unwrap();
                let listed = world.store().runs(&access, None, None, &page(50, None)).await.unwrap();
                let listed: BTreeSet<_> = out(&tenant, listed).data.iter().map(|run| run.id).collect();
                assert_eq!((listed.len(), &listed), (1, &runs));
                let mut events = 0;
                for number in 1..=16 {
                    events += events_about(world.store(), &tenant, run_id(number).to_string()).await;
                }
                assert_eq!(events, 1);
            })
            .await;
    }
}

pub async fn listed_by_workflow_and_status<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                for number in 1..=6 {
                    let stored = run(number, workflow(number % 2), word);
                    create(world.store(), &tenant, stored.clone(), None).await.unwrap();
                    if number > 3 {
                        advance(world.store(), &tenant, &stored.run, RunStatus::Failed, word).await.unwrap();
                    }
                }
            })
            .await;
    }
    world
        .visit(world.one, async |tenant| {
            let access = tenant.authorize::<Read<on::Run>>().unwrap();
            let list = async |of: Option<u8>, status, limit, cursor| {
                let request = page(limit, cursor);
                let found = world.store().runs(&access, of.map(workflow), status, &request).await?;
                let found = out(&tenant, found);
                let ids: Vec<_> = found.data.iter().map(|run| run.id).collect();
                Ok::<_, StoreError>((ids, found.next_cursor))
            };
            let ids = |numbers: &[u8]| numbers.iter().map(|number| run_id(*number)).collect::<Vec<_>>();
            let failed = Some(RunStatus::Failed);
            assert_eq!(list(None, None, 50, None).await.unwrap().0, ids(&[6, 5, 4, 3, 2, 1]));
            assert_eq!(list(Some(1), None, 50, None).await.unwrap().0, ids(&[5, 3, 1]));
            assert_eq!(list(None, failed, 50, None).await.unwrap().0, ids(&[6, 5, 4]));
            assert_eq!(list(Some(0), failed, 50, None).await.unwrap().0, ids(&[6, 4]));
            assert_eq!(list(Some(9), None, 50, None).await.unwrap(), (vec![], None));
            let (first, cursor) = list(None, None, 4, None).await.unwrap();
            assert_eq!(first, ids(&[6, 5, 4, 3]));
            let other = list(None, failed, 4, cursor.clone()).await;
            assert!(matches!(other, Err(StoreError::Invalid(_))), "{other:?}");
            create(world.store(), &tenant, run(9, workflow(1), "anna"), None).await.unwrap();
            assert_eq!(list(None, None, 4, cursor).await.unwrap(), (ids(&[2, 1]), None));
        })
        .await;
}

pub async fn an_id_is_used_once<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                create(world.store(), &tenant, run(1, workflow(1), word), None).await.unwrap();
                for delivery in [None, Some("delivery")] {
                    let twice = create(world.store(), &tenant, run(1, workflow(1), "other"), delivery).await;
                    assert!(matches!(twice, Err(StoreError::Exists(_))), "{twice:?}");
                }
                let kept = load(world.store(), &tenant, 1).await.unwrap();
                assert_eq!(kept.input, json!({"who": word}));
            })
            .await;
    }
}

pub async fn forgotten_with_all_that_belongs_to_them<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                for (number, ends) in [(1, true), (2, false)] {
                    let stored = run(number, workflow(number), word);
                    create(world.store(), &tenant, stored.clone(), Some("delivery")).await.unwrap();
                    let status = if ends { RunStatus::Succeeded } else { RunStatus::Waiting };
                    advance(world.store(), &tenant, &stored.run, status, word).await.unwrap();
                }
            })
            .await;
    }
    let forget = async |before| {
        let retention = world.fixture.system(SystemPrincipal::Retention, world.one).await;
        retention
            .enter(async |tenant| {
                let access = tenant.authorize::<Delete<on::Run>>().unwrap();
                let expected = world.store().forgettable_runs(&access, before).await;
                let forgotten = world.store().forget_runs(&access, before, commit(&tenant, "forget")).await;
                assert_eq!(expected, forgotten);
                forgotten
            })
            .await
    };
    let later = crate::samples::NOW.plus(std::time::Duration::from_secs(1));
    assert_eq!(forget(crate::samples::NOW).await, Ok(0));
    assert_eq!(forget(later).await, Ok(1));
    assert_eq!(forget(later).await, Ok(0));
    let told = async |tenant: Tenant<'_>| {
        let query = AuditQuery { resource: Some("forget".into()), ..AuditQuery::default() };
        crate::audit_trail::list(world.store(), &tenant, &query, 9, None).await.unwrap().0.len()
    };
    assert_eq!(world.visit(world.one, told).await, 1, "nothing was forgotten and it was written down");
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let there = get(world.store(), &tenant, 1).await.is_ok();
                assert_eq!(there, tenant.id() == world.two);
                assert_eq!(get(world.store(), &tenant, 2).await.unwrap().status, RunStatus::Waiting);
                // The delivery was forgotten with its run.
                let again = create(world.store(), &tenant, run(3, workflow(1), word), Some("delivery")).await;
                assert_eq!(again == Ok(UnknownDelivery::New), tenant.id() == world.one);
                let access = tenant.authorize::<Read<on::Run>>().unwrap();
                let steps = out(&tenant, world.store().steps(&access, run_id(2)).await.unwrap());
                assert_eq!(steps.len(), 1);
            })
            .await;
    }
}
