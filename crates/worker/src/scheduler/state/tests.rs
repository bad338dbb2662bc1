//! Whose turn it is, and that nothing is lost or counted twice on the way.

mod rounds;

use super::{State, Told};
use crate::Settings;
use crate::scheduler::{Broken, Control, Job, Lost, Rest, Start};
use app::dispatch::{Order, OrderKind};
use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use env::{Env, Timestamp};
use errors::Code;
use ids::{RunId, TenantId};
use metering::plan::Limits;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn limits(runs: u64) -> Limits {
    Limits { concurrent_runs: Some(runs), ..Limits::default() }
}

struct Ground {
    env: Env,
    state: State,
}

impl Ground {
    fn new(settings: Settings) -> Self {
        Self { env: Env::fixed(NOW, 7).0, state: State::new(settings) }
    }

    fn tenant(&self) -> TenantId {
        self.env.id()
    }

    fn accept(&mut self, tenant: TenantId, runs: u64) -> Result<RunId, Code> {
        self.state.reserve(tenant, &limits(runs)).map_err(|problem| problem.code)?;
        let run = self.env.id();
        self.state.enqueue(Job { tenant, run, behalf: None });
        self.state.give_back(tenant);
        Ok(run)
    }

    fn next(&mut self) -> Option<Start> {
        self.state.next(NOW)
    }

    fn order(&mut self, tenant: TenantId, run: RunId) -> Result<(), Code> {
        let actor =
            Actor { auth: AuthMethod::ApiKey, id: "k".into(), kind: ActorKind::User, on_behalf_of: vec![] };
        let resource = Resource { id: run.to_string(), kind: "run".into() };
        let event = Draft::new(actor, Action::new("run.cancel"), resource, Outcome::Success);
        let order = Order { kind: OrderKind::Cancel, event, claim: None };
        let control = Control::Order(Box::new(order), oneshot::channel().0);
        let job = Job { tenant, run, behalf: None };
        self.state.order(job, control, &limits(1)).map_err(|problem| problem.code)
    }
}

#[test]
fn a_tenant_has_as_many_runs_as_its_limit_and_others_are_not_held_up() {
    let mut ground = Ground::new(Settings::default());
    let (one, two) = (ground.tenant(), ground.tenant());
    for _ in 0..50 {
        ground.accept(one, 2).unwrap();
    }
    let other = ground.accept(two, 2).unwrap();
    let mut started: Vec<Start> = std::iter::from_fn(|| ground.next()).collect();
    assert_eq!(started.len(), 3);
    assert!(started.iter().any(|start| start.job.run == other));
    let place = started.iter().position(|start| start.job.tenant == one).unwrap();
    let mut ended = started.remove(place);
    assert!(ground.state.leave(&mut ended, Rest::Over, NOW).is_none());
    assert_eq!(ground.next().unwrap().job.tenant, one);
    assert!(ground.next().is_none());
}

#[test]
fn a_tenants_limits_hold_from_its_first_run_on() {
    let mut ground = Ground::new(Settings::default());
    let (none, three) = (ground.tenant(), ground.tenant());
    ground.accept(none, 0).unwrap();
    assert!(ground.next().is_none());
    let first = ground.accept(three, 3).unwrap();
    assert_eq!(ground.next().unwrap().job.run, first);
    let lane = &ground.state.lanes[&three];
    assert_eq!((lane.limit, lane.weight.get()), (3, 3));
}

#[test]
fn a_run_that_waits_holds_no_place_and_comes_back_in_time() {
    let mut ground = Ground::new(Settings::default());
    let tenant = ground.tenant();
    let waiting = ground.accept(tenant, 1).unwrap();
    let other = ground.accept(tenant, 1).unwrap();
    let mut start = ground.next().unwrap();
    let later = NOW.plus(Duration::from_secs(60));
    ground.state.leave(&mut start, Rest::Waiting(later), NOW);
    assert_eq!(ground.state.next_due(), Some(later));
    let mut start = ground.next().unwrap();
    assert_eq!(start.job.run, other);
    ground.state.leave(&mut start, Rest::Over, NOW);
    assert!(ground.next().is_none());
    assert_eq!(ground.state.next(later).unwrap().job.run, waiting);
}

