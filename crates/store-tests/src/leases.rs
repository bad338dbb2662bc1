//! Leases on runs: who may carry one out, and what is refused of whoever has lost it.

use crate::samples::{NOW, call, id, object, outcome, record, record_id, run, run_id, update};
use crate::{Backend, World, out};
use context::{Create, Delete, Lease, Tenant, Update, on};
use futures::future::join_all;
use ids::{Id as _, TenantId, WorkerId};
use metering::turns::{CREDIT, TURN};
use serde_json::json;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use store::{
    CallKind, CallStatus, Claim, Commit, Leases as _, Mark, RecordChange, RecordStore as _, RunStatus,
    RunStore as _, StoreError, UsageStore as _, Wanted, WorkKind,
};

const TERM: Duration = Duration::from_secs(60);

fn worker(number: u8) -> WorkerId {
    id(number)
}

fn wanted(tenant: TenantId, number: u8, at_once: u64) -> Wanted {
    Wanted { tenant, run: run_id(number), at_once, weight: NonZeroU32::MIN, certain: true }
}

/// Makes runs that are under way, due at once.
async fn begin<B: Backend>(world: &World<B>, tenant: TenantId, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        begin_due(world, tenant, number, None).await;
    }
}

async fn begin_due<B: Backend>(world: &World<B>, tenant: TenantId, number: u8, due: Option<env::Timestamp>) {
    let mark = Mark::Open { kind: WorkKind::Run, id: run_id(number).to_bytes(), due };
    let begun = world.visit(tenant, async |tenant| {
        let access = tenant.authorize::<Create<on::Run>>().unwrap();
        let commit = Commit::default().and_mark(mark);
        world.store().create_run(&access, run(number, id(1), "anna"), None, commit).await
    });
    begun.await.unwrap();
}

/// Claims one run.
async fn claim<B: Backend>(world: &World<B>, worker: WorkerId, wanted: Wanted, term: Duration) -> Claim {
    world.store().claim(worker, &[wanted], 0, term).await.unwrap()[0]
}

/// A run that the worker gets.
async fn held<B: Backend>(world: &World<B>, worker: WorkerId, wanted: Wanted) -> Lease {
    match claim(world, worker, wanted, TERM).await {
        Claim::Held(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// Does something in a tenant as whoever holds the lease.
async fn under<B: Backend, R>(
    world: &World<B>,
    tenant: TenantId,
    lease: Lease,
    visit: impl for<'t> AsyncFnOnce(Tenant<'t>) -> R,
) -> R {
    world.fixture.owner(tenant).await.under(lease).enter(visit).await
}

async fn moved<B: Backend>(world: &World<B>, tenant: TenantId, lease: Lease) -> Result<(), StoreError> {
    let visit = under(world, tenant, lease, async |tenant| {
        let access = tenant.authorize::<Update<on::Run>>().unwrap();
        let update = update(&run(1, id(1), "anna").run, RunStatus::Running, "anna");
        world.store().move_run(&access, update, Commit::default()).await
    });
    visit.await
}

pub async fn a_run_is_held_by_one<B: Backend>(world: World<B>) {
    let mut first = Vec::new();
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, [1]).await;
        first.push((tenant, held(&world, worker(1), wanted(tenant, 1, 9)).await));
        for other in [worker(1), worker(2)] {
            assert_eq!(claim(&world, other, wanted(tenant, 1, 9), TERM).await, Claim::Taken);
        }
    }
    assert_eq!(world.store().unheld(9, 9).await, Ok(Vec::new()));
    assert_eq!(world.store().renew(&first, TERM).await, Ok(Vec::new()));
    let (tenant, lease) = first[0];
    world.store().release(&[first[0]]).await.unwrap();
    let next = held(&world, worker(2), wanted(tenant, 1, 9)).await;
    assert!(next.fence > lease.fence && next.worker == worker(2), "{lease:?} {next:?}");
    // Whoever held it before neither keeps it nor gives it away.
    world.store().release(&[first[0]]).await.unwrap();
    assert_eq!(world.store().renew(&first, TERM).await, Ok(vec![lease]));
    assert_eq!(claim(&world, worker(3), wanted(tenant, 1, 9), TERM).await, Claim::Taken);
}

