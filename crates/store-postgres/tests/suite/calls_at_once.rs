//! Calls of one tenant that are written without asking first what is there: whoever else writes, and whatever becomes of
//! the connection, each is there once.

use crate::homes::{Scene, run};
use env::Timestamp;
use futures::future::join_all;
use ids::{CallId, EventId};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{
    AuditQuery, AuditTrail as _, Call, CallKind, CallOutcome, CallStatus, PageRequest, StoreError,
    UsageStore as _,
};
use store_postgres::PostgresStore;
use store_tests::{out, samples};

const CALLERS: u8 = 8;
const CALLS: u64 = 40;

fn call(scene: &Scene, number: u8) -> Call {
    Call { id: scene.env().id::<CallId>(), ..samples::call(number, CallKind::Model, "anna", samples::NOW) }
}

fn settled() -> CallOutcome {
    samples::outcome(CallStatus::Settled, "0.1")
}

/// Begins a call and places its outcome; the event that it began with.
async fn one(scene: &Scene, store: &PostgresStore, call: &Call) -> Result<EventId, StoreError> {
    let visit = scene.world.visit(scene.world.one, async |tenant| {
        let ids = store.begin_call(&tenant, call, samples::commit(&tenant, &call.id.to_string())).await?;
        let end = samples::commit(&tenant, &format!("end of {}", call.id));
        store.place_outcome(&tenant, call, settled(), end).await?.written().await?;
        Ok(ids[0])
    });
    visit.await
}

/// The events that stand in the log, from the newest on, with what they are about.
async fn events(scene: &Scene, store: &PostgresStore) -> Vec<(String, String)> {
    let visit = scene.world.visit(scene.world.one, async |tenant| {
        let access = tenant.authorize::<context::Read<context::on::Audit>>().unwrap();
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest { limit: 500, cursor };
            let page = out(&tenant, store.events(&access, &AuditQuery::default(), &page).await.unwrap());
            all.extend(page.data.iter().map(|event| {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                (text(&event.view["event_id"]), text(&event.view["resource"]["id"]))
            }));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    });
    visit.await
}

async fn calls_summed_up(scene: &Scene, store: &PostgresStore) -> u64 {
    let visit = scene.world.visit(scene.world.one, async |tenant| {
        let access = tenant.authorize::<context::Read<context::on::Usage>>().unwrap();
        let query = store::UsageQuery {
            from: Timestamp::from_millis(0),
            to: samples::NOW.plus(Duration::from_secs(1)),
            group_by: Vec::new(),
        };
        out(&tenant, store.usage(&access, &query).await.unwrap()).iter().map(|row| row.ai_calls).sum()
    });
    visit.await
}

/// The log holds what was acknowledged once, in one chain, and the sums are over what the log holds.
async fn is_whole(scene: &Scene, acknowledged: &[(EventId, CallId)]) {
    let (here, there) = (&scene.store, scene.world.store());
    let found = events(scene, here).await;
    assert_eq!(found, events(scene, there).await);
    let ids: HashSet<_> = found.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), found.len(), "an event stands twice in the log");
    let count = |what: &str| found.iter().filter(|(_, about)| about == what).count();
    for (event, call) in acknowledged {
        assert!(ids.contains(event.to_string().as_str()), "{call} was acknowledged");
        assert_eq!((count(&call.to_string()), count(&format!("end of {call}"))), (1, 1), "{call}");
    }
    let ends = found.iter().filter(|(_, about)| about.starts_with("end of ")).count() as u64;
    let begun = found.len() as u64 - ends;
    // A call that began and was not seen to end is counted as well.
    let summed_up = calls_summed_up(scene, there).await;
    assert!((ends..=begun).contains(&summed_up), "{summed_up} calls of {ends} to {begun}");
    let visit = scene.world.visit(scene.world.one, async |tenant| {
        let access = tenant.authorize::<context::Read<context::on::Audit>>().unwrap();
        out(&tenant, there.checkpoint(&access).await.unwrap())
    });
    drop(visit.await);
}

#[test]
fn two_servers_that_write_for_one_tenant_lose_nothing() {
    run(async {
        let scene = Scene::set().await;
        let made = Mutex::new(Vec::new());
        let callers = (0..CALLERS).map(|caller| {
            let (scene, made) = (&scene, &made);
            let store = if caller % 2 == 0 { &scene.store } else { scene.world.store() };
            async move {
                for _ in 0..CALLS {
                    let call = call(scene, caller);
                    let event = one(scene, store, &call).await.unwrap();
                    made.lock().unwrap().push((event, call.id));
                }
            }
        });
        join_all(callers).await;
        let made = made.into_inner().unwrap();
        assert_eq!(made.len() as u64, u64::from(CALLERS) * CALLS);
        assert_eq!(calls_summed_up(&scene, &scene.store).await, made.len() as u64);
        is_whole(&scene, &made).await;
    });
}

#[test]
fn connections_that_are_cut_off_leave_each_call_once_or_not_at_all() {
    run(async {
        let scene = Scene::set().await;
        let (over, made) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let cut = async {
            let role = format!("{}_server", scene.place().database);
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
            while !over.load(Ordering::Relaxed) {
                scene.admin.query(end, &[&role]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let callers = (0..CALLERS).map(|caller| {
            let (scene, made) = (&scene, &made);
            async move {
                for _ in 0..CALLS {
                    let call = call(scene, caller);
                    if let Ok(event) = one(scene, &scene.store, &call).await {
                        made.lock().unwrap().push((event, call.id));
                    }
                }
            }
        });
        let calling = async {
            join_all(callers).await;
            over.store(true, Ordering::Relaxed);
        };
        futures::join!(cut, calling);
        let made = made.into_inner().unwrap();
        assert!(!made.is_empty(), "none got through");
        is_whole(&scene, &made).await;
    });
}

/// A second outcome of a call changes nothing, whoever remembers what.
#[test]
fn what_a_call_cost_is_said_once_by_two_servers() {
    run(async {
        let scene = Scene::set().await;
        let (here, there) = (&scene.store, scene.world.store());
        for number in 0..20 {
            let call = call(&scene, number);
            one(&scene, here, &call).await.unwrap();
            let visit = scene.world.visit(scene.world.one, async |tenant| {
                let again = samples::outcome(CallStatus::Settled, "7");
                for store in [here, there] {
                    let end = samples::commit(&tenant, "again");
                    store
                        .place_outcome(&tenant, &call, again.clone(), end)
                        .await
                        .unwrap()
                        .written()
                        .await
                        .unwrap();
                }
            });
            visit.await;
            assert_eq!(calls_summed_up(&scene, there).await, u64::from(number) + 1);
        }
    });
}