#[test]
fn a_full_queue_takes_no_more_and_says_so() {
    let mut ground = Ground::new(Settings {
        queued_per_tenant: 3,
        queued: 5,
        guaranteed_per_tenant: 2,
        ..Settings::default()
    });
    let (one, two) = (ground.tenant(), ground.tenant());
    for _ in 0..3 {
        ground.accept(one, 1).unwrap();
    }
    assert_eq!(ground.accept(one, 1), Err(Code::ConcurrencyLimited));
    for _ in 0..2 {
        ground.accept(two, 1).unwrap();
    }
    assert_eq!(ground.accept(two, 1), Err(Code::ConcurrencyLimited));
    // What is being made durable counts, too.
    let mut ground = Ground::new(Settings { queued_per_tenant: 1, ..Settings::default() });
    ground.state.reserve(one, &limits(1)).unwrap();
    assert_eq!(ground.accept(one, 1), Err(Code::ConcurrencyLimited));
    ground.state.give_back(one);
    ground.accept(one, 1).unwrap();
}

#[test]
fn tenants_that_fill_the_queue_leave_room_for_others() {
    let settings =
        Settings { queued_per_tenant: 50, queued: 100, guaranteed_per_tenant: 3, ..Settings::default() };
    let mut ground = Ground::new(settings);
    let (loud, suspended, quiet) = (ground.tenant(), ground.tenant(), ground.tenant());
    for tenant in [loud, suspended] {
        for _ in 0..50 {
            ground.accept(tenant, 1).unwrap();
        }
    }
    ground.state.suspend(suspended);
    let runs: Vec<RunId> = (0..3).map(|_| ground.accept(quiet, 1).unwrap()).collect();
    assert_eq!(ground.accept(quiet, 1), Err(Code::ConcurrencyLimited), "beyond that the total counts");
    let started: Vec<Start> = std::iter::from_fn(|| ground.next()).collect();
    assert!(started.iter().any(|start| start.job.run == runs[0]));
}

#[test]
fn runs_that_wait_are_bounded_and_keep_nobody_out() {
    let settings = Settings { unfinished: 4, guaranteed_per_tenant: 2, ..Settings::default() };
    let mut ground = Ground::new(settings);
    let (one, two) = (ground.tenant(), ground.tenant());
    for _ in 0..4 {
        ground.accept(one, 9).unwrap();
    }
    let later = NOW.plus(Duration::from_secs(60));
    while let Some(mut start) = ground.next() {
        ground.state.leave(&mut start, Rest::Waiting(later), NOW);
    }
    assert_eq!(ground.accept(one, 9), Err(Code::ConcurrencyLimited));
    ground.accept(two, 9).unwrap();
}

#[test]
fn a_tenant_without_a_limit_does_not_hold_all_places() {
    let settings = Settings { runs: 4, first_runs: 2, runs_per_tenant: 3, ..Settings::default() };
    let mut ground = Ground::new(settings);
    let endless = Limits { concurrent_runs: None, ..Limits::default() };
    let tenants: Vec<TenantId> = (0..4).map(|_| ground.tenant()).collect();
    for tenant in &tenants[..2] {
        for _ in 0..10 {
            ground.accept(*tenant, 9).unwrap();
        }
        ground.state.refresh(*tenant, &endless);
    }
    let started: Vec<Start> = std::iter::from_fn(|| ground.next()).collect();
    let of = |tenant: TenantId| started.iter().filter(|start| start.job.tenant == tenant).count();
    assert_eq!(of(tenants[0]) + of(tenants[1]), 4);
    assert!(of(tenants[0]) <= 3 && of(tenants[1]) <= 3);
    // All places are held, and whoever has none gets one nevertheless; it gets no second one.
    for tenant in &tenants[2..] {
        ground.accept(*tenant, 9).unwrap();
        ground.accept(*tenant, 9).unwrap();
        assert_eq!(ground.next().unwrap().job.tenant, *tenant);
    }
    assert!(ground.next().is_none());
}

