//! Chat completions for callers over the wire.
//!
//! Each call is a visit in a task of its own: when the caller goes away, the task notices, cancels the call
//! at the provider, and still writes down what it cost.

use super::cache::Wanted;
use super::complete::{Whole, whole};
use super::reserve::{self, Attribution, Prepared};
use super::start::{Asked, ask};
use super::stream::{forward, stopped};
use crate::App;
use bytes::Bytes;
use context::{Admission, Tenant, door};
use errors::Problem;
use limiter::{Kind, LimitStanding};
use model::dialect::openai::ChatRequest;
use model::{ChatAnswer, ModelError};
use serde_json::Value;
use std::sync::Arc;
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
    /// It is complete, and its outcome durable; nothing follows.
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
    let visits = Arc::clone(&app.gateway.visits).acquire_owned().await;
    let Ok(visit) = visits else { return Err(unlimited(Problem::internal())) };
    let app = Arc::clone(app);
    let visited = admission.enter_boxed(move |tenant| {
        Box::pin(async move {
            let mut caller = Caller(Some(answer));
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

/// Whoever waits for the answer, until it is told.
struct Caller(Option<oneshot::Sender<Result<Reply, Box<Refused>>>>);

impl Caller {
    fn tell(&mut self, reply: Result<Reply, Box<Refused>>) {
        if let Some(waiting) = self.0.take() {
            // A caller who is gone by now needs no answer.
            let _ = waiting.send(reply);
        }
    }

    async fn gone(&mut self) {
        match &mut self.0 {
            Some(waiting) => waiting.closed().await,
            None => std::future::pending().await,
        }
    }

    fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

async fn visit_for<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: ChatInput,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let request = ChatRequest::parse(&input.body)?;
    let (stream, include_usage) = (request.stream(), request.include_usage());
    let asked = (input.cache && !stream).then(|| request.body().clone());
    let prepared = reserve::prepare(app, tenant, request).await?;
    let wanted = match asked {
        None => None,
        Some(body) => Some(Wanted::new(app, tenant, &prepared.resolved, body).await?),
    };
    if let Some(wanted) = &wanted
        && let Some(kept) = app.gateway.cache.find(app, tenant, wanted)
    {
        let kept = wanted.answered(app, tenant, &prepared.resolved, kept).await?;
        let body = door::answer(tenant, kept).map_err(stopped)?;
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
        at_once(app, tenant, prepared, wanted, caller).await
    }
}

async fn at_once<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    wanted: Option<Wanted>,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let (call, limits) = reserve::admit(app, tenant, &prepared, Attribution::default()).await?;
    match whole(app, tenant, prepared, call, caller.gone()).await {
        Whole::CallerGone => Ok(()),
        Whole::Failed(problem) => Err(problem),
        Whole::Answered(answered) => {
            let completion = door::answer(tenant, answered.completion).map_err(stopped)?;
            if let Some(wanted) = &wanted {
                app.gateway.cache.keep(app, tenant, wanted, &completion);
            }
            let cached = wanted.map(|_| false);
            caller.tell(Ok(Reply::Whole { body: completion.body, limits, cached }));
            Ok(())
        }
    }
}

async fn in_pieces<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    prepared: Prepared<'t>,
    include_usage: bool,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let (call, limits) = reserve::admit(app, tenant, &prepared, Attribution::default()).await?;
    let (under_way, answer) = match ask(app, tenant, prepared, call, caller.gone()).await {
        Asked::Answers(under_way, answer) => (*under_way, answer),
        Asked::Failed(problem) => return Err(problem),
        Asked::CallerGone => return Ok(()),
    };
    let ChatAnswer::Stream(pieces) = answer else {
        let error = ModelError::Garbled("a whole answer where a stream was asked for");
        return Err(under_way.fail(app, tenant, super::settle::Seen::default(), error).await);
    };
    let (sender, events) = mpsc::channel(PIECES_AHEAD);
    caller.tell(Ok(Reply::Stream { events, limits }));
    forward(app, tenant, under_way, pieces, include_usage, sender).await;
    Ok(())
}
