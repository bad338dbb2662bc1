//! How a call begins: its intent becomes durable while the provider is being asked, and is durable before
//! anything of the answer is looked at.

use super::reserve::{Measure, Prepared};
use super::settle::{self, Ending, Seen};
use crate::App;
use context::Tenant;
use errors::Problem;
use futures::future::{Either, select};
use ids::EventId;
use model::{Charge, ChatAnswer, ModelError, Waiting};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use store::{Call, Commit};

/// A call under way, with all that its end needs.
pub(super) struct UnderWay {
    pub(super) call: Call,
    pub(super) measure: Measure,
    pub(super) intents: Vec<EventId>,
}

impl UnderWay {
    /// Ends the call so, durably.
    pub(super) async fn end(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        ending: Ending<'_>,
    ) -> Result<(), Problem> {
        settle::end(app, tenant, &self.call, &self.measure, &self.intents, seen, ending).await
    }

    /// Ends a call that failed so, and gives the problem to tell.
    pub(super) async fn fail(
        &self,
        app: &App,
        tenant: &Tenant<'_>,
        seen: Seen,
        error: ModelError,
    ) -> Problem {
        let charge = error.charge();
        let problem = Problem::from(error);
        let ending = match charge {
            Charge::Nothing => Ending::Released(&problem),
            Charge::PromptAndEmitted => Ending::Failed(&problem),
        };
        match self.end(app, tenant, seen, ending).await {
            Ok(()) => problem,
            Err(unwritten) => unwritten,
        }
    }
}

/// What came of asking.
pub(super) enum Asked<'t> {
    /// The provider answers.
    Answers(Box<UnderWay>, ChatAnswer<'t>),
    /// It failed, and the call is settled.
    Failed(Problem),
    /// The caller went away, and the call is settled.
    CallerGone,
}

/// Asks the provider. `gone` is ready when the caller has gone away.
pub(super) async fn ask<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    call: Call,
    gone: impl Future<Output = ()>,
) -> Asked<'t> {
    let Prepared { resolved, chat, measure } = prepared;
    let commit = Commit::event(settle::intent(tenant, &call));
    let row = call.clone();
    let begun = pin!(app.store.begin_call(tenant, &row, commit));
    let asked = async {
        let answer = resolved.adapter.chat(tenant, &resolved.target, chat);
        let in_time = tokio::time::timeout(app.gateway.call_time, answer).await;
        in_time.unwrap_or(Err(ModelError::Timeout(Waiting::Total)))
    };
    let asked = pin!(asked);
    let (intents, answer) = match select(begun, asked).await {
        Either::Left((intents, asked)) => (intents, Either::Left(asked)),
        Either::Right((answer, begun)) => (begun.await, Either::Right(answer)),
    };
    let intents = match intents {
        Ok(intents) => intents,
        Err(error) => {
            // Nothing of it is written, so the call is cancelled, and charged as if it had left.
            tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call's intent was not written");
            let cost = measure.cost(&measure.usage(None, 0).tokens);
            if let Err(error) = app.limiter.settle(tenant, call.id, cost).await {
                tracing::error!(tenant.id = %tenant.id(), %error, "a call was not settled");
            }
            return Asked::Failed(error.into());
        }
    };
    let under_way = UnderWay { call, measure, intents };
    let answer = match answer {
        Either::Right(answer) => answer,
        Either::Left(asked) => match select(asked, pin!(gone)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                // Dropping what was asked cancels it at the provider, which may have begun with the prompt.
                return cancelled(app, tenant, &under_way).await;
            }
        },
    };
    match answer {
        Ok(answer) => Asked::Answers(Box::new(under_way), answer),
        Err(error) => Asked::Failed(under_way.fail(app, tenant, Seen::default(), error).await),
    }
}

async fn cancelled<'t>(app: &App, tenant: &Tenant<'_>, under_way: &UnderWay) -> Asked<'t> {
    match under_way.end(app, tenant, Seen::default(), Ending::Cancelled).await {
        Ok(()) => Asked::CallerGone,
        Err(problem) => Asked::Failed(problem),
    }
}

/// How long a call under way may still take, so that it ends before its lease does.
pub(super) fn time_left(app: &App, call: &Call) -> Duration {
    call.started_at.plus(app.gateway.call_time).since(app.env.now())
}