#[test]
fn a_run_that_can_never_go_on_is_told_so_after_some_tries() {
    let mut ground = Ground::new(Settings::default());
    let tenant = ground.tenant();
    ground.accept(tenant, 1).unwrap();
    let mut now = NOW;
    for tries in 0..Broken::MOST {
        let mut start = ground.state.next(now).unwrap();
        assert_eq!(start.broken.map_or(0, |broken| broken.times), tries);
        match tries {
            0 => {
                let lost = Lost { job: start.job.clone(), held: true, broken: start.broken };
                ground.state.lost(&lost, now);
            }
            _ => assert!(ground.state.leave(&mut start, Rest::Broken("it is odd"), now).is_none()),
        }
        now = now.plus(Duration::from_secs(5));
        // What passes does not count.
        let mut start = ground.state.next(now).unwrap();
        ground.state.leave(&mut start, Rest::Later, now);
        now = now.plus(Duration::from_secs(5));
    }
    let mut start = ground.state.next(now).unwrap();
    assert_eq!(start.broken, Some(Broken { times: Broken::MOST, reason: "it is odd" }));
    // Once it goes on, it begins to count anew.
    ground.state.leave(&mut start, Rest::Queued, now);
    assert_eq!(ground.state.next(now).unwrap().broken, None);
}

#[test]
fn a_run_has_one_driver_whatever_is_ordered() {
    let mut ground = Ground::new(Settings::default());
    let tenant = ground.tenant();
    let run = ground.accept(tenant, 1).unwrap();
    ground.order(tenant, run).unwrap();
    let mut ordered = ground.next().unwrap();
    assert!(!ordered.held && ordered.first.is_some());
    // What stood in the queue is not started beside it, and further orders go to the driver there is.
    assert!(ground.next().is_none());
    ground.order(tenant, run).unwrap();
    assert!(ground.next().is_none());
    assert!(matches!(ground.state.leave(&mut ordered, Rest::Queued, NOW), Some(Control::Order(..))));
    assert!(ground.state.leave(&mut ordered, Rest::Queued, NOW).is_none());
    assert!(ground.next().unwrap().held);
}

#[test]
fn suspended_tenants_wait_and_go_on() {
    let mut ground = Ground::new(Settings::default());
    let (one, two) = (ground.tenant(), ground.tenant());
    let run = ground.accept(one, 1).unwrap();
    ground.state.suspend(one);
    ground.accept(two, 1).unwrap();
    assert_eq!(ground.next().unwrap().job.tenant, two);
    assert!(ground.next().is_none());
    ground.state.resume(one);
    let mut start = ground.next().unwrap();
    assert_eq!(start.job.run, run);
    ground.state.suspend(one);
    assert!(matches!(start.controls.try_recv(), Ok(Control::Park)));
    ground.state.leave(&mut start, Rest::Suspended, NOW);
    assert!(ground.next().is_none());
    assert!(ground.state.probe());
    assert!(ground.next().is_some());
}