pub async fn as_many_of_a_tenant_as_may_be<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, 1..=3).await;
    }
    let all: Vec<_> = (1..=3).map(|number| wanted(world.one, number, 2)).collect();
    let claims = world.store().claim(worker(1), &all, 0, TERM).await.unwrap();
    let [Claim::Held(first), Claim::Held(_), Claim::Full] = claims[..] else { panic!("{claims:?}") };
    assert_eq!(claim(&world, worker(2), wanted(world.one, 3, 2), TERM).await, Claim::Full);
    held(&world, worker(2), wanted(world.two, 3, 2)).await;
    world.store().release(&[(world.one, first)]).await.unwrap();
    held(&world, worker(2), wanted(world.one, 3, 2)).await;
    assert_eq!(claim(&world, worker(2), wanted(world.one, 1, 2), TERM).await, Claim::Full);
}

pub async fn counted_also_at_once<B: Backend>(world: World<B>) {
    begin(&world, world.one, 1..=12).await;
    let all: Vec<_> = (1..=12).map(|number| wanted(world.one, number, 4)).collect();
    let asks: Vec<_> = (1..=6u8)
        .map(|number| {
            let mut all = all.clone();
            all.rotate_left(usize::from(number) * 2);
            (worker(number), all)
        })
        .collect();
    let asked = asks.iter().map(|(worker, all)| world.store().claim(*worker, all, 0, TERM));
    let claims: Vec<Claim> = join_all(asked).await.into_iter().flat_map(Result::unwrap).collect();
    let held = claims.iter().filter(|claim| matches!(claim, Claim::Held(_))).count();
    assert_eq!((held, world.store().held(&world.operator, world.one).await), (4, Ok(4)), "{claims:?}");
}

/// A run that competes for a place.
fn competing(tenant: TenantId, number: u8, weight: u32) -> Wanted {
    Wanted { weight: NonZeroU32::new(weight).unwrap(), certain: false, ..wanted(tenant, number, 9) }
}

/// How often each tenant's run is given where one place is asked for so many times, by two workers in turn.
async fn given<B: Backend>(world: &World<B>, all: &[Wanted], times: u8) -> BTreeMap<TenantId, u8> {
    let mut given = BTreeMap::new();
    for time in 0..times {
        let claims = world.store().claim(worker(1 + time % 2), all, 1, TERM).await.unwrap();
        for (wanted, claim) in all.iter().zip(&claims) {
            match claim {
                Claim::Held(lease) => {
                    *given.entry(wanted.tenant).or_default() += 1;
                    world.store().release(&[(wanted.tenant, *lease)]).await.unwrap();
                }
                other => assert_eq!(*other, Claim::OthersTurn),
            }
        }
    }
    given
}

pub async fn places_go_to_tenants_as_their_weights_say<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, 1..=3).await;
    }
    let all = [competing(world.one, 1, 3), competing(world.one, 2, 3), competing(world.two, 1, 1)];
    assert_eq!(given(&world, &all, 16).await, BTreeMap::from([(world.one, 12), (world.two, 4)]));
    let claims = world.store().claim(worker(1), &all, 2, TERM).await.unwrap();
    let held = claims.iter().filter(|claim| matches!(claim, Claim::Held(_))).count();
    assert_eq!((held, claims.contains(&Claim::OthersTurn)), (2, true), "{claims:?}");
}

pub async fn a_place_for_certain_is_no_others<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, 1..=2).await;
    }
    let (one, two) = (competing(world.one, 1, 1), competing(world.two, 1, 1));
    let both = [Wanted { certain: true, ..two }, competing(world.two, 2, 1), one];
    let claims = world.store().claim(worker(1), &both, 1, TERM).await.unwrap();
    let [Claim::Held(certain), Claim::OthersTurn, Claim::Held(other)] = claims[..] else {
        panic!("{claims:?}")
    };
    world.store().release(&[(world.two, certain), (world.one, other)]).await.unwrap();
    let claims = world.store().claim(worker(1), &[one, two], 0, TERM).await;
    assert_eq!(claims, Ok(vec![Claim::OthersTurn; 2]), "there is no place");
}

pub async fn who_had_nothing_to_start_catches_up_a_little<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, [1]).await;
    }
    let (one, two) = (competing(world.one, 1, 1), competing(world.two, 1, 1));
    assert_eq!(given(&world, &[one], 30).await, BTreeMap::from([(world.one, 30)]));
    let credit = u8::try_from(CREDIT / TURN).unwrap();
    assert_eq!(given(&world, &[one, two], credit).await, BTreeMap::from([(world.two, credit)]));
    assert_eq!(given(&world, &[one, two], 20).await, BTreeMap::from([(world.one, 10), (world.two, 10)]));
}

