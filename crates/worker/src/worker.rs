//! [`Worker`]: starts a driver for each run that the scheduler admits, and sees them end.

use crate::Settings;
use crate::drive::drive;
use crate::recovery::{recover, recover_restored};
use crate::retention::keep;
use crate::scheduler::{Control, Job, Lost, Rest, Scheduler, Start};
use app::App;
use authz::SystemPrincipal;
use context::{Refusal, RequestFacts};
use egress::Egress;
use errors::Problem;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

/// How long the worker sleeps at most without looking.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// How often suspended tenants' runs try whether the tenant takes part again.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// What all drivers work with.
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) scheduler: Scheduler,
    pub(crate) egress: Arc<dyn Egress>,
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
    pub fn start(app: Arc<App>, scheduler: Scheduler, egress: Arc<dyn Egress>, settings: Settings) -> Self {
        let steps = Arc::new(Semaphore::new(settings.steps));
        let first_steps = Arc::new(Semaphore::new(settings.first_steps));
        let shared = Arc::new(Shared { app, scheduler, egress, steps, first_steps });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(work(shared, settings.drain, stopped));
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

async fn work(shared: Arc<Shared>, patience: Duration, mut stopped: watch::Receiver<bool>) {
    let (mut drivers, mut under) = (JoinSet::new(), Under::new());
    let mut recovering = JoinSet::new();
    recovering.spawn(recover(Arc::clone(&shared)));
    recovering.spawn(keep(Arc::clone(&shared)));
    let mut probe = tokio::time::interval(PROBE_EVERY);
    loop {
        while let Some(start) = shared.scheduler.next() {
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

/// Drives a run, and again as long as orders for it come in.
async fn carry(shared: Arc<Shared>, mut start: Start) {
    loop {
        let (back, rest) = visit(Arc::clone(&shared), start).await;
        start = back;
        match shared.scheduler.leave(&mut start, rest) {
            None => return,
            Some(control) => start.first = Some(control),
        }
    }
}

async fn visit(shared: Arc<Shared>, mut start: Start) -> (Start, Rest) {
    let facts = RequestFacts::internal(shared.app.env.id());
    let Job { tenant, behalf, .. } = start.job.clone();
    let admitted =
        shared.app.authenticator.admit_system(SystemPrincipal::RunExecution, tenant, behalf, facts).await;
    match admitted {
        Ok(admission) => {
            let own = admission.clone();
            let visit = admission.enter_boxed(move |tenant| {
                Box::pin(async move {
                    shared.scheduler.refresh(&tenant);
                    let rest = drive(&shared, &tenant, &own, &mut start).await;
                    (start, rest)
                })
            });
            visit.await
        }
        Err(refusal) => {
            if let Some(Control::Order(_, answer)) = start.first.take() {
                // Whoever ordered may be gone.
                let _ = answer.send(Err(Problem::from(refusal)));
            }
            let rest = match refusal {
                Refusal::Suspended => Rest::Suspended,
                Refusal::Unavailable => Rest::Later,
                Refusal::Unauthorized | Refusal::TenantMismatch => Rest::Over,
            };
            (start, rest)
        }
    }
}
