//! Calls whose outcome a crash left unknown: charged their whole reservation when their lease ends.

use super::settle::{Ending, outcome_event};
use crate::App;
use audit::event::Outcome;
use authz::SystemPrincipal;
use context::{Private, Refusal, RequestFacts, Tenant, door};
use errors::Problem;
use ids::{CallId, Id, TenantId};
use metering::tokens::Tokens;
use std::collections::BTreeMap;
use store::{Call, CallIntent, CallKind, CallOutcome, CallStatus, Commit, StoreError, WorkKind};

/// Ends every call whose lease is over, and gives back how many there were. To be called at the start and
/// every few seconds: calls that end as they should are never among them.
pub async fn expire_leases(app: &App) -> Result<u64, StoreError> {
    let now = app.env.now();
    let mut ended = 0;
    let mut over: BTreeMap<TenantId, Vec<CallId>> = BTreeMap::new();
    for work in app.store.pending(WorkKind::Call).await? {
        if work.due.is_some_and(|due| due <= now) {
            over.entry(work.tenant).or_default().push(CallId::from_bytes(work.id));
        }
    }
    for (tenant, calls) in over {
        match expire(app, tenant, calls).await {
            Ok(count) => ended += count,
            // One tenant that cannot be entered keeps nobody else waiting.
            Err(problem) => {
                tracing::warn!(tenant.id = %tenant, %problem, "the leases of calls could not be ended");
            }
        }
    }
    Ok(ended)
}

/// Ends these calls of a tenant, also of a suspended one.
async fn expire(app: &App, tenant: TenantId, calls: Vec<CallId>) -> Result<u64, Problem> {
    let facts = RequestFacts::internal(app.env.id());
    let admitted = app.authenticator.admit_system(SystemPrincipal::LeaseExpiry, tenant, None, facts);
    let admission = match admitted.await {
        Ok(admission) => admission,
        // It is being erased, and its calls with it.
        Err(Refusal::Unauthorized) => return Ok(0),
        Err(refusal) => return Err(refusal.into()),
    };
    let visit = admission.enter(async |tenant| {
        let mut ended = 0;
        for call in calls {
            ended += u64::from(charge(app, &tenant, call).await?);
        }
        Ok(ended)
    });
    visit.await
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
    if let Some(CallIntent { event, action }) = &call.intent {
        (draft.intent, draft.action) = (Some(*event), action.clone());
    }
    if call.kind == CallKind::Service {
        "service".clone_into(&mut draft.resource.kind);
    }
    app.store.end_call(tenant, &call, outcome, Commit::event(draft)).await?;
    app.limiter.settle(tenant, id, call.reserved).await?;
    tracing::warn!(tenant.id = %tenant.id(), call = %id, reserved = %call.reserved, "a call with an unknown outcome was charged its reservation");
    Ok(true)
}
