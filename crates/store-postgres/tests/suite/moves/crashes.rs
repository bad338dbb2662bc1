//! Moves that are interrupted, that find what is wrong, or whose tenant is erased.

use super::*;

/// Whether a tenant is in neither place for anybody: its own database is closed, and the platform does not say yet
/// where it is now.
async fn is_between(scene: &Scene, tenant: TenantId, from: Isolation) -> bool {
    if from != Isolation::Dedicated || isolation(scene, tenant).await != from {
        return false;
    }
    let inside = connect(&postgres_instance::address("postgres", &scene.role(tenant))).await;
    !inside.query_typed("SELECT 1 FROM tenantry.moved", &[]).await.unwrap().is_empty()
}

async fn write(scene: &Scene, store: &PostgresStore, tenant: TenantId, number: u8) -> Result<(), StoreError> {
    let visit = scene.world.visit(tenant, async |tenant| {
        records::create(store, &tenant, record(number, json!({"who": "later"}))).await.map(drop)
    });
    visit.await
}

async fn is_there(scene: &Scene, store: &PostgresStore, tenant: TenantId, number: u8) -> bool {
    scene.world.visit(tenant, async |tenant| records::get(store, &tenant, number).await.is_ok()).await
}

#[test]
fn who_comes_after_a_crash_at_any_step_goes_on_with_the_move() {
    run(async {
        let scene = Scene::set().await;
        let tenant = scene.world.one;
        fill(&scene, tenant).await;
        let (mut number, mut crashes, mut between, mut from) = (30, 0, 0, Isolation::Pooled);
        for to in WAY {
            let earlier = checkpoint(&scene, tenant).await;
            let mut written = Vec::new();
            scene.store.move_tenant(scene.operator(), tenant, to).await.unwrap();
            // Each phase is begun again and again, each time one step further.
            let (mut steps, mut last) = (0, MovePhase::Waiting);
            while stopped_after(&scene, tenant, steps).await {
                crashes += 1;
                let now = phase(&scene, tenant).await;
                steps = if now == last { steps + 1 } else { 0 };
                last = now;
                assert!(steps < ENOUGH, "{now:?}");
                // Whatever was left behind, the tenant goes on, on two servers.
                let server = if crashes % 2 == 0 { &scene.store } else { scene.world.store() };
                number += 1;
                let wrote = write(&scene, server, tenant, number).await;
                if is_between(&scene, tenant, from).await {
                    between += 1;
                    assert_eq!(wrote, Err(StoreError::Unavailable), "to {to}");
                    continue;
                }
                wrote.unwrap();
                written.push(number);
                for number in &written {
                    assert!(is_there(&scene, server, tenant, *number).await, "{number} in {now:?} to {to}");
                }
            }
            let last = ended(&scene, tenant).await;
            assert_eq!((last.phase, last.error), (MovePhase::Done, None));
            assert_eq!(isolation(&scene, tenant).await, to);
            verified(&scene, &scene.store, tenant, Some(&earlier)).await;
            verified(&scene, scene.world.store(), tenant, Some(&earlier)).await;
            for number in written.drain(..) {
                assert!(is_there(&scene, &scene.store, tenant, number).await, "{number}");
                let removed = scene.world.visit(tenant, async |tenant| {
                    let access = tenant.authorize::<Delete<on::Record>>().unwrap();
                    let contacts = records::contacts();
                    scene
                        .store
                        .delete_record(&access, &contacts, record_id(number), None, Commit::default())
                        .await
                });
                removed.await.unwrap();
            }
            (number, from) = (30, to);
        }
        assert!(crashes > 60 && between < 4, "{crashes} {between}");
    });
}

#[test]
fn what_differs_from_what_is_there_stops_the_move_and_leaves_the_tenant_where_it_was() {
    run(async {
        let scene = Scene::set().await;
        let tenant = scene.world.one;
        fill(&scene, tenant).await;
        let altered = [
            "UPDATE TABLE SET version = version + 1 WHERE id IN (SELECT id FROM TABLE WHERE tenant_id = ID LIMIT 1)",
            "DELETE FROM TABLE WHERE id IN (SELECT id FROM TABLE WHERE tenant_id = ID LIMIT 1)",
        ];
        for (from, to) in [(Isolation::Pooled, Isolation::Schema), (Isolation::Schema, Isolation::Pooled)] {
            for altered in altered {
                let before = rows(&scene, tenant, from).await;
                scene.store.move_tenant(scene.operator(), tenant, to).await.unwrap();
                served_until(&scene, tenant, MovePhase::Comparing).await;
                let table = format!("{}.record", at(&scene, tenant, to).1);
                let altered =
                    altered.replace("TABLE", &table).replace("ID", &format!("'\\x{}'", hex(tenant)));
                assert_eq!(scene.admin.execute_typed(&altered, &[]).await.unwrap(), 1);
                let last = served(&scene, tenant).await;
                assert_eq!((last.from, last.to, last.phase), (from, to, MovePhase::Failed));
                assert!(last.error.as_ref().unwrap().contains("the table record"), "{last:?}");
                assert_eq!(isolation(&scene, tenant).await, from);
                assert_eq!(rows(&scene, tenant, from).await, before);
                assert!(is_left(&scene, tenant, to).await);
                assert!(is_there(&scene, scene.world.store(), tenant, 1).await);
            }
            // What was wrong is no more, so that it can be moved.
            scene.store.move_tenant(scene.operator(), tenant, to).await.unwrap();
            assert_eq!(served(&scene, tenant).await.phase, MovePhase::Done);
        }
    });
}

#[test]
fn a_tenant_that_is_erased_on_its_way_leaves_nothing_in_either_place() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let schema = scene.create(Isolation::Schema).await.unwrap();
        for (tenant, from) in [(scene.world.one, Isolation::Pooled), (schema, Isolation::Schema)] {
            fill(&scene, tenant).await;
            // The move is held where it is compared.
            let held = "ALTER TABLE tenantry.move ADD CONSTRAINT held CHECK (phase <> 'switching')";
            scene.admin.batch_execute(held).await.unwrap();
            scene.store.move_tenant(scene.operator(), tenant, Isolation::Dedicated).await.unwrap();
            let failed = "SELECT 1 FROM tenantry.move WHERE phase = 'comparing' AND error IS NOT NULL";
            until(async || !scene.admin.query_typed(failed, &[]).await.unwrap().is_empty()).await;
            scene.store.erase(scene.operator(), tenant).await.unwrap();
            scene.admin.batch_execute("ALTER TABLE tenantry.move DROP CONSTRAINT held").await.unwrap();
            until(async || scene.left(tenant).await == 0).await;
            assert!(
                is_left(&scene, tenant, from).await && is_left(&scene, tenant, Isolation::Dedicated).await
            );
            let state = "SELECT phase FROM tenantry.move WHERE ended_at IS NULL";
            until(async || scene.admin.query_typed(state, &[]).await.unwrap().is_empty()).await;
        }
    });
}
