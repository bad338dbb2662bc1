//! Whole answers, for callers inside the server and as a part of [`super::chat`].

use super::reserve::{self, Prepared};
use super::settle::{Ending, Seen};
use super::start::{Asked, ask};
use crate::App;
use context::{Private, Tenant};
use errors::Problem;
use limiter::LimitStanding;
use model::dialect::openai::{ChatRequest, Completion};
use model::{ChatAnswer, ModelError};
use money::Usd;
use serde_json::Value;
use std::future::{Future, pending};
use store::Call;

pub use super::reserve::Attribution;

/// A whole answer, with what it took.
pub struct Completed<'t> {
    /// The answer's body, as the dialect has it.
    pub body: Private<'t, Value>,
    /// What it cost.
    pub cost: Usd,
    /// The call's row in usage.
    pub call: Call,
    /// Where the limits stand.
    pub limits: LimitStanding,
}

/// Calls a model for a piece of work of the visit's tenant, such as a step of a run, and waits for the whole
/// answer. Dropping the future leaves the call to be charged when its lease ends.
pub async fn complete<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    request: ChatRequest,
    part_of: Attribution,
) -> Result<Completed<'t>, Problem> {
    let prepared = reserve::prepare(app, tenant, request).await?;
    let (call, limits) = reserve::admit(app, tenant, &prepared, part_of).await?;
    match whole(app, tenant, prepared, call, pending()).await {
        Whole::Answered(answered) => {
            let Answered { completion, cost, call } = *answered;
            Ok(Completed { body: completion.map(|completion| completion.body), cost, call, limits })
        }
        Whole::Failed(problem) => Err(problem),
        Whole::CallerGone => Err(Problem::internal()),
    }
}

/// An answer whose outcome is durable.
pub(super) struct Answered<'t> {
    pub(super) completion: Private<'t, Completion>,
    cost: Usd,
    call: Call,
}

/// What came of asking for a whole answer.
pub(super) enum Whole<'t> {
    /// It is there, and its outcome is durable.
    Answered(Box<Answered<'t>>),
    /// It failed, and the call is settled.
    Failed(Problem),
    /// The caller went away, and the call is settled.
    CallerGone,
}

/// Carries out an admitted call that wants its answer whole.
pub(super) async fn whole<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    call: Call,
    gone: impl Future<Output = ()>,
) -> Whole<'t> {
    let (under_way, answer) = match ask(app, tenant, prepared, call, gone).await {
        Asked::Answers(under_way, answer) => (*under_way, answer),
        Asked::Failed(problem) => return Whole::Failed(problem),
        Asked::CallerGone => return Whole::CallerGone,
    };
    let ChatAnswer::Whole(completion) = answer else {
        let error = ModelError::Garbled("a stream where a whole answer was asked for");
        return Whole::Failed(under_way.fail(app, tenant, Seen::default(), error).await);
    };
    let mut seen = Seen::default();
    // Counts are no content: they go into the tenant's own usage.
    completion.as_ref().map(|completion| {
        seen = Seen { reported: completion.usage, emitted_bytes: completion.text_bytes };
    });
    if let Err(problem) = under_way.end(app, tenant, seen, Ending::Answered).await {
        return Whole::Failed(problem);
    }
    let cost = under_way.measure.cost(&under_way.measure.usage(seen.reported, seen.emitted_bytes).tokens);
    Whole::Answered(Box::new(Answered { completion, cost, call: under_way.call }))
}
