//! What the scheduler knows and decides. No clock, no task: all of it is called under one lock.

mod room;
mod round;

use super::job::{Broken, Control, Job, Lost, Rest, Start, controls};
use super::lane::Lane;
use crate::Settings;
use app::dispatch::OrderKind;
use env::Timestamp;
use errors::{Code, Problem};
use ids::{RunId, TenantId};
use metering::fair::FairQueue;
use metering::plan::Limits;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// How long after a failure of ours a run is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long after its tenant had as many runs carried out as may be a run is tried again.
const WHILE_FULL: Duration = Duration::from_millis(250);
/// Bells that may be kept although nobody listens.
const IDLE_BELLS: usize = 1_024;
/// Where the queue bounds nothing, because what waits is durable and must not be lost.
const UNBOUNDED: usize = usize::MAX;

enum Whereabouts {
    Queued,
    Waiting(Timestamp),
    Live(mpsc::Sender<Control>),
}

struct Known {
    job: Job,
    place: Whereabouts,
    broken: Option<Broken>,
}

/// Whether a tenant has been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Forgotten,
    StillUnderWay,
}

pub(super) struct State {
    settings: Settings,
    queue: FairQueue<TenantId, RunId>,
    lanes: HashMap<TenantId, Lane>,
    runs: HashMap<RunId, Known>,
    timers: BTreeSet<(Timestamp, RunId)>,
    /// Drivers with an order, which need no place.
    urgent: VecDeque<Start>,
    bells: HashMap<RunId, watch::Sender<u64>>,
    /// Tenants whose stores were restored.
    pub(super) recoveries: Vec<TenantId>,
    reserved: usize,
    held: usize,
    draining: bool,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            queue: FairQueue::new(UNBOUNDED, UNBOUNDED),
            lanes: HashMap::new(),
            runs: HashMap::new(),
            timers: BTreeSet::new(),
            urgent: VecDeque::new(),
            bells: HashMap::new(),
            recoveries: Vec::new(),
            reserved: 0,
            held: 0,
            draining: false,
        }
    }

    fn lane(&mut self, tenant: TenantId) -> &mut Lane {
        let steps = self.settings.steps_per_tenant;
        self.lanes.entry(tenant).or_insert_with(|| Lane::new(steps))
    }

    pub(super) fn refresh(&mut self, tenant: TenantId, limits: &Limits) {
        self.set_limits(tenant, limits);
        self.tidy(tenant);
    }

    fn set_limits(&mut self, tenant: TenantId, limits: &Limits) {
        let most = u64::try_from(self.settings.runs_per_tenant).unwrap_or(u64::MAX);
        let lane = self.lane(tenant);
        lane.limit = limits.concurrent_runs.unwrap_or(most).min(most);
        lane.at_once = limits.concurrent_runs.unwrap_or(u64::MAX);
        lane.weight = limits.weight();
    }

    /// Forgets a lane that nothing needs.
    fn tidy(&mut self, tenant: TenantId) {
        if self.lanes.get(&tenant).is_some_and(Lane::is_idle) {
            self.lanes.remove(&tenant);
        }
    }

    /// How many of the tenant's runs hold a place.
    pub(super) fn under_way(&self, tenant: TenantId) -> u64 {
        self.lanes.get(&tenant).map_or(0, |lane| lane.held)
    }

    /// Takes a run in; gives back whether it has to wait here.
    pub(super) fn enqueue(&mut self, job: Job) -> bool {
        let (tenant, run) = (job.tenant, job.run);
        if self.runs.insert(run, Known { job, place: Whereabouts::Queued, broken: None }).is_none() {
            self.lane(tenant).unfinished += 1;
        }
        self.push(tenant, run);
        self.held >= self.settings.runs || !self.lane(tenant).may_start()
    }

    fn push(&mut self, tenant: TenantId, run: RunId) {
        let weight = self.lane(tenant).weight;
        if self.queue.push(tenant, weight, run).is_err() {
            tracing::error!(tenant.id = %tenant, %run, "an unbounded queue was full");
        }
    }

    pub(super) fn recovered(&mut self, job: Job, due: Option<Timestamp>, limits: &Limits) {
        if self.runs.contains_key(&job.run) {
            return;
        }
        self.lane(job.tenant).unfinished += 1;
        self.refresh(job.tenant, limits);
        let place = match due {
            None => Whereabouts::Queued,
            Some(due) => Whereabouts::Waiting(due),
        };
        self.settle(job, place, None);
    }

    pub(super) fn recovered_parked(&mut self, job: Job) {
        if self.runs.contains_key(&job.run) {
            return;
        }
        let lane = self.lane(job.tenant);
        lane.unfinished += 1;
        lane.suspended = true;
        self.settle(job, Whereabouts::Queued, None);
    }

    /// Puts a run where it waits.
    fn settle(&mut self, job: Job, place: Whereabouts, broken: Option<Broken>) {
        let (tenant, run) = (job.tenant, job.run);
        match &place {
            Whereabouts::Queued => self.push(tenant, run),
            Whereabouts::Waiting(at) => {
                self.timers.insert((*at, run));
            }
            Whereabouts::Live(_) => {}
        }
        self.runs.insert(run, Known { job, place, broken });
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Runs whose time has come wait for a place from now on.
    fn wake(&mut self, now: Timestamp) {
        while let Some((at, run)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, run));
            let Some(known) = self.runs.get_mut(&run) else { continue };
            if matches!(known.place, Whereabouts::Waiting(due) if due == at) {
                known.place = Whereabouts::Queued;
                let tenant = known.job.tenant;
                self.push(tenant, run);
            }
        }
    }

    pub(super) fn next(&mut self, now: Timestamp) -> Option<Start> {
        if self.draining {
            return None;
        }
        self.wake(now);
        if let Some(start) = self.urgent.pop_front() {
            return Some(start);
        }
        while self.held < self.settings.runs + self.settings.first_runs {
            let (lanes, only_first) = (&self.lanes, self.held >= self.settings.runs);
            let eligible = |tenant: &TenantId| {
                lanes.get(tenant).is_some_and(|lane| lane.may_start() && !(only_first && lane.held > 0))
            };
            let (_, run) = self.queue.pop(eligible)?;
            if let Some(start) = self.begin(run, only_first) {
                return Some(start);
            }
        }
        None
    }

    /// A run that was waiting begins. What was ordered something or ended meanwhile is not waiting any more.
    fn begin(&mut self, run: RunId, certain: bool) -> Option<Start> {
        let known = self.runs.get_mut(&run).filter(|known| matches!(known.place, Whereabouts::Queued))?;
        let (sender, controls) = controls();
        known.place = Whereabouts::Live(sender);
        let (job, broken) = (known.job.clone(), known.broken);
        self.held += 1;
        let lane = self.lane(job.tenant);
        lane.held += 1;
        let (at_once, weight) = (lane.at_once, lane.weight);
        Some(Start { job, held: true, certain, at_once, weight, asked: None, broken, first: None, controls })
    }

    /// Gives an order to the run's driver, or to one that is started for it.
    pub(super) fn order(&mut self, job: Job, control: Control, limits: &Limits) -> Result<(), Problem> {
        let busy =
            || Problem::new(Code::ConcurrencyLimited, "The run has other orders waiting.").retry_after(1);
        let retries =
            matches!(&control, Control::Order(order, _) if matches!(order.kind, OrderKind::Retry { .. }));
        if let Some(Known { place: Whereabouts::Live(driver), .. }) = self.runs.get(&job.run) {
            return driver.try_send(control).map_err(|_| busy());
        }
        let broken = self.runs.get(&job.run).and_then(|known| known.broken);
        let known = self.runs.get(&job.run).map(|known| known.job.clone());
        if known.is_none() {
            if retries {
                self.room(job.tenant)?;
            }
            self.lane(job.tenant).unfinished += 1;
        }
        self.set_limits(job.tenant, limits);
        let job = known.unwrap_or(job);
        let (sender, controls) = controls();
        self.settle(job.clone(), Whereabouts::Live(sender), broken);
        let lane = self.lane(job.tenant);
        let (at_once, weight) = (lane.at_once, lane.weight);
        let (held, certain, asked, first) = (false, true, None, Some(control));
        self.urgent.push_back(Start { job, held, certain, at_once, weight, asked, broken, first, controls });
        Ok(())
    }

    pub(super) fn leave(&mut self, start: &mut Start, rest: Rest, now: Timestamp) -> Option<Control> {
        while rest != Rest::Suspended
            && let Ok(control) = start.controls.try_recv()
        {
            if !matches!(control, Control::Park) {
                return Some(control);
            }
        }
        let job = start.job.clone();
        self.release(&job, start.held);
        match rest {
            Rest::Over | Rest::Elsewhere => self.remove(&job),
            Rest::OthersTurn => self.put_back(job, start.broken),
            Rest::Full => self.settle(job, Whereabouts::Waiting(now.plus(WHILE_FULL)), start.broken),
            Rest::Queued => self.settle(job, Whereabouts::Queued, None),
            Rest::Waiting(at) => self.settle(job, Whereabouts::Waiting(at), None),
            Rest::Later => self.settle(job, Whereabouts::Waiting(now.plus(AFTER_FAILURE)), start.broken),
            Rest::Broken(reason) => {
                let broken = Some(Broken::again(start.broken, reason));
                self.settle(job, Whereabouts::Waiting(now.plus(AFTER_FAILURE)), broken);
            }
            Rest::Suspended => {
                self.lane(job.tenant).suspended = true;
                self.settle(job, Whereabouts::Queued, start.broken);
            }
        }
        None
    }

    pub(super) fn lost(&mut self, lost: &Lost, now: Timestamp) {
        self.release(&lost.job, lost.held);
        let broken = Some(Broken::again(lost.broken, "its driver fell over"));
        self.settle(lost.job.clone(), Whereabouts::Waiting(now.plus(AFTER_FAILURE)), broken);
    }

    fn release(&mut self, job: &Job, held: bool) {
        if held {
            self.held = self.held.saturating_sub(1);
            let lane = self.lane(job.tenant);
            lane.held = lane.held.saturating_sub(1);
        }
    }

    fn remove(&mut self, job: &Job) {
        if self.runs.remove(&job.run).is_some() {
            let lane = self.lane(job.tenant);
            lane.unfinished = lane.unfinished.saturating_sub(1);
        }
        self.tidy(job.tenant);
    }

    pub(super) fn bell(&mut self, run: RunId) -> watch::Receiver<u64> {
        if self.bells.len() >= IDLE_BELLS {
            self.bells.retain(|_, bell| bell.receiver_count() > 0);
        }
        self.bells.entry(run).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    pub(super) fn ring(&mut self, run: RunId) {
        let Some(bell) = self.bells.get(&run) else { return };
        if bell.receiver_count() == 0 {
            self.bells.remove(&run);
        } else {
            bell.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn step_places(&mut self, tenant: TenantId) -> Arc<Semaphore> {
        self.lane(tenant).steps.clone()
    }

    pub(super) fn upserts(&mut self, tenant: TenantId) -> Arc<tokio::sync::Mutex<()>> {
        self.lane(tenant).upserts.clone()
    }

    /// Whether the run is here, wherever it waits.
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// Ends the driver of a run that was lost to somebody else.
    pub(super) fn stop(&self, run: RunId) {
        if let Some(Known { place: Whereabouts::Live(driver), .. }) = self.runs.get(&run) {
            // A driver with that many orders ahead finds out with the first of them.
            let _ = driver.try_send(Control::Stop);
        }
    }

    fn tell(&self, tenant: Option<TenantId>, control: impl Fn() -> Control) {
        let of = self.runs.values().filter(|known| tenant.is_none_or(|tenant| known.job.tenant == tenant));
        for known in of {
            if let Whereabouts::Live(driver) = &known.place {
                // A driver with that many orders ahead ends soon anyway.
                let _ = driver.try_send(control());
            }
        }
    }

    pub(super) fn suspend(&mut self, tenant: TenantId) {
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.suspended = true;
            self.tell(Some(tenant), || Control::Park);
        }
    }

    pub(super) fn resume(&mut self, tenant: TenantId) {
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.suspended = false;
        }
    }

    /// Lets suspended tenants try again; admission says whether they take part.
    pub(super) fn probe(&mut self) -> bool {
        let mut any = false;
        for lane in self.lanes.values_mut().filter(|lane| lane.suspended) {
            lane.suspended = false;
            any = true;
        }
        any
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.urgent.clear();
        self.tell(None, || Control::Park);
    }

    pub(super) fn forget(&mut self, tenant: TenantId) -> Told {
        self.queue.remove(&tenant);
        let (gone, urgent) = self.urgent.drain(..).partition(|start| start.job.tenant == tenant);
        self.urgent = urgent;
        for start in gone {
            self.remove(&start.job);
        }
        self.tell(Some(tenant), || Control::Stop);
        let live = |known: &Known| matches!(known.place, Whereabouts::Live(_));
        let gone: Vec<_> = self
            .runs
            .values()
            .filter(|known| known.job.tenant == tenant && !live(known))
            .map(|known| known.job.clone())
            .collect();
        for job in &gone {
            self.remove(job);
        }
        self.timers.retain(|(_, run)| self.runs.contains_key(run));
        let left = self.runs.values().any(|known| known.job.tenant == tenant);
        if left { Told::StillUnderWay } else { Told::Forgotten }
    }
}

#[cfg(test)]
mod tests;
