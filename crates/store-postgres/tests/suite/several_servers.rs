//! Several servers on one database: what one changes holds on the others soon, whatever they remember.

use crate::homes::{Scene, run, schema};
use context::{Create, CredentialIndex as _, IndexedSubject, KeyedHash, TenantStatus, on};
use ids::{HookId, Id as _, Slug, TenantId, WorkerId, WorkflowId};
use metering::plan::{Limits, Plan};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use store::{
    Claim, Commit, Isolation, Leases as _, Mark, PlatformStore as _, RestoreOptions, RunStore as _,
    TenantLifecycle as _, TenantRow, Wanted, WorkKind,
};
use store_postgres::{PostgresStore, Settings};
use store_tests::samples;

const TERM: Duration = Duration::from_secs(60);
const HASH: KeyedHash = KeyedHash([3; 32]);

/// How long it takes until something no longer holds.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
async fn until(over: impl AsyncFn() -> bool) -> Duration {
    let begun = Instant::now();
    while !over().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[test]
fn what_one_server_revokes_and_changes_holds_on_another_within_a_second() {
    run(async {
        let scene = Scene::set().await;
        let (here, there): (&PostgresStore, &PostgresStore) = (&scene.store, scene.world.store());
        let (tenant, operator) = (scene.world.one, scene.operator());
        let id = HookId::from_bytes([4; 16]);
        let hook = IndexedSubject::Hook { id, workflow: WorkflowId::from_bytes([5; 16]) };
        let visit = scene.world.visit(tenant, async |visit| {
            here.index_credential(&visit, HASH, hook.clone(), None).await.unwrap();
        });
        visit.await;
        assert!(there.find(&HASH).await.unwrap().is_some());

        let row = here.tenant(operator, tenant).await.unwrap();
        here.update_tenant(operator, TenantRow { status: TenantStatus::Suspended, ..row }).await.unwrap();
        let status = async || there.find(&HASH).await.unwrap().unwrap().tenant.unwrap().status;
        assert!(until(async || status().await == TenantStatus::Suspended).await < Duration::from_secs(1));
        let standing = there.standing(tenant).await.unwrap().unwrap();
        assert_eq!(standing.status, TenantStatus::Suspended);

        let row = here.tenant(operator, tenant).await.unwrap();
        here.update_tenant(operator, TenantRow { status: TenantStatus::Active, ..row }).await.unwrap();
        until(async || status().await == TenantStatus::Active).await;
        let revoked = scene.world.visit(tenant, async |visit| {
            here.revoke_credential(&visit, &id.to_string()).await.unwrap();
        });
        revoked.await;
        assert!(here.find(&HASH).await.unwrap().is_none());
        let gone = async || there.find(&HASH).await.unwrap().is_none();
        assert!(until(gone).await < Duration::from_secs(1));
    });
}

/// A home of a tenant's own that hangs costs that tenant its leases, and nobody else.
#[test]
fn a_home_that_hangs_costs_no_other_tenant_its_runs() {
    run(async {
        let scene = Scene::set().await;
        let provisioner = scene.place().provisioner(&scene.env());
        let made = scene.create(Isolation::Schema);
        let own = tokio::select! {
            made = made => made.unwrap(),
            () = provisioner.serve(std::future::pending()) => panic!("it never ends"),
        };
        let (store, worker) = (&scene.store, WorkerId::from_bytes([6; 16]));
        let mut held = Vec::new();
        for tenant in [own, scene.world.one] {
            begin_run(&scene, tenant).await;
            let wanted = wanted(tenant);
            let claims = store.claim(worker, &[wanted], 0, TERM).await.unwrap();
            let [Claim::Held(lease)] = claims[..] else { panic!("{claims:?}") };
            held.push((tenant, lease));
        }
        let table = format!("{}.work", schema(own));
        scene
            .admin
            .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await
            .unwrap();
        let asked = async {
            assert_eq!(store.renew(&held, TERM).await, Ok(vec![held[0].1]));
            let wanted: Vec<_> = held.iter().map(|(tenant, _)| wanted(*tenant)).collect();
            assert_eq!(store.claim(worker, &wanted, 0, TERM).await, Ok(vec![Claim::Taken; 2]));
            store.release(&held).await.unwrap();
            let claims = store.claim(worker, &wanted, 0, TERM).await.unwrap();
            assert!(matches!(claims[..], [Claim::Taken, Claim::Held(_)]), "{claims:?}");
        };
        tokio::time::timeout(Duration::from_secs(8), asked).await.expect("nobody waits for it");
    });
}

fn wanted(tenant: TenantId) -> Wanted {
    Wanted { tenant, run: samples::run_id(1), at_once: 9, weight: NonZeroU32::MIN, certain: true }
}

/// Makes a run of a tenant's that is under way.
async fn begin_run(scene: &Scene, tenant: TenantId) {
    begin_one(scene, tenant, 1).await;
}

async fn begin_one(scene: &Scene, tenant: TenantId, number: u8) {
    let mark = Mark::Open { kind: WorkKind::Run, id: samples::run_id(number).to_bytes(), due: None };
    let begun = scene.world.fixture.owner(tenant).await.enter(async |tenant| {
        let access = tenant.authorize::<Create<on::Run>>().unwrap();
        let run = samples::run(number, samples::id(1), "anna");
        scene.store.create_run(&access, run, None, Commit::default().and_mark(mark)).await
    });
    begun.await.unwrap();
}

// Whoever changes the row of a run at that moment, as a renewal of its lease does, keeps it from nobody's sight.
#[test]
fn a_run_that_is_over_is_marked_no_more_whoever_changes_the_mark() {
    run(async {
        let scene = Scene::set().await;
        let tenant = scene.world.one;
        begin_run(&scene, tenant).await;
        begin_one(&scene, tenant, 2).await;
        let left = "SELECT count(*) FROM tenantry.work WHERE kind = 'run'";
        let renewing = "BEGIN; UPDATE tenantry.work SET held_until = clock_timestamp() WHERE kind = 'run'";
        scene.admin.batch_execute(renewing).await.unwrap();
        let over = Mark::Closed { kind: WorkKind::Run, id: samples::run_id(1).to_bytes() };
        let ending = scene.world.fixture.owner(tenant).await.enter(async |tenant| {
            let access = tenant.authorize::<Create<on::Run>>().unwrap();
            let run = samples::run(3, samples::id(1), "anna");
            scene.store.create_run(&access, run, None, Commit::default().and_mark(over)).await
        });
        let renewed = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            scene.admin.batch_execute("COMMIT").await
        };
        let (ended, renewed) = futures::join!(ending, renewed);
        ended.unwrap();
        renewed.unwrap();
        assert_eq!(scene.admin.query_typed_one(left, &[]).await.unwrap().get::<_, i64>(0), 1);
    });
}

