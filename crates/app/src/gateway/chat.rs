//! Chat completions for callers over the wire.
//!
//! Each call is a visit in a task of its own: when the caller goes away, the task notices, cancels the call
//! at the provider, and still writes down what it cost.

use super::cache::Wanted;
use super::complete::{Answered, Whole, whole};
use super::reserve::{self, Attribution, Begun, Prepared};
use super::settle::Seen;
use super::start::{Asked, ask};
use super::stream::{forward, stopped};
use super::visits::Caller;
use crate::App;
use bytes::Bytes;
use context::{Admission, Invoke, Tenant, door, on};
use errors::{Code, Problem};
use limiter::{Kind, LimitStanding};
use model::dialect::openai::{ChatRequest, Completion};
use model::{ChatAnswer, ModelError};
use serde_json::Value;
use std::sync::Arc;
use store::{IdempotencyClaim, KeyPurpose, Remembered};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

/// Pieces that wait for a caller who reads slowly; then the provider waits.
const PIECES_AHEAD: usize = 16;

/// What a caller asks for.
pub struct ChatInput {
    /// The request's body.
    pub body: Bytes,
    /// Whether an answer kept from an identical request will do, and this one may be kept.
    pub cache: bool,
    /// The caller's idempotency key.
    pub claim: Option<IdempotencyClaim>,
}

/// An answer on its way to the caller.
pub enum Reply {
    /// All at once.
    Whole {
        /// The body.
        body: Value,
        /// Where the limits stand.
        limits: LimitStanding,
        /// Whether it was kept from an earlier request; `None` where the caller did not ask for that.
        cached: Option<bool>,
    },
    /// What an earlier call with the same idempotency key was answered with.
    Remembered {
        /// The request and its answer.
        found: Remembered,
        /// The key, with this request.
        claim: IdempotencyClaim,
        /// Where the limits stand.
        limits: LimitStanding,
    },
    /// In pieces.
    Stream {
        /// The pieces and the end. Dropping the receiver cancels the call.
        events: mpsc::Receiver<StreamEvent>,
        /// Where the limits stand.
        limits: LimitStanding,
    },
}

/// A part of an answer in pieces.
#[derive(Debug)]
pub enum StreamEvent {
    /// A piece, as it goes to the caller.
    Piece(Value),
    /// It failed; nothing follows.
    Failed(Problem),
    /// It is complete, and its outcome has its place; nothing follows.
    Done,
}

/// A refusal or failure, with where the limits stand.
pub struct Refused {
    /// What to tell the caller.
    pub problem: Problem,
    /// Where the limits stand, where that is known.
    pub limits: Option<LimitStanding>,
}

/// Carries out a chat completion.
pub async fn chat(app: &Arc<App>, admission: Admission, input: ChatInput) -> Result<Reply, Box<Refused>> {
    let (answer, answered) = oneshot::channel();
    let mut visit = app.gateway.visits.begin(&admission).await.map_err(unlimited)?;
    let Some(halt) = visit.halt.take() else { return Err(unlimited(Problem::internal())) };
    let app = Arc::clone(app);
    let visited = admission.enter_boxed(move |tenant| {
        Box::pin(async move {
            let mut caller = Caller::new(answer, halt);
            if let Err(problem) = visit_for(&app, &tenant, input, &mut caller).await {
                let limits = app.limiter.standing(&tenant, Kind::Ai).await.ok();
                caller.tell(Err(Box::new(Refused { problem, limits })));
            }
        })
    });
    let visited = visited.in_current_span();
    tokio::spawn(async move {
        visited.await;
        drop(visit);
    });
    answered.await.unwrap_or_else(|_| Err(unlimited(Problem::internal())))
}

fn unlimited(problem: Problem) -> Box<Refused> {
    Box::new(Refused { problem, limits: None })
}

/// Whoever waits over the wire.
type Waiting = Caller<Result<Reply, Box<Refused>>>;

async fn visit_for<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: ChatInput,
    caller: &mut Waiting,
) -> Result<(), Problem> {
    let request = ChatRequest::parse(&input.body)?;
    let (stream, include_usage) = (request.stream(), request.include_usage());
    if let Some(claim) = &input.claim {
        if stream {
            let detail =
                "A stream takes no `Idempotency-Key`: it cannot be told twice. Leave the header out.";
            return Err(Problem::invalid(detail));
        }
        if let Some(remembered) = remembered(app, tenant, claim).await? {
            caller.tell(Ok(remembered));
            return Ok(());
        }
    }
    let asked = (input.cache && !stream).then(|| request.body().clone());
    let prepared = reserve::prepare(app, tenant, request).await?;
    let wanted = match asked {
        None => None,
        Some(body) => Some(Wanted::new(app, tenant, &prepared.resolved, body).await?),
    };
    if let Some(wanted) = &wanted
        && let Some(kept) = app.gateway.cache.find(app, tenant, wanted)
    {
        let kept = wanted.answered(app, tenant, &prepared.resolved, kept, input.claim.clone()).await?;
        let body = door::answer(tenant, kept).map_err(stopped)?;
        remember(app, tenant, input.claim.as_ref(), &body).await;
        let limits = app.limiter.standing(tenant, Kind::Ai).await?;
        caller.tell(Ok(Reply::Whole { body, limits, cached: Some(true) }));
        return Ok(());
    }
    if caller.is_gone() {
        return Ok(());
    }
    if stream {
        in_pieces(app, tenant, prepared, include_usage, caller).await
    } else {
        at_once(app, tenant, prepared, (wanted, input.claim), caller).await
    }
}

