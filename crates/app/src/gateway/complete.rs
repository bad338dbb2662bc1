//! Whole answers, for callers inside the server and as a part of [`super::chat`].

use super::reserve::{self, Begun, Prepared};
use super::settle::{Ended, Ending, Seen};
use super::start::{Asked, FailedCall, ask};
use super::stream::stopped;
use super::visits::{Caller, Gone};
use crate::App;
use async_trait::async_trait;
use context::{Admission, Private, Tenant, door};
use errors::Problem;
use model::dialect::openai::{ChatRequest, Completion};
use model::{ChatAnswer, ModelError};
use money::Usd;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub use super::reserve::Attribution;

/// A whole answer, with what it took.
pub struct Completed {
    /// The answer's body, as the dialect has it.
    pub body: Value,
    /// What it cost.
    pub cost: Usd,
}

/// A question to a model, as a part of the tenant's work.
pub struct Question {
    /// The request, in OpenAI's dialect.
    pub request: Value,
    /// Whom it is charged to, and what it is a part of.
    pub part_of: Attribution,
    /// How long the answer may take.
    pub time: Duration,
}

/// Where pieces of tenants' work ask models: at the gateway of this process, or, in a tenant's own worker, at a server's.
#[async_trait]
pub trait Models: Send + Sync {
    /// Asks, in a visit of its own that is entered with this admission.
    async fn ask(&self, admission: Admission, question: Question) -> Result<Completed, Box<FailedCall>>;
}

#[async_trait]
impl Models for Arc<App> {
    async fn ask(&self, admission: Admission, question: Question) -> Result<Completed, Box<FailedCall>> {
        let Question { request, part_of, time } = question;
        let request = ChatRequest::from_value(request).map_err(Problem::from)?;
        complete(self, admission, request, part_of, time).await
    }
}

/// Calls a model for a piece of the tenant's work, such as a step of a run, and waits for the whole answer,
/// at most so long.
///
/// The call is a visit of its own, entered with the admission of the work's own visit. So a caller who stops
/// waiting is noticed: dropping the future cancels the call, which is charged its prompt at once.
pub async fn complete(
    app: &Arc<App>,
    admission: Admission,
    request: ChatRequest,
    part_of: Attribution,
    time: Duration,
) -> Result<Completed, Box<FailedCall>> {
    let (answer, answered) = oneshot::channel();
    let mut visit = app.gateway.visits.begin(&admission).await?;
    let Some(halt) = visit.halt.take() else { return Err(Problem::internal().into()) };
    let app = Arc::clone(app);
    let time = time.min(app.gateway.call_time);
    let visited = admission.enter_boxed(move |tenant| {
        Box::pin(async move {
            let mut caller = Caller::new(answer, halt);
            let outcome = visit_for(&app, &tenant, request, (part_of, time), &mut caller).await;
            if let Some(outcome) = outcome.transpose() {
                caller.tell(outcome);
            }
        })
    });
    tokio::spawn(async move {
        visited.await;
        drop(visit);
    });
    answered.await.unwrap_or_else(|_| Err(Problem::internal().into()))
}

/// The answer; `None` where nobody waits for it any more.
async fn visit_for(
    app: &App,
    tenant: &Tenant<'_>,
    request: ChatRequest,
    (part_of, time): (Attribution, Duration),
    caller: &mut Caller<Result<Completed, Box<FailedCall>>>,
) -> Result<Option<Completed>, Box<FailedCall>> {
    let prepared = reserve::prepare(app, tenant, request).await?;
    if caller.is_gone() {
        return Ok(None);
    }
    let begun = reserve::admit(app, tenant, &prepared, part_of, time).await?;
    match whole(app, tenant, prepared, begun, caller.gone()).await {
        Whole::Answered(answered) => {
            let Answered { completion, cost, ended } = *answered;
            ended.durable(app, tenant).await?;
            let body = door::answer(tenant, completion).map_err(stopped)?.body;
            Ok(Some(Completed { body, cost }))
        }
        Whole::Failed(failed) => Err(Box::new(failed)),
        Whole::CallerGone => Ok(None),
    }
}

/// An answer whose outcome has its place.
pub(super) struct Answered<'t> {
    pub(super) completion: Private<'t, Completion>,
    cost: Usd,
    pub(super) ended: Ended,
}

/// What came of asking for a whole answer.
pub(super) enum Whole<'t> {
    /// It is there, and its outcome has its place.
    Answered(Box<Answered<'t>>),
    /// It failed, and the call is settled.
    Failed(FailedCall),
    /// The caller went away, and the call is settled.
    CallerGone,
}

/// Carries out an admitted call that wants its answer whole.
pub(super) async fn whole<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    begun: Begun<'_, 't>,
    gone: impl Future<Output = Gone>,
) -> Whole<'t> {
    let (under_way, answer) = match ask(app, tenant, prepared, begun, gone).await {
        Asked::Answers(under_way, answer) => (*under_way, answer),
        Asked::Failed(failed) => return Whole::Failed(failed),
        Asked::CallerGone => return Whole::CallerGone,
    };
    let ChatAnswer::Whole(completion) = answer else {
        let error = ModelError::Garbled("a stream where a whole answer was asked for");
        return Whole::Failed(under_way.fail(app, tenant, Seen::default(), error).await);
    };
    let seen = Seen::of(&completion);
    let ended = match under_way.end(app, tenant, seen, Ending::Answered).await {
        Ok(ended) => ended,
        Err(problem) => return Whole::Failed(problem.into()),
    };
    let cost = under_way.measure.cost(&under_way.measure.usage(seen.reported, seen.emitted_bytes).tokens);
    Whole::Answered(Box::new(Answered { completion, cost, ended }))
}
