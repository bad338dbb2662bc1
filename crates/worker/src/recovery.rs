//! Going on with the runs that a stopped server left, or that a restored store says are under way.

use crate::open::open;
use crate::scheduler::Job;
use crate::worker::Shared;
use authz::SystemPrincipal;
use context::{Admission, Read, Refusal, RequestFacts, Tenant, on};
use errors::{Code, Problem};
use futures::{StreamExt as _, stream};
use ids::{Id, RunId, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use store::{PageRequest, PendingWork, RunStatus, StoreError, WorkKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How soon recovery is tried again where the store does not answer. Each time it takes twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long one try for one tenant may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often runs are looked for that nobody carries out, and how many at most: of one tenant, and of all.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const OF_ONE: u32 = 32;
const AT_MOST: u32 = 512;
/// Tenants that are looked at at once.
const AT_ONCE: usize = 8;

/// Takes in runs that nobody carries out, as long as other processes may leave some: those that died, those that have
/// no place, and those that let others have what has become due.
pub(crate) async fn discover(shared: Arc<Shared>) {
    let mut put_off: HashMap<TenantId, (Instant, Duration)> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.scheduler.hinted() => {}
        }
        let found = match shared.app.store.unheld(OF_ONE, AT_MOST).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the runs that nobody carries out cannot be listed");
                continue;
            }
        };
        let now = Instant::now();
        let mut tenants: BTreeMap<TenantId, Vec<PendingWork>> = BTreeMap::new();
        for work in found.into_iter().filter(|work| !shared.scheduler.knows(RunId::from_bytes(work.id))) {
            tenants.entry(work.tenant).or_default().push(work);
        }
        put_off.retain(|tenant, _| tenants.contains_key(tenant));
        tenants.retain(|tenant, _| put_off.get(tenant).is_none_or(|(until, _)| *until <= now));
        let looked = stream::iter(tenants).map(async |(tenant, mut work)| {
            let tried = tokio::time::timeout(PATIENCE, take_in(&shared, tenant, &mut work)).await;
            (tenant, tried.unwrap_or_else(|_| Err(StoreError::Unavailable.into())))
        });
        let mut looked = looked.buffer_unordered(AT_ONCE);
        while let Some((tenant, taken)) = looked.next().await {
            let Err(problem) = taken else {
                put_off.remove(&tenant);
                continue;
            };
            tracing::error!(tenant.id = %tenant, %problem, "a tenant's runs wait for its store");
            let pause = put_off.get(&tenant).map_or(TRY_AGAIN, |(_, pause)| (*pause * 2).min(LONGEST_PAUSE));
            put_off.insert(tenant, (Instant::now() + pause, pause));
        }
    }
}