pub async fn who_lost_a_run_writes_nothing<B: Backend>(world: World<B>) {
    begin(&world, world.one, [1]).await;
    begin(&world, world.two, [1]).await;
    let store = world.store();
    let lost = held(&world, worker(1), wanted(world.one, 1, 9)).await;
    let begun = call(2, CallKind::Model, "main", NOW);
    under(&world, world.one, lost, async |tenant| {
        store.begin_call(&tenant, &begun, Commit::default()).await.unwrap();
        let access = tenant.authorize::<Create<on::Record>>().unwrap();
        store.create_record(&access, record(1, json!({"a": 1})), Commit::default()).await.unwrap();
    })
    .await;
    let taken = world.visit(world.one, async |tenant| store.take(&tenant, worker(2), run_id(1), TERM).await);
    let taken = taken.await.unwrap().unwrap();
    assert_eq!(moved(&world, world.one, lost).await, Err(StoreError::LeaseLost));
    under(&world, world.one, lost, async |tenant| {
        let next = call(3, CallKind::Model, "main", NOW);
        let refused = store.begin_call(&tenant, &next, Commit::default()).await;
        assert_eq!(refused, Err(StoreError::LeaseLost));
        let access = tenant.authorize::<Create<on::Record>>().unwrap();
        let refused = store.create_record(&access, record(2, json!({})), Commit::default()).await;
        assert_eq!(refused.map(drop), Err(StoreError::LeaseLost));
        let access = tenant.authorize::<Update<on::Record>>().unwrap();
        let (contacts, change) = ("contacts".parse().unwrap(), RecordChange::Merge(object(json!({"a": 2}))));
        let refused =
            store.change_record(&access, &contacts, record_id(1), change, None, NOW, Commit::default());
        assert_eq!(refused.await.map(drop), Err(StoreError::LeaseLost));
        let access = tenant.authorize::<Delete<on::Record>>().unwrap();
        let refused = store.delete_record(&access, &contacts, record_id(1), None, Commit::default());
        assert_eq!(refused.await, Err(StoreError::LeaseLost));
        // What has happened already is written down all the same.
        let settled = outcome(CallStatus::Settled, "0.1");
        store.end_call(&tenant, &begun, settled, Commit::default()).await.unwrap();
    })
    .await;
    let kept = world.visit(world.one, async |tenant| {
        let access = tenant.authorize::<context::Read<on::Record>>().unwrap();
        out(&tenant, store.record(&access, &"contacts".parse().unwrap(), record_id(1)).await.unwrap())
    });
    assert_eq!(kept.await.data, object(json!({"a": 1})));
    assert_eq!(moved(&world, world.two, taken).await, Err(StoreError::LeaseLost), "a neighbour's run");
    assert_eq!(moved(&world, world.one, taken).await, Ok(()));
}

pub async fn a_lease_ends_by_itself<B: Backend>(world: World<B>) {
    begin(&world, world.one, [1]).await;
    let Claim::Held(ended) = claim(&world, worker(1), wanted(world.one, 1, 1), Duration::ZERO).await else {
        panic!("it was free")
    };
    assert_eq!(world.store().unheld(9, 9).await.unwrap().len(), 1);
    let next = held(&world, worker(2), wanted(world.one, 1, 1)).await;
    assert_eq!(moved(&world, world.one, ended).await, Err(StoreError::LeaseLost));
    let both = [(world.one, ended), (world.one, next)];
    assert_eq!(world.store().renew(&both, TERM).await, Ok(vec![ended]));
}

pub async fn the_oldest_of_each_tenant_are_found<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, 1..=4).await;
        begin_due(&world, tenant, 5, Some(NOW.plus(Duration::from_secs(3600)))).await;
    }
    let found = async |of_one, limit| {
        let found = world.store().unheld(of_one, limit).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|work| (work.tenant, work.id)).collect();
        found.sort_unstable();
        found
    };
    let first = |numbers: &[u8]| {
        let both = [world.one, world.two].into_iter();
        let mut all: Vec<_> = both
            .flat_map(|tenant| numbers.iter().map(move |number| (tenant, run_id(*number).to_bytes())))
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(found(2, 9).await, first(&[1, 2]));
    assert_eq!(found(9, 99).await, first(&[1, 2, 3, 4]));
    assert_eq!(found(9, 3).await.len(), 3);
    for (tenant, _) in world.tenants() {
        held(&world, worker(1), wanted(tenant, 1, 9)).await;
    }
    assert_eq!(found(2, 9).await, first(&[2, 3]));
}

