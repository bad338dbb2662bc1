//! [`Worker`]: starts a driver for each run that the scheduler admits, and sees them end.

use crate::Settings;
use crate::claims::{Claims, Keeper};
use crate::recovery::{discover, recover, recover_restored};
use crate::retention::keep;
use crate::scheduler::{Lost, Round, Scheduler, Start};
use crate::visit::carry;
use app::App;
use app::dispatch::Dispatch as _;
use app::gateway::Models;
use egress::Egress;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

/// How long the worker sleeps at most without looking.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// How often suspended tenants' runs try whether the tenant takes part again.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked whether tenants whose runs are carried out still take part, where another server may have
/// suspended them.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What all drivers work with.
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) scheduler: Scheduler,
    pub(crate) egress: Arc<dyn Egress>,
    /// Where steps ask models.
    pub(crate) models: Arc<dyn Models>,
    /// The runs that are this process's for now.
    pub(crate) claims: Claims,
    /// Places for steps of all tenants.
    pub(crate) steps: Arc<Semaphore>,
    /// Places for the first step of tenants that have none under way.
    pub(crate) first_steps: Arc<Semaphore>,
}

/// Carries runs out until it is drained.
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Goes on with the runs that a stopped server left, and takes what the scheduler admits.
    pub fn start(
        app: Arc<App>,
        scheduler: Scheduler,
        (egress, models): (Arc<dyn Egress>, Arc<dyn Models>),
        settings: Settings,
    ) -> Self {
        let steps = Arc::new(Semaphore::new(settings.steps));
        let first_steps = Arc::new(Semaphore::new(settings.first_steps));
        let (claims, keeper) = Claims::new(app.env.id(), app.store.clone());
        let shared = Arc::new(Shared { app, scheduler, egress, models, claims, steps, first_steps });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(work(shared, keeper, settings.drain, stopped));
        Self { stop, task }
    }

    /// Begins no further step, waits for those under way up to a time, and ends. What is not done is at
    /// rest, and the next start goes on with it.
    pub async fn drain(self) {
        let _ = self.stop.send(true);
        if self.task.await.is_err() {
            tracing::error!("the worker ended early");
        }
    }
}

/// Which runs the tasks carry out.
type Under = HashMap<Id, Lost>;

async fn work(shared: Arc<Shared>, keeper: Keeper, patience: Duration, mut stopped: watch::Receiver<bool>) {
    let (mut drivers, mut under) = (JoinSet::new(), Under::new());
    // It ends with this, after the last lease was let go of.
    let mut keeping = JoinSet::new();
    let scheduler = shared.scheduler.clone();
    keeping.spawn(keeper.keep(move |run| scheduler.stop(run)));
    let mut recovering = JoinSet::new();
    if shared.app.store.shared() {
        recovering.spawn(discover(Arc::clone(&shared)));
        recovering.spawn(ask_for_standing(Arc::clone(&shared)));
    } else {
        recovering.spawn(recover(Arc::clone(&shared)));
    }
    recovering.spawn(keep(Arc::clone(&shared)));
    let mut probe = tokio::time::interval(PROBE_EVERY);
    loop {
        for start in ask(&shared) {
            let if_lost = Lost { job: start.job.clone(), held: start.held, broken: start.broken };
            let handle = drivers.spawn(carry(Arc::clone(&shared), start));
            under.insert(handle.id(), if_lost);
        }
        for tenant in shared.scheduler.recoveries() {
            recovering.spawn(recover_restored(Arc::clone(&shared), tenant));
        }
        tokio::select! {
            () = shared.scheduler.changed() => {}
            () = tokio::time::sleep(nap(&shared)) => {}
            Some(ended) = drivers.join_next_with_id() => note(&shared, &mut under, ended),
            Some(_) = recovering.join_next() => {}
            _ = probe.tick() => shared.scheduler.probe(),
            _ = stopped.changed() => break,
        }
    }
    recovering.abort_all();
    shared.scheduler.drain();
    let all = async { while drivers.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!(
            runs = drivers.len(),
            "some steps did not end in time; the next start goes on with them"
        );
        drivers.shutdown().await;
        shared.claims.let_all_go();
    }
    shared.claims.settled().await;
}

/// What can be started, with what was asked for it.
fn ask(shared: &Shared) -> Vec<Start> {
    let Round { mut starts, places } = shared.scheduler.round();
    let (mut needs_lease, mut wanted) = (Vec::new(), Vec::new());
    for start in &mut starts {
        if let Some(want) = start.wanted() {
            wanted.push(want);
            needs_lease.push(start);
        }
    }
    let asked = shared.claims.ask(&wanted, places);
    needs_lease.into_iter().zip(asked).for_each(|(start, asked)| start.asked = Some(asked));
    starts
}

/// Parks the runs of tenants that another server has suspended.
async fn ask_for_standing(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        for tenant in shared.claims.tenants() {
            if matches!(shared.app.authenticator.takes_part(tenant).await, Ok(false)) {
                shared.scheduler.suspend(tenant);
            }
        }
    }
}

fn nap(shared: &Shared) -> Duration {
    let Some(due) = shared.scheduler.next_due() else { return LONGEST_NAP };
    let millis = due.millis().saturating_sub(shared.app.env.now().millis()).max(0);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).saturating_add(1)).min(LONGEST_NAP)
}

fn note(shared: &Shared, under: &mut Under, ended: Result<(Id, ()), JoinError>) {
    let id = match &ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    };
    let lost = under.remove(&id);
    if let (Err(_), Some(lost)) = (ended, lost) {
        tracing::error!(tenant.id = %lost.job.tenant, run = %lost.job.run, "a driver fell over");
        shared.scheduler.lost(&lost);
    }
}