/// Takes in every run that has begun and not ended. A tenant whose store does not answer is tried again and
/// again, and holds up no other.
pub(crate) async fn recover(shared: Arc<Shared>) {
    let pending = loop {
        match shared.app.store.pending(WorkKind::Run).await {
            Ok(pending) => break pending,
            Err(error) => tracing::error!(%error, "the runs under way cannot be listed"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    };
    let mut tenants: BTreeMap<TenantId, Vec<PendingWork>> = BTreeMap::new();
    for work in pending {
        tenants.entry(work.tenant).or_default().push(work);
    }
    let places = Arc::new(Semaphore::new(AT_ONCE));
    // What is in it ends with this.
    let mut all = JoinSet::new();
    for (tenant, work) in tenants {
        all.spawn(recover_one(Arc::clone(&shared), Arc::clone(&places), tenant, work));
    }
    while all.join_next().await.is_some() {}
}

async fn recover_one(
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    tenant: TenantId,
    mut work: Vec<PendingWork>,
) {
    let mut pause = TRY_AGAIN;
    loop {
        let Ok(place) = places.acquire().await else { return };
        let tried = tokio::time::timeout(PATIENCE, take_in(&shared, tenant, &mut work)).await;
        drop(place);
        match tried {
            Ok(Ok(())) => return,
            Ok(Err(_)) if is_gone(&shared, tenant).await => return,
            Ok(Err(problem)) => {
                tracing::error!(tenant.id = %tenant, %problem, runs = work.len(), "a tenant's runs wait for its store");
            }
            Err(_) => {
                tracing::error!(tenant.id = %tenant, runs = work.len(), "a tenant's store does not answer");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A visit to the tenant; `None` where it was erased.
async fn admitted(shared: &Shared, tenant: TenantId) -> Result<Option<Admission>, Refusal> {
    let facts = RequestFacts::internal(shared.app.env.id());
    let admitted =
        shared.app.authenticator.admit_system(SystemPrincipal::RunRecovery, tenant, None, facts).await;
    match admitted {
        Ok(admission) => Ok(Some(admission)),
        Err(Refusal::Unauthorized | Refusal::TenantMismatch) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether the tenant was erased meanwhile, so that what could not be read of it is nobody's any more.
async fn is_gone(shared: &Shared, tenant: TenantId) -> bool {
    matches!(admitted(shared, tenant).await, Ok(None))
}

/// Takes the tenant's runs in, and out of `work`.
async fn take_in(shared: &Shared, tenant: TenantId, work: &mut Vec<PendingWork>) -> Result<(), Problem> {
    let admission = match admitted(shared, tenant).await {
        Ok(Some(admission)) => admission,
        Ok(None) => return Ok(()),
        Err(Refusal::Suspended) => {
            for work in work {
                let run = RunId::from_bytes(work.id);
                shared.scheduler.recovered_parked(Job { tenant, run, behalf: None });
            }
            return Ok(());
        }
        Err(refusal) => return Err(refusal.into()),
    };
    admission
        .enter(async |tenant| {
            let count = work.len();
            while let Some(next) = work.last() {
                let run = RunId::from_bytes(next.id);
                match started_by(shared, &tenant, run).await {
                    Ok(behalf) => {
                        let job = Job { tenant: tenant.id(), run, behalf };
                        shared.scheduler.recovered(&tenant, job, next.due);
                    }
                    // It is gone. Whatever else keeps it from being read may pass.
                    Err(problem) if problem.code == Code::NotFound => {}
                    Err(problem) => return Err(problem),
                }
                work.pop();
            }
            tracing::info!(tenant.id = %tenant.id(), runs = count, "going on with runs");
            Ok(())
        })
        .await
}

/// Takes in what a restored store says is under way. Marks of work are not part of a backup, so all runs
/// that are not over are looked for. A tenant that is suspended is looked through when it takes part again.
pub(crate) async fn recover_restored(shared: Arc<Shared>, tenant: TenantId) {
    let mut pause = TRY_AGAIN;
    while let Err(problem) = look_through(&shared, tenant).await {
        if is_gone(&shared, tenant).await {
            return;
        }
        tracing::error!(tenant.id = %tenant, %problem, "the runs of a restored tenant were not all found");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn look_through(shared: &Shared, tenant: TenantId) -> Result<(), Problem> {
    let admission = match admitted(shared, tenant).await {
        Ok(Some(admission)) => admission,
        Ok(None) | Err(Refusal::Suspended) => return Ok(()),
        Err(refusal) => return Err(refusal.into()),
    };
    admission
        .enter(async |tenant| {
            for status in [RunStatus::Queued, RunStatus::Running, RunStatus::Waiting] {
                take_in_all(shared, &tenant, status).await?;
            }
            Ok(())
        })
        .await
}

async fn take_in_all(shared: &Shared, tenant: &Tenant<'_>, status: RunStatus) -> Result<(), Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    let mut page = PageRequest { limit: PageRequest::MAX_LIMIT, cursor: None };
    loop {
        let found = open(tenant, shared.app.store.runs(&access, None, Some(status), &page).await?)?;
        for run in found.data {
            let job = Job { tenant: tenant.id(), run: run.id, behalf: Some(run.started_by) };
            shared.scheduler.recovered(tenant, job, run.due);
        }
        match found.next_cursor {
            None => return Ok(()),
            next => page.cursor = next,
        }
    }
}

async fn started_by(shared: &Shared, tenant: &Tenant<'_>, run: RunId) -> Result<Option<String>, Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    let run = shared.app.store.run(&access, run).await?;
    Ok(Some(open(tenant, run.map(|run| run.started_by))?))
}