pub async fn a_tenants_runs_are_taken_from_everybody<B: Backend>(world: World<B>) {
    let mut leases = Vec::new();
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, [1]).await;
        leases.push((tenant, held(&world, worker(1), wanted(tenant, 1, 9)).await));
    }
    let (store, operator) = (world.store(), &world.operator);
    store.revoke(operator, world.one).await.unwrap();
    assert_eq!(store.held(operator, world.one).await, Ok(1), "whoever had it has not let go yet");
    assert_eq!(moved(&world, world.one, leases[0].1).await, Err(StoreError::LeaseLost));
    for other in [worker(1), worker(2)] {
        assert_eq!(claim(&world, other, wanted(world.one, 1, 9), TERM).await, Claim::Taken);
    }
    assert_eq!(store.renew(&leases, TERM).await, Ok(vec![leases[0].1]));
    store.release(&[leases[0]]).await.unwrap();
    assert_eq!(store.held(operator, world.one).await, Ok(0));
    assert_eq!(store.held(operator, world.two).await, Ok(1));
    assert_eq!(moved(&world, world.two, leases[1].1).await, Ok(()));
    held(&world, worker(2), wanted(world.one, 1, 9)).await;
}

pub async fn a_paused_tenants_runs_are_given_to_nobody<B: Backend>(world: World<B>) {
    let (store, operator) = (world.store(), &world.operator);
    for (tenant, _) in world.tenants() {
        begin(&world, tenant, [1, 2]).await;
    }
    let before = held(&world, worker(1), wanted(world.one, 1, 9)).await;
    for by in [worker(7), worker(8), worker(7)] {
        store.pause(operator, world.one, by, TERM).await.unwrap();
    }
    begin(&world, world.one, [3]).await;
    let all: Vec<_> = (1..=3).map(|number| wanted(world.one, number, 9)).collect();
    assert_eq!(store.claim(worker(2), &all, 9, TERM).await, Ok(vec![Claim::Taken; 3]));
    held(&world, worker(2), wanted(world.two, 2, 9)).await;
    // Whoever has one goes on with it until it is taken away.
    assert_eq!(store.renew(&[(world.one, before)], TERM).await, Ok(Vec::new()));
    assert_eq!(moved(&world, world.one, before).await, Ok(()));
    // Another's pause is not over with the first, nor with an end that the neighbour is told.
    store.resume(operator, world.one, worker(7)).await.unwrap();
    store.resume(operator, world.two, worker(8)).await.unwrap();
    assert_eq!(store.claim(worker(2), &all, 9, TERM).await, Ok(vec![Claim::Taken; 3]));
    store.resume(operator, world.one, worker(8)).await.unwrap();
    let claims = store.claim(worker(2), &all, 9, TERM).await.unwrap();
    assert!(matches!(claims[..], [Claim::Taken, Claim::Held(_), Claim::Held(_)]), "{claims:?}");
    // It ends by itself.
    store.pause(operator, world.two, worker(7), Duration::ZERO).await.unwrap();
    held(&world, worker(2), wanted(world.two, 1, 9)).await;
}

pub async fn what_is_over_is_nobodys<B: Backend>(world: World<B>) {
    begin(&world, world.one, [1]).await;
    let store = world.store();
    let lease = held(&world, worker(1), wanted(world.one, 1, 9)).await;
    under(&world, world.one, lease, async |tenant| {
        let access = tenant.authorize::<Update<on::Run>>().unwrap();
        let update = update(&run(1, id(1), "anna").run, RunStatus::Succeeded, "anna");
        let closed = Mark::Closed { kind: WorkKind::Run, id: run_id(1).to_bytes() };
        store.move_run(&access, update, Commit::default().and_mark(closed)).await.unwrap();
    })
    .await;
    store.release(&[(world.one, lease)]).await.unwrap();
    assert_eq!(store.unheld(9, 9).await, Ok(Vec::new()));
    let taken = world.visit(world.one, async |tenant| store.take(&tenant, worker(2), run_id(1), TERM).await);
    assert_eq!(taken.await, Ok(None));
}
