//! The embedded backend and the reference in memory, driven in lockstep: random steps of two tenants, with
//! closing, folding and reopening in between, and every answer the same.

mod steps;

use crate::folder::Embedded;
use context::{Create, Delete, Read, ReadContent, Tenant, Update, on};
use env::Timestamp;
use proptest::prelude::*;
use std::fmt::Debug;
use std::time::Duration;
use steps::{ACTIONS, COSTS, ENDS, FILTERS, GROUPS, Happening, SORTS, STATUSES, Step, data, happening, step};
use store::{
    AuditQuery, CallKind, CollectionSettings, Commit, Erasure, LookBack, PlatformStore as _, RecordChange,
    StoreError, UsageQuery, WorkKind,
};
use store_memory::MemoryStore;
use store_tests::samples::{
    NOW, agent, call, claim, draft, id, object, outcome, record, record_id, run, run_id, update,
};
use store_tests::{Store, World, out, page, records};

/// The answer as text. Of errors only the kind: how they are worded is each backend's own.
fn told<T: Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Exists(_)) => "Exists".into(),
        Err(StoreError::Invalid(_)) => "Invalid".into(),
        Err(other) => format!("{other:?}"),
    }
}

/// Reads a list to its end, page by page.
macro_rules! whole {
    ($tenant:expr, $cursor:ident => $page:expr) => {{
        let (mut all, mut $cursor) = (Vec::new(), None);
        loop {
            match $page.await {
                Ok(found) => {
                    let found = out($tenant, found);
                    all.push(found.data);
                    $cursor = found.next_cursor;
                }
                Err(error) => break Err(error),
            }
            if $cursor.is_none() {
                break Ok(all);
            }
        }
    }};
}

async fn take<S: Store>(store: &S, tenant: &Tenant<'_>, env: &env::Env, step: &Step) -> String {
    let claiming =
        |key: &Option<u8>| Commit::event(draft(tenant, "step")).claiming(key.map(|key| claim(env, key)));
    let commit = || claiming(&None);
    match step {
        Step::CreateRecord { .. }
        | Step::ChangeRecord { .. }
        | Step::DeleteRecord { .. }
        | Step::QueryRecords { .. }
        | Step::Declare { .. } => take_with_records(store, tenant, env, step).await,
        Step::CreateRun { .. } | Step::MoveRun { .. } | Step::LookAtRuns { .. } | Step::ForgetRuns { .. } => {
            take_with_runs(store, tenant, step).await
        }
        Step::BeginCall { number, minutes, claim } => {
            let call = call(*number, CallKind::Model, "small", minutes_ago(*minutes));
            let begun = store.begin_call(tenant, &call, claiming(claim)).await;
            told(begun.map(|ids| ids.len()))
        }
        Step::EndCall { number, status, cost } => {
            let call = call(*number, CallKind::Service, "crm", minutes_ago(5));
            told(store.end_call(tenant, &call, outcome(ENDS[*status], COSTS[*cost]), commit()).await)
        }
        Step::Usage { group } => {
            let access = tenant.authorize::<Read<on::Usage>>().unwrap();
            let (from, to) = (minutes_ago(150), NOW.plus(Duration::from_secs(1)));
            let query = UsageQuery { from, to, group_by: GROUPS[*group].to_vec() };
            let usage = store.usage(&access, &query).await.map(|rows| out(tenant, rows));
            let back =
                LookBack { uses: minutes_ago(60), charges: minutes_ago(120).hour(), moments: minutes_ago(1) };
            let meter = store.meter_state(tenant, back).await;
            told(usage) + &told(meter.map(|state| out(tenant, state)))
        }
        Step::PutAgent { number, name, expected } => {
            let access = tenant.authorize::<Update<on::Agent>>().unwrap();
            let put = store::Objects::put(store, &access, &agent(*number, name), *expected, commit()).await;
            let read = tenant.authorize::<Read<on::Agent>>().unwrap();
            let all = whole!(tenant, cursor =>
                store::Objects::list::<store::Agent>(store, &read, &page(2, cursor.clone())));
            told(put) + &told(all)
        }
        Step::RemoveAgent { number } => {
            let access = tenant.authorize::<Delete<on::Agent>>().unwrap();
            let id = agent(*number, "").id.to_string();
            told(store::Objects::remove::<store::Agent>(store, &access, &id, None, commit()).await)
        }
        Step::Append { count } => {
            let event = |number: usize| {
                let mut event = draft(tenant, &format!("event {number}"));
                event.personal.insert("who".into(), format!("person {}", number % 2));
                event
            };
            told(store.append_events(tenant, (0..*count).map(event).collect()).await.map(|ids| ids.len()))
        }
        Step::Events { action, size } => events(store, tenant, ACTIONS[*action], *size).await,
        Step::Erase { who } => {
            let erasure = Erasure::Value(format!("person {who}"));
            told(store.erase_disclosures(&tenant.authorize().unwrap(), &erasure, Commit::default()).await)
        }
        Step::Remember { key } => {
            let body = tenant.id().to_string().into_bytes();
            told(store.remember(tenant, &claim(env, *key), 200, body).await)
        }
        Step::Remembered { key } => {
            let found = store.remembered(tenant, &claim(env, *key).key, env.now()).await;
            told(found.map(|found| found.map(|found| out(tenant, found))))
        }
    }
}