// What is sent away is the tenant's alone, also where somebody has taken the policies away.
#[test]
fn an_open_database_sends_nothing_of_other_tenants() {
    run(async {
        let scene = Scene::set().await;
        let folder = tempfile::TempDir::new().unwrap();
        for tenant in [scene.world.one, scene.world.two] {
            begin_run(&scene, tenant).await;
        }
        let export = async |name: &str| {
            let target = folder.path().join(name);
            scene.store.export_tenant(scene.operator(), scene.world.one, &target).await
        };
        let before = export("before").await.unwrap();
        let tables = "DO $$ DECLARE it text; BEGIN
            FOR it IN SELECT tablename FROM pg_tables WHERE schemaname = 'pooled' LOOP
                EXECUTE format('ALTER TABLE pooled.%I DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', it);
            END LOOP; END $$";
        scene.admin.batch_execute(tables).await.unwrap();
        assert_eq!(export("after").await.unwrap(), before);
    });
}

// A pause is not among what a restore replaces, since whoever restores ends it.
#[test]
fn while_one_server_restores_a_tenant_another_gets_none_of_its_runs() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let (here, there): (&PostgresStore, &PostgresStore) = (&scene.store, scene.world.store());
        let (operator, folder) = (scene.operator(), tempfile::TempDir::new().unwrap());
        for (number, isolation) in
            [Isolation::Pooled, Isolation::Schema, Isolation::Dedicated].iter().enumerate()
        {
            let tenant = scene.create(*isolation).await.unwrap();
            begin_run(&scene, tenant).await;
            let backup = folder.path().join(number.to_string());
            here.backup(operator, tenant, &backup).await.unwrap();
            let (restorer, other) = (WorkerId::from_bytes([7; 16]), WorkerId::from_bytes([8; 16]));
            let wanted = [wanted(tenant)];
            let options = RestoreOptions { allow_older: false, accept_loss: false };
            here.pause(operator, tenant, restorer, TERM).await.unwrap();
            assert_eq!(there.claim(other, &wanted, 0, TERM).await, Ok(vec![Claim::Taken]), "{isolation}");
            here.restore(operator, tenant, backup.clone(), options).await.unwrap();
            here.pause(operator, tenant, restorer, TERM).await.unwrap();
            assert_eq!(there.claim(other, &wanted, 0, TERM).await, Ok(vec![Claim::Taken]), "{isolation}");
            // Whoever restores and dies says it no more.
            here.pause(operator, tenant, restorer, Duration::from_millis(300)).await.unwrap();
            let claimed =
                async || matches!(there.claim(other, &wanted, 0, TERM).await.unwrap()[..], [Claim::Held(_)]);
            assert!(until(async || claimed().await).await > Duration::from_millis(200), "{isolation}");
        }
    });
}

