//! Moves of tenants to another kind of home: that everything arrives, also under work and after crashes, that nothing
//! opens at the old place, and that what fails leaves the tenant where it was.

mod crashes;
mod under_work;

use crate::connect;
use crate::homes::{Scene, hex, run, schema};
use crate::policies::token;
use audit::export::Report;
use context::{Create, Delete, Lease, Read, Update, on};
use ids::{Id as _, TenantId, WorkerId};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::{
    AuditTrail as _, CallKind, CallStatus, Claim, CollectionSettings, Commit, IdempotencyStore as _,
    Isolation, Leases as _, Mark, MovePhase, PlatformStore as _, RecordStore as _, RunStatus, RunStore as _,
    StoreError, TenantLifecycle as _, TenantMove, TenantRow, UsageStore as _, Wanted, WorkIndex as _,
    WorkKind,
};
use store_postgres::PostgresStore;
use store_tests::samples::{self, NOW, call, id, outcome, record, record_id, run_id};
use store_tests::{audit_trail, out, records, runs};
use tokio::sync::Notify;
use tokio_postgres::Client;

const TABLES: [&str; 14] = [
    "log_head",
    "audit_event",
    "merkle_node",
    "object",
    "collection",
    "record",
    "record_token",
    "record_range",
    "run",
    "run_part",
    "delivery",
    "call",
    "usage_hour",
    "remembered",
];
const TERM: Duration = Duration::from_secs(60);
/// More steps than a move has.
const ENOUGH: usize = 40;
/// The way through all pairs of kinds.
const WAY: [Isolation; 6] = [
    Isolation::Schema,
    Isolation::Dedicated,
    Isolation::Pooled,
    Isolation::Dedicated,
    Isolation::Schema,
    Isolation::Pooled,
];

/// Stores something of everything for a tenant.
async fn fill(scene: &Scene, tenant: TenantId) {
    let visit = scene.world.visit(tenant, async |tenant| {
        let store = &scene.store;
        let contacts = "contacts".parse().unwrap();
        let access = tenant.authorize::<Update<on::Record>>().unwrap();
        let settings =
            CollectionSettings { indexes: vec!["who".to_owned()], range_indexes: vec!["who".to_owned()] };
        store.declare_collection(&access, &contacts, settings, Commit::default()).await.unwrap();
        for number in 1..=20 {
            let data = json!({"who": format!("anna-{number}"), "text": "x".repeat(3000)});
            records::create(store, &tenant, record(number, data)).await.unwrap();
        }
        for number in 1..=3 {
            let stored = samples::run(number, id(1), "anna");
            let delivery = format!("delivery-{number}");
            runs::create(store, &tenant, stored.clone(), Some(&delivery)).await.unwrap();
            runs::advance(store, &tenant, &stored.run, RunStatus::Running, "anna").await.unwrap();
        }
        let mark = Mark::Open { kind: WorkKind::Run, id: run_id(9).to_bytes(), due: None };
        let marked = Commit::default().and_mark(mark);
        let update = samples::update(&samples::run(9, id(1), "anna").run, RunStatus::Running, "anna");
        let access = tenant.authorize::<Create<on::Run>>().unwrap();
        store.create_run(&access, samples::run(9, id(1), "anna"), None, marked).await.unwrap();
        let access = tenant.authorize::<Update<on::Run>>().unwrap();
        store.move_run(&access, update, Commit::default()).await.unwrap();
        let done = outcome(CallStatus::Settled, "0.25");
        store
            .end_call(&tenant, &call(1, CallKind::Model, "small", NOW), done, Commit::default())
            .await
            .unwrap();
        let claim = samples::claim(&scene.env(), 1);
        let claimed = Commit { claim: Some(claim.clone()), ..Commit::default() };
        let access = tenant.authorize::<Create<on::Record>>().unwrap();
        store.create_record(&access, record(21, json!({"who": "claimed"})), claimed).await.unwrap();
        store.remember(&tenant, &claim, 201, b"{}".to_vec()).await.unwrap();
    });
    visit.await;
}

/// Where a tenant's tables are: the database and the schema.
fn at(scene: &Scene, tenant: TenantId, isolation: Isolation) -> (String, String) {
    let schema = if isolation == Isolation::Pooled { "pooled".to_owned() } else { schema(tenant) };
    (scene.database(tenant, isolation), schema)
}

/// All rows of a tenant in a home, each as text.
async fn rows(scene: &Scene, tenant: TenantId, isolation: Isolation) -> Vec<String> {
    let (database, schema) = at(scene, tenant, isolation);
    let inside = connect(&postgres_instance::address("postgres", &database)).await;
    let work =
        if isolation == Isolation::Pooled { "tenantry.work".to_owned() } else { format!("{schema}.work") };
    let mut all = Vec::new();
    for table in TABLES.map(|table| format!("{schema}.{table}")).into_iter().chain([work]) {
        let name = table.rsplit('.').next().unwrap().to_owned();
        let select =
            format!("SELECT to_jsonb(its)::text FROM {table} AS its WHERE tenant_id = '\\x{}'", hex(tenant));
        let found = inside.query_typed(&select, &[]).await.unwrap();
        all.extend(found.iter().map(|row| format!("{name} {}", row.get::<_, String>(0))));
    }
    all.sort_unstable();
    all
}