async fn at_once<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    (wanted, claim): (Option<Wanted>, Option<IdempotencyClaim>),
    caller: &mut Waiting,
) -> Result<(), Problem> {
    let mut begun = begin(app, tenant, &prepared).await?;
    let limits = begun.limits;
    begun.claim.clone_from(&claim);
    // Whoever gave the call a key will ask for its answer again.
    let stays = claim.is_some();
    let gone = async { if stays { caller.halted().await } else { caller.gone().await } };
    match whole(app, tenant, prepared, begun, gone).await {
        Whole::CallerGone => Ok(()),
        Whole::Failed(failed) => {
            give_back(app, tenant, claim.as_ref(), &failed.problem).await;
            Err(failed.problem)
        }
        Whole::Answered(answered) => {
            let Answered { completion, ended, .. } = *answered;
            let completion = door::answer(tenant, completion).map_err(stopped);
            let told = match completion {
                Ok(completion) => {
                    if let Some(wanted) = &wanted {
                        keep(app, tenant, wanted, &completion).await;
                    }
                    remember(app, tenant, claim.as_ref(), &completion.body).await;
                    let cached = wanted.map(|_| false);
                    caller.tell(Ok(Reply::Whole { body: completion.body, limits, cached }));
                    Ok(())
                }
                Err(problem) => Err(problem),
            };
            // What was not written is logged, and charged when the call's lease ends.
            let _ = ended.durable(app, tenant).await;
            told
        }
    }
}

async fn in_pieces<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    include_usage: bool,
    caller: &mut Waiting,
) -> Result<(), Problem> {
    let begun = begin(app, tenant, &prepared).await?;
    let limits = begun.limits;
    let (under_way, answer) = match ask(app, tenant, prepared, begun, caller.gone()).await {
        Asked::Answers(under_way, answer) => (*under_way, answer),
        Asked::Failed(failed) => return Err(failed.problem),
        Asked::CallerGone => return Ok(()),
    };
    let ChatAnswer::Stream(pieces) = answer else {
        let error = ModelError::Garbled("a whole answer where a stream was asked for");
        return Err(under_way.fail(app, tenant, Seen::default(), error).await.problem);
    };
    let (sender, events) = mpsc::channel(PIECES_AHEAD);
    caller.tell(Ok(Reply::Stream { events, limits }));
    forward(app, tenant, under_way, pieces, include_usage, (sender, &mut caller.halt)).await;
    Ok(())
}

async fn begin<'v, 't>(
    app: &'v App,
    tenant: &'v Tenant<'t>,
    prepared: &Prepared<'t>,
) -> Result<Begun<'v, 't>, Problem> {
    let part_of = Attribution { payer: tenant.principal().into(), ..Attribution::default() };
    reserve::admit(app, tenant, prepared, part_of, app.gateway.call_time).await
}

/// Keeps an answer, unless the tenant's key is gone by then: what is forgotten stays so.
async fn keep(app: &App, tenant: &Tenant<'_>, wanted: &Wanted, completion: &Completion) {
    app.gateway.cache.keep(app, tenant, wanted, completion);
    if app.store.key(tenant, KeyPurpose::Cache).await.is_err() {
        app.gateway.cache.forget(tenant.id());
    }
}

/// What an earlier call with this key was answered with.
async fn remembered(
    app: &App,
    tenant: &Tenant<'_>,
    claim: &IdempotencyClaim,
) -> Result<Option<Reply>, Problem> {
    tenant.authorize::<Invoke<on::Model>>()?;
    let Some(found) = app.store.remembered(tenant, &claim.key, app.env.now()).await? else {
        return Ok(None);
    };
    let found = door::answer(tenant, found).map_err(stopped)?;
    let limits = app.limiter.standing(tenant, Kind::Ai).await?;
    Ok(Some(Reply::Remembered { found, claim: claim.clone(), limits }))
}

/// Keeps an answer for whoever asks again with the same key. The call is settled: where this fails, asking
/// again is refused.
async fn remember(app: &App, tenant: &Tenant<'_>, claim: Option<&IdempotencyClaim>, body: &Value) {
    let Some(claim) = claim else { return };
    if let Err(error) = app.store.remember(tenant, claim, 200, body.to_string().into_bytes()).await {
        tracing::error!(tenant.id = %tenant.id(), %error, "an answer was not remembered");
    }
}

/// Lets the same key be used again after a call that failed, unless it was taken before this call.
async fn give_back(app: &App, tenant: &Tenant<'_>, claim: Option<&IdempotencyClaim>, problem: &Problem) {
    let Some(claim) = claim.filter(|_| problem.code != Code::IdempotencyConflict) else { return };
    if let Err(error) = app.store.give_back(tenant, claim).await {
        tracing::error!(tenant.id = %tenant.id(), %error, "an idempotency key was not given back");
    }
}
