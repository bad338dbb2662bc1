//! Going on with the runs that a stopped server left, or that a restored store says are under way.

use crate::open::open;
use crate::scheduler::Job;
use crate::worker::Shared;
use authz::SystemPrincipal;
use context::{Read, Refusal, RequestFacts, Tenant, on};
use errors::Problem;
use ids::{Id, RunId, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{PageRequest, PendingWork, RunStatus, WorkKind};

/// How often recovery is tried where the store does not answer.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Takes in every run that has begun and not ended. Each tenant is entered once for it.
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
    for (tenant, work) in tenants {
        while !recover_tenant(&shared, tenant, &work).await {
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

/// Whether it is done with.
async fn recover_tenant(shared: &Shared, tenant: TenantId, work: &[PendingWork]) -> bool {
    let facts = RequestFacts::internal(shared.app.env.id());
    let admitted =
        shared.app.authenticator.admit_system(SystemPrincipal::RunRecovery, tenant, None, facts).await;
    match admitted {
        Ok(admission) => {
            admission.enter(async |tenant| take_in(shared, &tenant, work).await).await;
            true
        }
        Err(Refusal::Suspended) => {
            for work in work {
                let run = RunId::from_bytes(work.id);
                shared.scheduler.recovered_parked(Job { tenant, run, behalf: None });
            }
            true
        }
        // It was erased.
        Err(Refusal::Unauthorized | Refusal::TenantMismatch) => true,
        Err(Refusal::Unavailable) => {
            tracing::error!(tenant.id = %tenant, "a tenant's runs wait for its store");
            false
        }
    }
}

async fn take_in(shared: &Shared, tenant: &Tenant<'_>, work: &[PendingWork]) {
    let mut count = 0usize;
    for work in work {
        let run = RunId::from_bytes(work.id);
        match started_by(shared, tenant, run).await {
            Ok(behalf) => {
                shared.scheduler.recovered(tenant, Job { tenant: tenant.id(), run, behalf }, work.due);
                count += 1;
            }
            Err(problem) => {
                tracing::warn!(tenant.id = %tenant.id(), %run, %problem, "a run is not taken up again");
            }
        }
    }
    tracing::info!(tenant.id = %tenant.id(), runs = count, "going on with runs");
}

/// Takes in what a restored store says is under way. Marks of work are not part of a backup, so all runs
/// that are not over are looked for.
pub(crate) async fn recover_restored(shared: Arc<Shared>, tenant: TenantId) {
    let facts = RequestFacts::internal(shared.app.env.id());
    let admitted =
        shared.app.authenticator.admit_system(SystemPrincipal::RunRecovery, tenant, None, facts).await;
    let Ok(admission) = admitted else {
        tracing::error!(tenant.id = %tenant, "the runs of a restored tenant are not looked for");
        return;
    };
    let looked = admission.enter(async |tenant| {
        for status in [RunStatus::Queued, RunStatus::Running, RunStatus::Waiting] {
            take_in_all(&shared, &tenant, status).await?;
        }
        Ok::<_, Problem>(())
    });
    if let Err(problem) = looked.await {
        tracing::error!(tenant.id = %tenant, %problem, "the runs of a restored tenant were not all found");
    }
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
