//! [`Scheduler`]: the queue as use cases and the worker see it. What it decides is in [`state`].

mod job;
mod lane;
mod state;

pub(crate) use job::{Broken, Control, Job, Lost, Rest, Round, Start};

use crate::Settings;
use app::dispatch::{Dispatch, Order, Place};
use async_trait::async_trait;
use context::Tenant;
use env::{Env, Timestamp};
use errors::Problem;
use ids::{RunId, TenantId};
use state::{State, Told};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::RunStatus;
use tokio::sync::{Notify, Semaphore, oneshot, watch};

/// How often it is looked whether a tenant that is being forgotten still has a driver.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which runs there are, where each is, and whose turn it is. Clones are the same one.
#[derive(Clone)]
pub struct Scheduler(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    steps_per_tenant: usize,
    changed: Notify,
    /// Told when others may have left something.
    hint: Notify,
    /// Told when something is left to others.
    left: Notify,
    env: Env,
}

impl Scheduler {
    /// An empty one.
    pub fn new(settings: Settings, env: Env) -> Self {
        let state = Mutex::new(State::new(settings));
        let steps_per_tenant = settings.steps_per_tenant;
        Self(Arc::new(Inner {
            state,
            steps_per_tenant,
            changed: Notify::new(),
            hint: Notify::new(),
            left: Notify::new(),
            env,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when there may be something to start.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Says that others may have left something to carry out.
    pub fn look(&self) {
        self.0.hint.notify_one();
    }

    /// Ready when [`Self::look`] was said.
    pub(crate) async fn hinted(&self) {
        self.0.hint.notified().await;
    }

    /// Ready when something was left that others may carry out, since it was asked last. One asks at a time.
    pub async fn left(&self) {
        self.0.left.notified().await;
    }

    /// The runs to ask for next.
    pub(crate) fn round(&self) -> Round {
        self.state().round(self.0.env.now())
    }

    /// When the next run that waits is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.state().next_due()
    }

    /// Tenants whose stores were restored and are to be looked through.
    pub(crate) fn recoveries(&self) -> Vec<TenantId> {
        std::mem::take(&mut self.state().recoveries)
    }

    /// Takes in a run that a stopped or another server left.
    pub(crate) fn recovered(&self, tenant: &Tenant<'_>, job: Job, due: Option<Timestamp>) {
        let limits = tenant.standing().limits.clone();
        self.state().recovered(job, due, &limits);
        self.0.changed.notify_one();
    }

    /// Takes in runs of a tenant that nobody may look at now.
    pub(crate) fn recovered_parked(&self, job: Job) {
        self.state().recovered_parked(job);
    }

    /// Whether the run is here, wherever it waits.
    pub(crate) fn knows(&self, run: RunId) -> bool {
        self.state().knows(run)
    }

    /// Ends the driver of a run that was lost to somebody else.
    pub(crate) fn stop(&self, run: RunId) {
        self.state().stop(run);
    }

    /// What the tenant may use, as of a fresh admission.
    pub(crate) fn refresh(&self, tenant: &Tenant<'_>) {
        let limits = tenant.standing().limits.clone();
        self.state().refresh(tenant.id(), &limits);
    }

    /// A driver ends. If an order came in meanwhile, it must go on with that.
    pub(crate) fn leave(&self, start: &mut Start, rest: Rest) -> Option<Control> {
        let again = self.state().leave(start, rest, self.0.env.now());
        self.0.changed.notify_one();
        again
    }

    /// A driver ended without a word, and is tried again later.
    pub(crate) fn lost(&self, lost: &Lost) {
        self.state().lost(lost, self.0.env.now());
        self.0.changed.notify_one();
    }

    /// Something of the run has become durable.
    pub(crate) fn ring(&self, run: RunId) {
        self.state().ring(run);
    }

    /// How many places for steps each tenant has.
    pub(crate) fn steps_per_tenant(&self) -> usize {
        self.0.steps_per_tenant
    }

    /// The tenant's places for steps.
    pub(crate) fn step_places(&self, tenant: TenantId) -> Arc<Semaphore> {
        self.state().step_places(tenant)
    }

    /// The tenant's turn to look for a record and then add it.
    pub(crate) fn upserts(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<()>> {
        self.state().upserts(tenant)
    }

    /// Begins nothing any more, and has every driver end as soon as its steps have.
    pub(crate) fn drain(&self) {
        self.state().drain();
    }

    /// Tries again whether suspended tenants take part by now.
    pub(crate) fn probe(&self) {
        if self.state().probe() {
            self.0.changed.notify_one();
        }
    }
}

#[async_trait]
impl Dispatch for Scheduler {
    fn reserve(&self, tenant: &Tenant<'_>) -> Result<Place, Problem> {
        let (id, limits) = (tenant.id(), tenant.standing().limits.clone());
        self.state().reserve(id, &limits)?;
        let scheduler = self.clone();
        Ok(Place::new(move || scheduler.state().give_back(id)))
    }

    fn enqueue(&self, tenant: &Tenant<'_>, place: Place, run: RunId) {
        let principal = tenant.principal();
        let behalf = principal.on_behalf_of.clone().unwrap_or_else(|| principal.id.clone());
        if self.state().enqueue(Job { tenant: tenant.id(), run, behalf: Some(behalf) }) {
            self.0.left.notify_one();
        }
        drop(place);
        self.0.changed.notify_one();
    }

    fn under_way(&self, tenant: &Tenant<'_>) -> u64 {
        self.state().under_way(tenant.id())
    }

    async fn order(&self, tenant: &Tenant<'_>, run: RunId, order: Order) -> Result<RunStatus, Problem> {
        let (answer, answered) = oneshot::channel();
        let principal = tenant.principal();
        let job = Job { tenant: tenant.id(), run, behalf: Some(principal.id.clone()) };
        let limits = tenant.standing().limits.clone();
        self.state().order(job, Control::Order(Box::new(order), answer), &limits)?;
        self.0.changed.notify_one();
        answered.await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    fn bell(&self, _: &Tenant<'_>, run: RunId) -> watch::Receiver<u64> {
        self.state().bell(run)
    }

    fn suspend(&self, tenant: TenantId) {
        self.state().suspend(tenant);
    }

    fn resume(&self, tenant: TenantId) {
        let mut state = self.state();
        state.resume(tenant);
        // Its store may have been restored while nobody was let in to look through it.
        state.recoveries.push(tenant);
        drop(state);
        self.0.changed.notify_one();
    }

    async fn forget(&self, tenant: TenantId) {
        while self.state().forget(tenant) == Told::StillUnderWay {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn recover(&self, tenant: TenantId) {
        self.state().recoveries.push(tenant);
        self.0.changed.notify_one();
    }
}
