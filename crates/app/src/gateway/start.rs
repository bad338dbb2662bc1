//! How a call begins: its intent becomes durable while the provider is being asked, and is durable before
//! anything of the answer is looked at.

use super::reserve::{Begun, LEASE_MARGIN, Measure, Prepared};
use super::settle::{self, Ended, Ending, Seen};
use super::visits::{Gone, halted};
use crate::App;
use context::Tenant;
use errors::Problem;
use futures::future::{Either, select};
use model::{Charge, ChatAnswer, ModelError, Waiting};
use money::Usd;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Call, Commit, StoreError};

/// A call under way, with all that its end needs.
pub(super) struct UnderWay {
    pub(super) call: Call,
    pub(super) measure: Measure,
}

/// A call that failed, with what it was charged.
pub struct FailedCall {
    /// What to tell.
    pub problem: Problem,
    /// What it cost all the same.
    pub cost: Usd,
}

impl From<Problem> for FailedCall {
    fn from(problem: Problem) -> Self {
        Self { problem, cost: Usd::ZERO }
    }
}

impl From<Problem> for Box<FailedCall> {
    fn from(problem: Problem) -> Self {
        Self::new(problem.into())
    }
}

impl UnderWay {
    /// Ends the call so; its outcome has its place then.
    pub(super) async fn end(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        ending: Ending<'_>,
    ) -> Result<Ended, Problem> {
        settle::end(app, tenant, &self.call, &self.measure, seen, ending).await
    }

    /// The same, durably.
    pub(super) async fn end_durably(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        ending: Ending<'_>,
    ) -> Result<(), Problem> {
        self.end(app, tenant, seen, ending).await?.durable(app, tenant).await
    }

    /// Ends a call that failed so, and gives what to tell.
    pub(super) async fn fail(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        error: ModelError,
    ) -> FailedCall {
        let charge = error.charge();
        self.failed(app, tenant, seen, (charge, error.into())).await
    }

    /// Ends a call with this problem, at this charge.
    async fn failed(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        (charge, problem): (Charge, Problem),
    ) -> FailedCall {
        let (ending, cost) = match charge {
            Charge::Nothing => (Ending::Released(&problem), Usd::ZERO),
            Charge::PromptAndEmitted => (Ending::Failed(&problem), self.cost(seen)),
        };
        match self.end_durably(app, tenant, seen, ending).await {
            Ok(()) => FailedCall { problem, cost },
            Err(unwritten) => FailedCall { problem: unwritten, cost },
        }
    }

    /// What the call costs if this is all that it used.
    pub(super) fn cost(&self, seen: Seen) -> Usd {
        self.measure.cost(&self.measure.usage(seen.reported, seen.emitted_bytes).tokens)
    }
}

/// What came of asking.
pub(super) enum Asked<'t> {
    /// The provider answers.
    Answers(Box<UnderWay>, ChatAnswer<'t>),
    /// It failed, and the call is settled.
    Failed(FailedCall),
    /// The caller went away, and the call is settled.
    CallerGone,
}

/// Asks the provider. `gone` is ready when the call need not go on.
pub(super) async fn ask<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    begun: Begun<'_, 't>,
    gone: impl Future<Output = Gone>,
) -> Asked<'t> {
    let Prepared { resolved, chat, measure } = prepared;
    let Begun { call, held, claim, .. } = begun;
    // A key that is taken must be known before anything leaves.
    let waits = claim.is_some();
    let commit = Commit::event(settle::intent(tenant, &call)).claiming(claim);
    let row = call.clone();
    let under_way = UnderWay { call, measure };
    let time = time_left(app, &under_way.call);
    let written = pin!(async {
        held.written();
        app.store.begin_call(tenant, &row, commit).await
    });
    let left = AtomicBool::new(false);
    let asked = async {
        left.store(true, Ordering::SeqCst);
        let answer = resolved.adapter.chat(tenant, &resolved.target, chat);
        tokio::time::timeout(time, answer).await.unwrap_or(Err(ModelError::Timeout(Waiting::Total)))
    };
    // In a box, so that dropping it cancels the call at the provider before anything else is waited for.
    let asked = Box::pin(asked);
    let (written, answer) = if waits {
        (written.await, Either::Left(asked))
    } else {
        match select(written, asked).await {
            Either::Left((written, asked)) => (written, Either::Left(asked)),
            Either::Right((answer, written)) => (written.await, Either::Right(answer)),
        }
    };
    if let Err(error) = written {
        let answer = match answer {
            Either::Left(asked) => {
                drop(asked);
                None
            }
            Either::Right(answer) => Some(answer),
        };
        let left = left.load(Ordering::SeqCst);
        return unwritten(app, tenant, under_way, (left, answer), error).await;
    }
    let answer = match answer {
        Either::Right(answer) => answer,
        Either::Left(asked) => match select(asked, pin!(gone)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((gone, asked)) => {
                // The provider may have begun with the prompt.
                drop(asked);
                return cancelled(app, tenant, &under_way, gone).await;
            }
        },
    };
    match answer {
        Ok(answer) => Asked::Answers(Box::new(under_way), answer),
        Err(error) => Asked::Failed(under_way.fail(app, tenant, Seen::default(), error).await),
    }
}

async fn cancelled<'t>(app: &App, tenant: &Tenant<'_>, under_way: &UnderWay, gone: Gone) -> Asked<'t> {
    let ended = under_way.end_durably(app, tenant, Seen::default(), Ending::Cancelled).await;
    match (ended, gone) {
        (Ok(()), Gone::Caller) => Asked::CallerGone,
        (Ok(()), Gone::Tenant) => {
            Asked::Failed(FailedCall { problem: halted(), cost: under_way.cost(Seen::default()) })
        }
        (Err(problem), _) => Asked::Failed(problem.into()),
    }
}

/// Ends a call whose intent was not written: nobody gets its answer, and a call that had not left does not.
/// What one that had left may have cost is written down all the same, or stays held until its lease ends.
async fn unwritten<'t>(
    app: &App,
    tenant: &Tenant<'_>,
    mut under_way: UnderWay,
    (left, answer): (bool, Option<Result<ChatAnswer<'t>, ModelError>>),
    error: StoreError,
) -> Asked<'t> {
    let call = &mut under_way.call;
    if error == StoreError::Claimed {
        if let Err(error) = app.limiter.release(tenant, call.id).await {
            tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call was not released");
        }
        return Asked::Failed(Problem::from(error).into());
    }
    tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call's intent was not written");
    call.intent = None;
    let (seen, charge) = match &answer {
        None if !left => (Seen::default(), Charge::Nothing),
        None => (Seen::default(), Charge::PromptAndEmitted),
        Some(Ok(ChatAnswer::Whole(completion))) => (Seen::of(completion), Charge::PromptAndEmitted),
        Some(Ok(ChatAnswer::Stream(_))) => (Seen::default(), Charge::PromptAndEmitted),
        Some(Err(error)) => (Seen::default(), error.charge()),
    };
    drop(answer);
    Asked::Failed(under_way.failed(app, tenant, seen, (charge, error.into())).await)
}

/// How long a call under way may still take, so that it ends before its lease does.
pub(super) fn time_left(app: &App, call: &Call) -> Duration {
    call.lease_until.minus(LEASE_MARGIN).since(app.env.now())
}
