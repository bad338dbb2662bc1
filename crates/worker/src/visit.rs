//! [`carry`]: a run in this process's hands, from asking for it to letting go of it.

use crate::claims::TERM;
use crate::drive::drive;
use crate::scheduler::{Control, Job, Rest, Start};
use crate::worker::Shared;
use app::dispatch::OrderKind;
use authz::SystemPrincipal;
use context::{Admission, Lease, Refusal, RequestFacts};
use errors::{Code, Problem};
use std::sync::Arc;
use store::{Claim, StoreError, Wanted};
use tokio::time::Instant;

/// Drives a run, and again as long as orders for it come in.
pub(crate) async fn carry(shared: Arc<Shared>, mut start: Start) {
    loop {
        let (back, rest) = visit(Arc::clone(&shared), start).await;
        start = back;
        shared.claims.let_go(start.job.run);
        match shared.scheduler.leave(&mut start, rest) {
            None => return,
            Some(control) => start.first = Some(control),
        }
    }
}

async fn visit(shared: Arc<Shared>, mut start: Start) -> (Start, Rest) {
    if matches!(start.first, Some(Control::Stop)) {
        return (start, Rest::Over);
    }
    let lease = match claimed(&shared, &mut start).await {
        Ok(lease) => lease,
        Err(rest) => return refused(start, busy(), rest),
    };
    let facts = RequestFacts::internal(shared.app.env.id());
    let Job { tenant, behalf, .. } = start.job.clone();
    let admitted =
        shared.app.authenticator.admit_system(SystemPrincipal::RunExecution, tenant, behalf, facts).await;
    let admission = match admitted {
        Ok(admission) => admission,
        Err(refusal) => {
            let rest = match refusal {
                Refusal::Suspended => Rest::Suspended,
                Refusal::Unavailable => Rest::Later,
                Refusal::Unauthorized | Refusal::TenantMismatch => Rest::Over,
            };
            return refused(start, refusal.into(), rest);
        }
    };
    let lease = match lease {
        None if start.is_to_be_cancelled() => match taken(&shared, &admission, &start).await {
            Ok(lease) => lease,
            Err(error) => return refused(start, error.into(), Rest::Later),
        },
        lease => lease,
    };
    let admission = match lease {
        Some(lease) => admission.under(lease),
        None => admission,
    };
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

/// The lease on a run that has a place here. What is started for an order alone has none.
async fn claimed(shared: &Shared, start: &mut Start) -> Result<Option<Lease>, Rest> {
    let Some(wanted) = start.wanted() else { return Ok(None) };
    let claim = match start.asked.take() {
        Some(asked) => asked.await.unwrap_or(Err(StoreError::Unavailable)),
        None => shared.claims.claim(Wanted { certain: true, ..wanted }).await,
    };
    match claim {
        Ok(Claim::Held(lease)) => Ok(Some(lease)),
        // Whoever has it ends it no sooner for being asked politely.
        Ok(Claim::Taken | Claim::Full | Claim::OthersTurn) if start.is_to_be_cancelled() => Ok(None),
        Ok(Claim::Taken) => Err(Rest::Elsewhere),
        Ok(Claim::Full) => Err(Rest::Full),
        Ok(Claim::OthersTurn) => Err(Rest::OthersTurn),
        Err(error) => {
            tracing::warn!(tenant.id = %wanted.tenant, run = %wanted.run, %error, "a run could not be claimed");
            Err(Rest::Later)
        }
    }
}

/// Takes a run that is to be cancelled from whoever carries it out, where others may.
async fn taken(shared: &Shared, admission: &Admission, start: &Start) -> Result<Option<Lease>, StoreError> {
    let store = &shared.app.store;
    if !store.shared() {
        return Ok(None);
    }
    let (run, worker, asked) = (start.job.run, shared.claims.worker(), Instant::now());
    let taking = admission.clone().enter(async |tenant| store.take(&tenant, worker, run, TERM).await);
    let taken = taking.await?;
    if let Some(lease) = taken {
        shared.claims.goes_by(start.job.tenant, lease, asked);
    }
    Ok(taken)
}

/// Leaves without having begun; whoever ordered something is told why.
fn refused(mut start: Start, problem: Problem, rest: Rest) -> (Start, Rest) {
    if let Some(Control::Order(_, answer)) = start.first.take() {
        // Whoever ordered may be gone.
        let _ = answer.send(Err(problem));
    }
    (start, rest)
}

fn busy() -> Problem {
    Problem::new(Code::Unavailable, "The run cannot take orders now. Try again.").retry_after(1)
}

impl Start {
    /// Whether it begins with the order to end the run.
    pub(crate) fn is_to_be_cancelled(&self) -> bool {
        matches!(&self.first, Some(Control::Order(order, _)) if order.kind == OrderKind::Cancel)
    }
}