#[test]
fn a_forgotten_tenant_leaves_nothing_and_takes_nothing_of_others_along() {
    let mut ground = Ground::new(Settings::default());
    let (one, two) = (ground.tenant(), ground.tenant());
    for _ in 0..4 {
        ground.accept(one, 1).unwrap();
    }
    let kept = ground.accept(two, 1).unwrap();
    let mut live = ground.next().unwrap();
    if live.job.tenant == two {
        live = ground.next().unwrap();
    }
    // Others' runs that stand in a queue without a place, wait, and have an order.
    let (three, four) = (ground.tenant(), ground.tenant());
    let parked = ground.accept(three, 0).unwrap();
    let ordered = ground.accept(four, 0).unwrap();
    ground.order(four, ordered).unwrap();
    assert_eq!(ground.state.forget(one), Told::StillUnderWay);
    let stopped = ground.state.leave(&mut live, Rest::Later, NOW);
    assert!(matches!(stopped, Some(Control::Stop)));
    ground.state.leave(&mut live, Rest::Over, NOW);
    assert_eq!(ground.state.forget(one), Told::Forgotten);
    assert!(!ground.state.lanes.contains_key(&one));
    let left: BTreeSet<_> = ground.state.runs.keys().copied().collect();
    assert_eq!(left, BTreeSet::from([kept, parked, ordered]));
    let next = ground.next().unwrap();
    assert!(next.job.run == ordered && next.first.is_some());
}

/// What can happen to the scheduler.
#[derive(Clone, Debug)]
enum Event {
    Accept(usize),
    Start,
    Leave(usize, u8),
    Order(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0usize..3).prop_map(Event::Accept),
        3 => Just(Event::Start),
        4 => (any::<usize>(), 0u8..4).prop_map(|(which, how)| Event::Leave(which, how)),
        1 => any::<usize>().prop_map(Event::Order),
        1 => (1u64..20).prop_map(Event::Pass),
    ]
}

proptest! {
    /// Whatever happens in whatever order: no run has two drivers, no tenant more places than its limit, and
    /// in the end every run that is not over gets its turn.
    #[test]
    fn nothing_is_lost_or_driven_twice(events in proptest::collection::vec(event(), 1..200)) {
        let mut ground = Ground::new(Settings::default());
        let tenants: Vec<TenantId> = (0..3).map(|_| ground.tenant()).collect();
        let (mut live, mut open): (Vec<Start>, Vec<(TenantId, RunId)>) = (Vec::new(), Vec::new());
        let mut now = NOW;
        for event in events {
            match event {
                Event::Accept(tenant) => {
                    let run = ground.accept(tenants[tenant], 2).unwrap();
                    open.push((tenants[tenant], run));
                }
                Event::Start => live.extend(ground.state.next(now)),
                Event::Order(which) if !open.is_empty() => {
                    let (tenant, run) = open[which % open.len()];
                    let _ = ground.order(tenant, run);
                }
                Event::Leave(which, how) if !live.is_empty() => {
                    let mut start = live.swap_remove(which % live.len());
                    let rest = match how {
                        0 => Rest::Over,
                        1 => Rest::Queued,
                        2 => Rest::Waiting(now.plus(Duration::from_secs(5))),
                        _ => Rest::Later,
                    };
                    while ground.state.leave(&mut start, rest, now).is_some() {}
                    if rest == Rest::Over {
                        open.retain(|(_, run)| *run != start.job.run);
                    }
                }
                Event::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Event::Order(_) | Event::Leave(..) => {}
            }
            let mut driven: Vec<RunId> = live.iter().map(|start| start.job.run).collect();
            driven.sort();
            driven.dedup();
            prop_assert_eq!(driven.len(), live.len());
            for tenant in &tenants {
                let held = live.iter().filter(|start| start.held && start.job.tenant == *tenant).count();
                prop_assert!(held <= 2);
            }
        }
        for mut start in live.drain(..) {
            while ground.state.leave(&mut start, Rest::Over, now).is_some() {}
            open.retain(|(_, run)| *run != start.job.run);
        }
        now = now.plus(Duration::from_secs(60));
        while let Some(mut start) = ground.state.next(now) {
            while ground.state.leave(&mut start, Rest::Over, now).is_some() {}
            open.retain(|(_, run)| *run != start.job.run);
        }
        prop_assert!(open.is_empty(), "{:?}", open);
        prop_assert!(ground.state.lanes.is_empty() && ground.state.runs.is_empty());
        prop_assert_eq!((ground.state.held, ground.state.reserved), (0, 0));
    }
}
