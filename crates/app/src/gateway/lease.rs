//! Calls whose outcome a crash left unknown: charged their whole reservation when their lease ends.

use super::settle::{Ending, outcome_event};
use crate::App;
use audit::event::Outcome;
use authz::SystemPrincipal;
use context::{Private, RequestFacts, Tenant, door};
use errors::Problem;
use ids::{CallId, Id};
use metering::tokens::Tokens;
use store::{Call, CallKind, CallOutcome, CallStatus, Commit, PendingWork, StoreError, WorkKind};

/// Ends every call whose lease is over, and gives back how many there were. To be called at the start and
/// every few seconds: calls that end as they should are never among them.
pub async fn expire_leases(app: &App) -> Result<u64, StoreError> {
    let now = app.env.now();
    let mut ended = 0;
    for work in app.store.pending(WorkKind::Call).await? {
        if work.due.is_none_or(|due| due > now) {
            continue;
        }
        match expire(app, work).await {
            Ok(true) => ended += 1,
            Ok(false) => {}
            // One tenant that cannot be entered, being suspended say, keeps nobody else waiting.
            Err(problem) => {
                tracing::warn!(tenant.id = %work.tenant, %problem, "a call's lease could not be ended");
            }
        }
    }
    Ok(ended)
}

async fn expire(app: &App, work: PendingWork) -> Result<bool, Problem> {
    let facts = RequestFacts::internal(app.env.id());
    let admitted = app.authenticator.admit_system(SystemPrincipal::LeaseExpiry, work.tenant, None, facts);
    let admission = admitted.await?;
    admission.enter(async |tenant| charge(app, &tenant, CallId::from_bytes(work.id)).await).await
}

/// Charges an open call its whole reservation.
async fn charge(app: &App, tenant: &Tenant<'_>, id: CallId) -> Result<bool, Problem> {
    let found: Private<'_, (Call, bool)> = app.store.call(tenant, id).await?;
    let (call, open) = door::answer(tenant, found).map_err(StoreError::from)?;
    if !open {
        return Ok(false);
    }
    // The meter knows the reservation from here on, and holds it until it is charged.
    app.limiter.budgets(tenant).await?;
    let outcome = CallOutcome {
        status: CallStatus::Unknown,
        finished_at: app.env.now(),
        tokens: Tokens::default(),
        cost: call.reserved,
        unpriced: false,
        estimated: true,
        cached: false,
    };
    let mut draft = outcome_event(tenant, &call, &outcome, Ending::Answered);
    draft.result = Outcome::OutcomeUnknown;
    if call.kind == CallKind::Service {
        draft.action = SERVICE_CALL;
        "service".clone_into(&mut draft.resource.kind);
    }
    app.store.end_call(tenant, &call, outcome, Commit::event(draft)).await?;
    app.limiter.settle(tenant, id, call.reserved).await?;
    tracing::warn!(tenant.id = %tenant.id(), call = %id, reserved = %call.reserved, "a call with an unknown outcome was charged its reservation");
    Ok(true)
}

const SERVICE_CALL: audit::event::Action = audit::event::Action::new("service.call");