// What other pools carry out is not listed for a worker and not given to it, be it in the shared tables or elsewhere.
#[test]
fn a_worker_has_the_runs_of_its_pool_alone() {
    run(async {
        let scene = Scene::set().await;
        let provisioner = scene.place().provisioner(&scene.env());
        let made = scene.create(Isolation::Schema);
        let own = tokio::select! {
            made = made => made.unwrap(),
            () = provisioner.serve(std::future::pending()) => panic!("it never ends"),
        };
        let (store, operator) = (&scene.store, scene.operator());
        let gold: Slug = "gold".parse().unwrap();
        let plan =
            Plan { name: gold.clone(), limits: Limits::default(), isolation: None, pool: Some(gold.clone()) };
        store.put_plan(operator, plan).await.unwrap();
        let tenants = [own, scene.world.one, scene.world.two];
        for tenant in &tenants[..2] {
            let row = store.tenant(operator, *tenant).await.unwrap();
            store.update_tenant(operator, TenantRow { plan: gold.clone(), ..row }).await.unwrap();
        }
        let settings = Settings { pool: Some(gold.clone()), ..scene.place().settings() };
        let golden =
            PostgresStore::open(settings, scene.place().kms(&scene.env()), scene.env()).await.unwrap();
        for tenant in tenants {
            begin_run(&scene, tenant).await;
        }
        let seen = async |store: &PostgresStore| {
            let mut seen: Vec<_> = store.unheld(9, 9).await.unwrap().iter().map(|work| work.tenant).collect();
            seen.sort_unstable();
            seen
        };
        assert_eq!(store.pool_seen(&gold).await, Ok(None));
        let mut of_gold = tenants[..2].to_vec();
        of_gold.sort_unstable();
        assert_eq!((seen(store).await, seen(&golden).await), (vec![tenants[2]], of_gold));
        assert!(store.pool_seen(&gold).await.unwrap().is_some());
        let all = tenants.map(wanted);
        let worker = WorkerId::from_bytes([6; 16]);
        let claims = store.claim(worker, &all, 0, TERM).await.unwrap();
        assert!(matches!(claims[..], [Claim::Taken, Claim::Taken, Claim::Held(_)]), "{claims:?}");
        let claims = golden.claim(worker, &all, 0, TERM).await.unwrap();
        assert!(matches!(claims[..], [Claim::Held(_), Claim::Held(_), Claim::Taken]), "{claims:?}");
    });
}

// Two servers that give places at the same time, the one with much of a heavy tenant's before it, the other with light
// ones', come to the weights together.
#[test]
fn starts_are_as_weights_over_two_servers() {
    const ROUNDS: u32 = 160;
    run(async {
        let scene = Scene::set().await;
        let mut tenants = vec![(scene.world.one, 1)];
        tenants.push((scene.world.two, 3));
        for _ in 0..2 {
            tenants.push((scene.create(Isolation::Pooled).await.unwrap(), 3));
        }
        for (tenant, _) in &tenants {
            for number in 1..=16 {
                begin_one(&scene, *tenant, number).await;
            }
        }
        let serve = async |store: &PostgresStore, heavy: u8, numbers: u8| {
            let mut started: HashMap<TenantId, u32> = HashMap::new();
            let worker = WorkerId::from_bytes([heavy; 16]);
            for _ in 0..ROUNDS {
                let mut all = Vec::new();
                for (tenant, weight) in &tenants {
                    let weight = NonZeroU32::new(*weight).unwrap();
                    let most = if *tenant == tenants[0].0 { heavy } else { 1 };
                    all.extend((0..most).map(|number| Wanted {
                        run: samples::run_id(numbers + number),
                        weight,
                        certain: false,
                        at_once: 20,
                        ..wanted(*tenant)
                    }));
                }
                let claims = store.claim(worker, &all, 1, TERM).await.unwrap();
                for (wanted, claim) in all.iter().zip(claims) {
                    if let Claim::Held(lease) = claim {
                        *started.entry(wanted.tenant).or_default() += 1;
                        store.release(&[(wanted.tenant, lease)]).await.unwrap();
                    }
                }
            }
            started
        };
        let (here, there) = futures::join!(serve(&scene.store, 8, 1), serve(scene.world.store(), 1, 9));
        for (tenant, weight) in &tenants {
            let count = |started: &HashMap<TenantId, u32>| started.get(tenant).copied().unwrap_or(0);
            let (started, due) =
                (f64::from(count(&here) + count(&there)), f64::from(2 * ROUNDS * weight) / 10.0);
            assert!((started - due).abs() <= due / 10.0, "{started} of {due}: {here:?} {there:?}");
        }
    });
}