fn minutes_ago(minutes: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(60 * minutes))
}

async fn events<S: Store>(store: &S, tenant: &Tenant<'_>, action: Option<&str>, size: u32) -> String {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    let query = AuditQuery { action: action.map(str::to_owned), ..AuditQuery::default() };
    let found = whole!(tenant, cursor => store.events(&access, &query, &page(size, cursor.clone())));
    let shown = found.map(|pages| {
        // Ids, salts and hashes are random; the rest is not.
        let show = |event: store::AuditEvent| {
            let view = &event.view;
            let who = view["personal"]["who"].as_str().map(str::to_owned);
            let (action, resource) = (view["action"].clone(), view["resource"]["kind"].clone());
            (event.index, action, resource, who, view["time"].clone())
        };
        pages.into_iter().map(|page| page.into_iter().map(show).collect()).collect::<Vec<Vec<_>>>()
    });
    told(shown)
}

async fn take_with_records<S: Store>(store: &S, tenant: &Tenant<'_>, env: &env::Env, step: &Step) -> String {
    let collection = records::contacts();
    let commit = || Commit::event(draft(tenant, "record"));
    match step {
        Step::CreateRecord { number, data: at, claim: key } => {
            let access = tenant.authorize::<Create<on::Record>>().unwrap();
            let commit = commit().claiming(key.map(|key| claim(env, key)));
            let made = store.create_record(&access, record(*number, data(*at)), commit).await;
            told(made.map(|made| out(tenant, made)))
        }
        Step::ChangeRecord { number, data: at, merge, expected } => {
            let access = tenant.authorize::<Update<on::Record>>().unwrap();
            let data = object(data(*at));
            let change = if *merge { RecordChange::Merge(data) } else { RecordChange::Replace(data) };
            let (id, now) = (record_id(*number), NOW.plus(Duration::from_millis(*at as u64 % 7)));
            let changed =
                store.change_record(&access, &collection, id, change, *expected, now, commit()).await;
            told(changed.map(|changed| out(tenant, changed)))
        }
        Step::DeleteRecord { number, expected } => {
            let access = tenant.authorize::<Delete<on::Record>>().unwrap();
            told(store.delete_record(&access, &collection, record_id(*number), *expected, commit()).await)
        }
        Step::QueryRecords { filter, sort, size } => {
            let access = tenant.authorize::<Read<on::Record>>().unwrap();
            told(whole!(tenant, cursor => {
                let query = records::wanted(FILTERS[*filter], SORTS[*sort], *size, cursor.clone());
                let access = access.clone();
                async move { store.records(&access, &query).await }
            }))
        }
        Step::Declare { indexes } => {
            let access = tenant.authorize::<Update<on::Record>>().unwrap();
            let indexes = indexes.iter().map(|field| (*field).to_owned()).collect();
            let settings = CollectionSettings { indexes, ..Default::default() };
            told(store.declare_collection(&access, &collection, settings, commit()).await)
        }
        other => panic!("{other:?}"),
    }
}