/// Whether anything of a tenant is in a home that it is not in.
async fn is_left(scene: &Scene, tenant: TenantId, isolation: Isolation) -> bool {
    let (database, schema) = at(scene, tenant, isolation);
    let (select, values) = match isolation {
        Isolation::Pooled => return rows(scene, tenant, isolation).await.is_empty(),
        Isolation::Dedicated => ("SELECT 1 FROM pg_database WHERE datname = $1", database),
        _ => ("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema),
    };
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 1] =
        [(&values, tokio_postgres::types::Type::TEXT)];
    scene.admin.query_typed(select, &values).await.unwrap().is_empty()
}

async fn ended(scene: &Scene, tenant: TenantId) -> TenantMove {
    for _ in 0..2000 {
        let last = scene.store.tenant_move(scene.operator(), tenant).await.unwrap().unwrap();
        if last.phase.has_ended() {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the move did not end: {:?}", scene.store.tenant_move(scene.operator(), tenant).await);
}

/// Moves a tenant to its end.
async fn moved(scene: &Scene, tenant: TenantId, to: Isolation) -> TenantMove {
    let asked = scene.store.move_tenant(scene.operator(), tenant, to).await.unwrap();
    assert_eq!((asked.to, asked.phase), (to, MovePhase::Waiting));
    ended(scene, tenant).await
}

async fn isolation(scene: &Scene, tenant: TenantId) -> Isolation {
    scene.store.tenant(scene.operator(), tenant).await.unwrap().isolation
}

/// The log from its beginning, which must have grown from an earlier checkpoint.
async fn verified(scene: &Scene, store: &PostgresStore, tenant: TenantId, earlier: Option<&str>) -> Report {
    scene.world.visit(tenant, async |tenant| audit_trail::verified(store, &tenant, earlier).await).await
}

async fn checkpoint(scene: &Scene, tenant: TenantId) -> String {
    let visit = scene.world.visit(tenant, async |tenant| {
        let access = tenant.authorize::<Read<on::Audit>>().unwrap();
        out(&tenant, scene.store.checkpoint(&access).await.unwrap())
    });
    visit.await
}

/// Serves until so many steps are done, or the move has ended or waits. Whether it came to a stop.
async fn stopped_after(scene: &Scene, tenant: TenantId, steps: usize) -> bool {
    let stopped = Arc::new(Notify::new());
    let provisioner = scene.place().provisioner(&scene.env()).stopping_after(steps, stopped.clone());
    loop {
        tokio::select! {
            served = provisioner.run_once() => drop(served.unwrap()),
            () = stopped.notified() => return true,
        }
        if scene.store.tenant_move(scene.operator(), tenant).await.unwrap().unwrap().phase.has_ended() {
            return false;
        }
        // The one before holds the row until the database has noticed that it is gone.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn phase(scene: &Scene, tenant: TenantId) -> MovePhase {
    scene.store.tenant_move(scene.operator(), tenant).await.unwrap().unwrap().phase
}

/// Serves, a step further each time, until the move has come to a phase.
async fn served_until(scene: &Scene, tenant: TenantId, wanted: MovePhase) {
    let (mut steps, mut last) = (0, MovePhase::Waiting);
    while last != wanted {
        assert!(stopped_after(scene, tenant, steps).await && steps < ENOUGH, "{last:?}");
        let now = phase(scene, tenant).await;
        steps = if now == last { steps + 1 } else { 0 };
        last = now;
    }
}

/// Serves until the move has ended.
async fn served(scene: &Scene, tenant: TenantId) -> TenantMove {
    assert!(!stopped_after(scene, tenant, usize::MAX).await);
    ended(scene, tenant).await
}

async fn until(there: impl AsyncFn() -> bool) {
    for _ in 0..800 {
        if there().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come");
}

#[test]
fn everything_arrives_by_every_way_and_nothing_stays_behind() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let (tenant, other) = (scene.world.one, scene.world.two);
        fill(&scene, tenant).await;
        fill(&scene, other).await;
        let others = rows(&scene, other, Isolation::Pooled).await;
        let mut from = Isolation::Pooled;
        for (number, to) in (30u8..).zip(WAY) {
            let (before, earlier) = (rows(&scene, tenant, from).await, checkpoint(&scene, tenant).await);
            assert!(before.len() > 60, "{}", before.len());
            let last = moved(&scene, tenant, to).await;
            assert_eq!(
                (last.from, last.to, last.phase, &last.error),
                (from, to, MovePhase::Done, &None),
                "{last:?}"
            );
            assert!(last.paused.unwrap() < Duration::from_secs(2), "{last:?}");
            assert_eq!(isolation(&scene, tenant).await, to);
            assert_eq!(rows(&scene, tenant, to).await, before, "{from} to {to}");
            assert!(is_left(&scene, tenant, from).await, "{from} to {to}");
            // It goes on there, as the one log that it was.
            verified(&scene, &scene.store, tenant, Some(&earlier)).await;
            let write = scene.world.visit(tenant, async |tenant| {
                records::create(&scene.store, &tenant, record(number, json!({"who": "later"}))).await
            });
            write.await.unwrap();
            verified(&scene, &scene.store, tenant, Some(&earlier)).await;
            assert!(
                scene.store.footing(9).await.unwrap().holds(),
                "{}",
                scene.store.footing(9).await.unwrap()
            );
            from = to;
        }
        assert_eq!(rows(&scene, other, Isolation::Pooled).await, others);
        assert_eq!(scene.left(tenant).await, 0);
        // What is pooled for good can be erased as it is.
        scene.store.erase(scene.operator(), tenant).await.unwrap();
        assert!(rows(&scene, tenant, Isolation::Pooled).await.is_empty());
    });
}

/// How many records a role sees with a right token, and whether it can write one.
async fn reach(role: &Client, keys: &Client, tenant: TenantId, schema: &str) -> (i64, bool) {
    let token = token(keys, tenant, 30_000).await;
    role.batch_execute(&format!("BEGIN; SELECT set_config('tenantry.tenant', '{token}', true)"))
        .await
        .unwrap();
    let count = format!("SELECT count(*) FROM {schema}.record");
    let count = role.query_typed_one(&count, &[]).await.unwrap().get(0);
    let put = format!(
        "INSERT INTO {schema}.record(tenant_id, collection, id, created_at, updated_at, version, data)
         VALUES('\\x{}', 'c', 'planted', 1, 1, 1, '')",
        hex(tenant)
    );
    let put = role.batch_execute(&put).await;
    role.batch_execute("ROLLBACK").await.unwrap();
    (count, put.is_ok())
}

#[test]
fn nothing_opens_at_the_place_that_a_tenant_has_left() {
    run(async {
        let scene = Scene::set().await;
        let tenant = scene.world.one;
        fill(&scene, tenant).await;
        let server = connect(&scene.place().url()).await;
        let mut from = Isolation::Pooled;
        for to in WAY {
            let (database, home) = at(&scene, tenant, from);
            let keys = connect(&postgres_instance::address("postgres", &database)).await;
            let own;
            let role = if from == Isolation::Pooled {
                &server
            } else {
                own = scene.tenant(tenant, from).await;
                &own
            };
            assert_eq!(reach(role, &keys, tenant, &home).await, (21, true), "{from}");
            scene.store.move_tenant(scene.operator(), tenant, to).await.unwrap();
            let provisioner = scene.place().provisioner(&scene.env());
            until(async || provisioner.run_once().await.unwrap()).await;
            assert_eq!(phase(&scene, tenant).await, MovePhase::Removing);
            // All is there still, with a right token and a role that could read it before, and cannot any more.
            assert!(rows(&scene, tenant, from).await.len() > 60);
            assert_eq!(reach(role, &keys, tenant, &home).await, (0, false), "{from} to {to}");
            let seen = reach(&server, &scene.admin, scene.world.two, "pooled").await;
            assert_eq!(seen, (0, true), "the neighbour");
            assert_eq!(served(&scene, tenant).await.phase, MovePhase::Done);
            from = to;
        }
    });
}

#[test]
fn a_move_that_is_none_is_refused_and_an_older_row_of_the_tenant_is_stale() {
    run(async {
        let scene = Scene::set().await;
        let (tenant, operator) = (scene.world.one, scene.operator());
        let asked = async |tenant, to| scene.store.move_tenant(operator, tenant, to).await.map(drop);
        assert_eq!(scene.store.tenant_move(operator, tenant).await, Ok(None));
        assert_eq!(asked(tenant, Isolation::Embedded).await, Err(StoreError::IsolationUnavailable));
        assert!(matches!(asked(tenant, Isolation::Pooled).await, Err(StoreError::Exists(_))));
        assert_eq!(asked(scene.env().id(), Isolation::Schema).await, Err(StoreError::NotFound));
        assert_eq!(asked(tenant, Isolation::Schema).await, Ok(()));
        assert!(matches!(asked(tenant, Isolation::Dedicated).await, Err(StoreError::Exists(_))));
        let row = scene.store.tenant(operator, tenant).await.unwrap();
        assert_eq!((row.isolation, phase(&scene, tenant).await), (Isolation::Pooled, MovePhase::Waiting));
        assert_eq!(served(&scene, tenant).await.phase, MovePhase::Done);
        let changed = TenantRow { name: "Other".into(), ..row };
        assert_eq!(scene.store.update_tenant(operator, changed).await, Err(StoreError::Stale));
        assert_eq!(isolation(&scene, tenant).await, Isolation::Schema);
    });
}
