//! How a call ends: its outcome has its place first, then what it held is free or charged, and whoever is told
//! of it is told then. The journal keeps the order, so that what comes after is never there without it.

use super::reserve::Measure;
use crate::{App, fail, note};
use audit::event::{Action, CostRef, Draft, Outcome, ReasonCode};
use context::{Private, Tenant};
use errors::Problem;
use metering::tokens::{Tokens, UsageSource};
use model::dialect::openai::Completion;
use money::Usd;
use serde_json::json;
use std::time::Duration;
use store::{Call, CallOutcome, CallStatus, Commit, Placed, StoreError};

/// A call to a model, from its intent to its outcome.
pub(super) const CALL: Action = Action::new("model.call");
const CANCELLED: ReasonCode = ReasonCode::new("cancelled");
/// An outcome that the store does not take at once is offered again after these pauses.
const RETRIES: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(500)];

/// How a call ended.
pub(super) enum Ending<'p> {
    /// With a whole answer.
    Answered,
    /// Its caller went away.
    Cancelled,
    /// It failed after it may have done work.
    Failed(&'p Problem),
    /// It never left, or was refused: nothing is charged.
    Released(&'p Problem),
}

/// What a call was seen to use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// What the provider counted.
    pub(super) reported: Option<Tokens>,
    /// Bytes of text that the model made.
    pub(super) emitted_bytes: u64,
}

impl Seen {
    /// What a whole answer shows. Counts are no content: they go into the tenant's own usage.
    pub(super) fn of(completion: &Private<'_, Completion>) -> Self {
        let mut seen = Self::default();
        completion.as_ref().map(|completion| {
            seen = Self { reported: completion.usage, emitted_bytes: completion.text_bytes };
        });
        seen
    }
}

/// The event that a call is about to be made.
pub(super) fn intent(tenant: &Tenant<'_>, call: &Call) -> Draft {
    let mut draft = about(tenant, call);
    draft.id = call.intent.as_ref().map(|intent| intent.event);
    draft.result = Outcome::Intent;
    draft.details.insert("reserved_usd".into(), json!(call.reserved.to_string()));
    draft
}

fn about(tenant: &Tenant<'_>, call: &Call) -> Draft {
    let details = [("call", json!(call.id)), ("endpoint", json!(call.endpoint))];
    let mut draft = note(tenant, CALL, "model", call.target.clone(), details);
    if let Some(run) = call.run {
        draft.details.insert("run".into(), json!(run));
    }
    if let Some(workflow) = call.workflow {
        draft.details.insert("workflow".into(), json!(workflow));
    }
    draft
}

/// A call that is settled and whose outcome has its place in the tenant's store, though it is not durable yet.
/// Whoever goes on from here comes after it, also after a crash.
#[must_use = "what was placed may still fail to be written"]
pub(super) struct Ended {
    call: Call,
    outcome: CallOutcome,
    draft: Draft,
    placed: Placed,
}

impl Ended {
    /// Waits until the outcome is durable.
    pub(super) async fn durable(self, app: &App, tenant: &Tenant<'_>) -> Result<(), Problem> {
        let Self { call, outcome, draft, placed } = self;
        if placed.written().await.is_ok() {
            return Ok(());
        }
        let Err(error) = again(app, tenant, &call, &outcome, &draft).await else { return Ok(()) };
        // The row says that the call is open, and so must the meter: its lease ends, and it is charged as one
        // whose outcome is unknown.
        if let Err(error) = app.limiter.reopen(tenant, &(&call).into()).await {
            // There is no meter, so it will be restored from the rows.
            tracing::warn!(tenant.id = %tenant.id(), call = %call.id, %error, "a call is not held again");
        }
        Err(unwritten(tenant, &call, error))
    }
}

/// Gives a call's outcome its place and settles it.
pub(super) async fn end(
    app: &App,
    tenant: &Tenant<'_>,
    call: &Call,
    measure: &Measure,
    seen: Seen,
    ending: Ending<'_>,
) -> Result<Ended, Problem> {
    let usage = measure.usage(seen.reported, seen.emitted_bytes);
    let released = matches!(ending, Ending::Released(_));
    let tokens = if released { Tokens::default() } else { usage.tokens };
    let outcome = CallOutcome {
        status: if released { CallStatus::Released } else { CallStatus::Settled },
        finished_at: app.env.now(),
        tokens,
        cost: if released { Usd::ZERO } else { measure.cost(&tokens) },
        unpriced: measure.price.is_none() && !released,
        estimated: usage.source == UsageSource::Estimated && !released,
        cached: false,
    };
    let mut draft = outcome_event(tenant, call, &outcome, ending);
    draft.intent = call.intent.as_ref().map(|intent| intent.event);
    let cost = outcome.cost;
    let commit = Commit::event(draft.clone());
    let placed = match app.store.place_outcome(tenant, call, outcome.clone(), commit).await {
        Ok(placed) => placed,
        // What it holds stays held where it cannot be written at all.
        Err(_) => match again(app, tenant, call, &outcome, &draft).await {
            Ok(()) => Placed::written_already(),
            Err(error) => return Err(unwritten(tenant, call, error)),
        },
    };
    let closed = if released {
        app.limiter.release(tenant, call.id).await
    } else {
        app.limiter.settle(tenant, call.id, cost).await
    };
    if let Err(error) = closed {
        // The row tells what was spent when the meter is restored.
        tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call was not settled");
    }
    Ok(Ended { call: call.clone(), outcome, draft, placed })
}

fn unwritten(tenant: &Tenant<'_>, call: &Call, error: StoreError) -> Problem {
    tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call's outcome was not written");
    error.into()
}

/// The event that tells how a call went.
pub(super) fn outcome_event(
    tenant: &Tenant<'_>,
    call: &Call,
    outcome: &CallOutcome,
    ending: Ending<'_>,
) -> Draft {
    let mut draft = about(tenant, call);
    let tokens = &outcome.tokens;
    draft.cost = Some(CostRef {
        call: call.id,
        tokens: Some(tokens.input().saturating_add(tokens.output())),
        usd: (!outcome.unpriced).then_some(outcome.cost),
    });
    draft.details.insert("input_tokens".into(), json!(tokens.input()));
    draft.details.insert("output_tokens".into(), json!(tokens.output()));
    for (name, holds) in
        [("estimated", outcome.estimated), ("unpriced", outcome.unpriced), ("cached", outcome.cached)]
    {
        if holds {
            draft.details.insert(name.into(), json!(true));
        }
    }
    let overrun = outcome.cost.minus(call.reserved);
    if !overrun.is_zero() {
        tracing::warn!(tenant.id = %tenant.id(), call = %call.id, %overrun, "a provider billed more than was reserved");
        draft.details.insert("overrun_usd".into(), json!(overrun.to_string()));
    }
    match ending {
        Ending::Answered => draft,
        Ending::Cancelled => {
            draft.result = Outcome::Failure;
            draft.reason_code = Some(CANCELLED);
            draft
        }
        Ending::Failed(problem) | Ending::Released(problem) => fail(draft, problem),
    }
}

/// Offers an outcome that the store did not take again, until it is durable.
async fn again(
    app: &App,
    tenant: &Tenant<'_>,
    call: &Call,
    outcome: &CallOutcome,
    draft: &Draft,
) -> Result<(), StoreError> {
    let mut last = StoreError::Unavailable;
    for pause in RETRIES {
        tokio::time::sleep(pause).await;
        match app.store.end_call(tenant, call, outcome.clone(), Commit::event(draft.clone())).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