async fn take_with_runs<S: Store>(store: &S, tenant: &Tenant<'_>, step: &Step) -> String {
    let commit = || Commit::event(draft(tenant, "run"));
    match step {
        Step::CreateRun { number, workflow, delivery } => {
            let access = tenant.authorize::<Create<on::Run>>().unwrap();
            let word = tenant.id().to_string();
            let delivery = delivery.map(|number| format!("delivery {number}"));
            let mark =
                store::Mark::Open { kind: WorkKind::Run, id: ids::Id::to_bytes(run_id(*number)), due: None };
            let run = run(*number, id(*workflow), &word);
            told(store.create_run(&access, run, delivery, commit().and_mark(mark)).await)
        }
        Step::MoveRun { number, cursor, status } => {
            let access = tenant.authorize::<Update<on::Run>>().unwrap();
            let from = run(*number, id(0), "").run;
            let from = store::Run { cursor: *cursor, ..from };
            let moved = store.move_run(&access, update(&from, STATUSES[*status], "word"), commit()).await;
            told(moved) + &told(store.load_run(&access, from.id).await.map(|run| out(tenant, run)))
        }
        Step::LookAtRuns { workflow, status, number } => {
            let access = tenant.authorize::<Read<on::Run>>().unwrap();
            let (workflow, status) = (workflow.map(id), status.map(|at| STATUSES[at]));
            let listed =
                whole!(tenant, cursor => store.runs(&access, workflow, status, &page(2, cursor.clone())));
            let steps = store.steps(&access, run_id(*number)).await.map(|steps| out(tenant, steps));
            let content = tenant.authorize::<ReadContent<on::Run>>().unwrap();
            let content = store.steps_with_content(&content, run_id(*number)).await;
            told(listed) + &told(steps) + &told(content.map(|content| out(tenant, content)))
        }
        other => panic!("{other:?}"),
    }
}

/// Forgetting is retention's duty, so it comes in as retention.
async fn forget<S: Store>(world: &World<Embedded>, store: &S, tenant: ids::TenantId, all: bool) -> String {
    let before = if all { NOW.plus(Duration::from_secs(1)) } else { NOW };
    let retention = world.fixture.system(authz::SystemPrincipal::Retention, tenant).await;
    retention
        .enter(async |tenant| {
            let access = tenant.authorize::<Delete<on::Run>>().unwrap();
            told(store.forget_runs(&access, before, Commit::event(draft(&tenant, "forget"))).await)
        })
        .await
}

async fn happen(world: World<Embedded>, happening: &Happening) -> World<Embedded> {
    let idle = async |millis| {
        world.fixture.clock().advance(millis);
        world.store().maintain().await;
    };
    match happening {
        Happening::Nothing => {}
        Happening::Idle => idle(11_000).await,
        Happening::Forgotten => idle(121_000).await,
        Happening::ADayLater => idle(24 * 3_600_000).await,
        Happening::Closed => world.store().close().await,
        Happening::Reopened => return world.reopen().await,
    }
    world
}

async fn in_lockstep(mut world: World<Embedded>, steps: Vec<(usize, Step, Happening)>) {
    let memory = MemoryStore::new("local".parse().unwrap(), world.env());
    for (tenant, _) in world.tenants() {
        let tenant = world.new_tenant(world.row(tenant, None));
        memory.create_tenant(&world.operator, tenant).await.unwrap();
    }
    let env = world.env();
    for (at, (who, step, happening)) in steps.iter().enumerate() {
        world = happen(world, happening).await;
        let (tenant, _) = world.tenants()[*who];
        let store = world.store();
        let (embedded, expected) = if let Step::ForgetRuns { all } = step {
            (forget(&world, store, tenant, *all).await, forget(&world, &memory, tenant, *all).await)
        } else {
            world
                .visit(tenant, async |tenant| {
                    (take(store, &tenant, &env, step).await, take(&memory, &tenant, &env, step).await)
                })
                .await
        };
        assert_eq!(embedded, expected, "step {at}: {step:?}");
        for kind in [WorkKind::Run, WorkKind::Call] {
            use store::WorkIndex as _;
            let sorted = |mut work: Vec<store::PendingWork>| {
                work.sort_by_key(|work| (work.tenant, work.id));
                work
            };
            let (embedded, expected) =
                (store.pending(kind).await.unwrap(), memory.pending(kind).await.unwrap());
            assert_eq!(sorted(embedded), sorted(expected), "step {at}: {step:?}");
        }
    }
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let embedded = store_tests::audit_trail::verified(world.store(), &tenant, None).await;
                let expected = store_tests::audit_trail::verified(&memory, &tenant, None).await;
                assert_eq!(embedded.events, expected.events);
            })
            .await;
    }
}

/// Each case opens a store of its own, so there are a tenth of what proptest would run by itself or by
/// `PROPTEST_CASES`.
fn cases() -> u32 {
    ProptestConfig::default().cases / 10
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_answer_the_same(steps in prop::collection::vec((0..2_usize, step(), happening()), 1..60)) {
        World::<Embedded>::run(async |world| in_lockstep(world, steps).await);
    }
}
