//! Moves of tenants that are at work, on two servers.

use super::*;
use ids::RecordId;
use std::num::NonZeroU32;

#[test]
fn who_carries_a_run_out_keeps_it_where_everybody_may() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let tenant = scene.world.one;
        fill(&scene, tenant).await;
        let (here, there) = (&scene.store, scene.world.store());
        let wanted = [Wanted { tenant, run: run_id(9), at_once: 9, weight: NonZeroU32::MIN, certain: true }];
        let worker: WorkerId = id(1);
        for to in WAY {
            let claim = |store: &PostgresStore| {
                let store = store.clone();
                async move { store.claim(worker, &wanted, 0, TERM).await.unwrap()[0] }
            };
            let Claim::Held(lease) = claim(here).await else { panic!("{to}") };
            moved(&scene, tenant, to).await;
            if to == Isolation::Dedicated {
                // There the tenant's own worker alone carries it out, so that nobody else keeps it.
                assert_eq!(there.renew(&[(tenant, lease)], TERM).await, Ok(vec![lease]));
                assert_eq!(advance(&scene, here, tenant, lease).await, Err(StoreError::LeaseLost));
                here.release(&[(tenant, lease)]).await.unwrap();
                assert_eq!(here.unheld(9, 9).await.unwrap().len(), 1);
                continue;
            }
            // The other server has not been there yet.
            assert_eq!(there.renew(&[(tenant, lease)], TERM).await, Ok(Vec::new()), "{to}");
            assert_eq!(there.held(scene.operator(), tenant).await, Ok(1));
            assert_eq!(claim(there).await, Claim::Taken);
            assert_eq!(here.pending(WorkKind::Run).await.unwrap().len(), 1);
            assert_eq!(here.unheld(9, 9).await, Ok(Vec::new()));
            advance(&scene, here, tenant, lease).await.unwrap();
            here.release(&[(tenant, lease)]).await.unwrap();
            assert_eq!(advance(&scene, there, tenant, lease).await, Err(StoreError::LeaseLost));
            assert_eq!(here.unheld(9, 9).await.unwrap().len(), 1);
            let Claim::Held(next) = claim(there).await else { panic!("{to}") };
            assert!(next.fence > lease.fence);
            there.revoke(scene.operator(), tenant).await.unwrap();
            there.release(&[(tenant, next)]).await.unwrap();
        }
    });
}

/// Moves the run on, as whoever has the lease.
async fn advance(
    scene: &Scene,
    store: &PostgresStore,
    tenant: TenantId,
    lease: Lease,
) -> Result<(), StoreError> {
    let visit = scene.world.fixture.owner(tenant).await.under(lease).enter(async |tenant| {
        let access = tenant.authorize::<Read<on::Run>>().unwrap();
        let run = out(&tenant, store.run(&access, run_id(9)).await.unwrap());
        let access = tenant.authorize::<Update<on::Run>>().unwrap();
        store.move_run(&access, samples::update(&run, RunStatus::Running, "anna"), Commit::default()).await
    });
    visit.await
}

fn newest(made: &std::sync::Mutex<Vec<RecordId>>) -> Option<RecordId> {
    made.lock().unwrap().last().copied()
}

/// How long the longest of some calls took.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
async fn longest(over: &AtomicBool, call: impl AsyncFn(u64)) -> (u64, Duration) {
    let (mut calls, mut longest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        call(calls).await;
        longest = longest.max(begun.elapsed());
        calls += 1;
    }
    (calls, longest)
}

#[test]
fn writers_and_readers_on_two_servers_lose_nothing_and_wait_for_a_moment() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let tenant = scene.world.one;
        fill(&scene, tenant).await;
        let env = scene.env();
        let text = "x".repeat(10_000);
        let put = async |store: &PostgresStore, number: u64| {
            let visit = scene.world.visit(tenant, async |tenant| {
                let data = json!({"who": number, "text": text});
                let record = store::Record { id: env.id(), ..record(1, data) };
                let id = record.id;
                records::create(store, &tenant, record).await.unwrap();
                id
            });
            visit.await
        };
        let get = async |store: &PostgresStore, id| {
            let visit = scene.world.visit(tenant, async |tenant| {
                let access = tenant.authorize::<Read<on::Record>>().unwrap();
                out(&tenant, store.record(&access, &records::contacts(), id).await.unwrap()).id
            });
            assert_eq!(visit.await, id);
        };
        for number in 0..300 {
            put(&scene.store, number).await;
        }
        let (here, there) = (&scene.store, scene.world.store());
        for to in [Isolation::Dedicated, Isolation::Schema, Isolation::Pooled] {
            let (over, made) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
            let writes = async |store: &PostgresStore, number| {
                let id = put(store, number).await;
                made.lock().unwrap().push(id);
            };
            let reads = async |store: &PostgresStore, number: u64| match newest(&made) {
                // Also a list, whose moment is one.
                Some(_) if number.is_multiple_of(16) => {
                    let before = made.lock().unwrap().len();
                    let visit = scene.world.visit(tenant, async |tenant| {
                        let query = records::wanted("", None, 500, None);
                        records::query(store, &tenant, &query).await.unwrap().data.len()
                    });
                    assert!(visit.await >= before.min(300));
                }
                Some(id) => get(store, id).await,
                None => tokio::task::yield_now().await,
            };
            let moving = async {
                let last = moved(&scene, tenant, to).await;
                over.store(true, Ordering::Relaxed);
                last
            };
            let (last, one, two, three, four) = futures::join!(
                moving,
                longest(&over, async |number| writes(here, number).await),
                longest(&over, async |number| writes(there, number).await),
                longest(&over, async |number| reads(here, number).await),
                longest(&over, async |number| reads(there, number).await),
            );
            assert_eq!((last.phase, &last.error), (MovePhase::Done, &None), "{last:?}");
            assert!(last.paused.unwrap() < Duration::from_secs(1), "{last:?}");
            for (calls, longest) in [one, two, three, four] {
                assert!(calls > 20 && longest < Duration::from_secs(3), "{calls} {longest:?}");
            }
            for id in made.into_inner().unwrap() {
                get(here, id).await;
                get(there, id).await;
            }
            verified(&scene, here, tenant, None).await;
        }
    });
}
