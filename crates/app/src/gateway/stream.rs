//! Answers in pieces: each goes to the caller as it comes, and the end of the call has its place in the tenant's
//! store before the caller is told that it is the end.

use super::chat::StreamEvent;
use super::settle::{Ending, Seen};
use super::start::{UnderWay, time_left};
use super::visits::{Halt, halted};
use crate::App;
use context::{Tenant, door};
use errors::Problem;
use futures::StreamExt;
use model::{ChunkStream, ModelError, Waiting};
use store::StoreError;
use tokio::sync::mpsc::Sender;

/// Why pieces come no more.
enum Stopped {
    /// All have come.
    Ended,
    /// The caller went away.
    CallerGone,
    /// The tenant is to be left alone.
    Halted,
    /// The provider failed, or what it sent was stopped.
    Failed(ModelError),
}

/// Passes an answer's pieces on until its end, and settles the call.
pub(super) async fn forward<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    under_way: UnderWay,
    pieces: ChunkStream<'t>,
    include_usage: bool,
    (caller, halt): (Sender<StreamEvent>, &mut Halt),
) {
    let mut seen = Seen::default();
    let left = time_left(app, &under_way.call);
    let passing = pass_on(tenant, pieces, include_usage, &caller, &mut seen);
    let stopped = tokio::select! {
        biased;
        () = halt.told() => Stopped::Halted,
        stopped = tokio::time::timeout(left, passing) => {
            stopped.unwrap_or(Stopped::Failed(ModelError::Timeout(Waiting::Total)))
        }
    };
    let last = match stopped {
        Stopped::Ended => match under_way.end(app, tenant, seen, Ending::Answered).await {
            Ok(ended) => {
                // However slowly the caller reads. What was not written is logged, and charged when the call's
                // lease ends.
                let _ = tokio::join!(caller.send(StreamEvent::Done), ended.durable(app, tenant));
                return;
            }
            Err(problem) => StreamEvent::Failed(problem),
        },
        Stopped::CallerGone => {
            if let Err(problem) = under_way.end_durably(app, tenant, seen, Ending::Cancelled).await {
                tracing::error!(tenant.id = %tenant.id(), %problem, "a cancelled call was not written down");
            }
            return;
        }
        Stopped::Halted => {
            let ended = under_way.end_durably(app, tenant, seen, Ending::Cancelled).await;
            StreamEvent::Failed(ended.err().unwrap_or_else(halted))
        }
        Stopped::Failed(error) => StreamEvent::Failed(under_way.fail(app, tenant, seen, error).await.problem),
    };
    // A caller who is gone by now has been charged for what it got.
    let _ = caller.send(last).await;
}

async fn pass_on<'t>(
    tenant: &Tenant<'t>,
    mut pieces: ChunkStream<'t>,
    include_usage: bool,
    caller: &Sender<StreamEvent>,
    seen: &mut Seen,
) -> Stopped {
    loop {
        let piece = tokio::select! {
            biased;
            () = caller.closed() => return Stopped::CallerGone,
            piece = pieces.next() => piece,
        };
        let piece = match piece {
            None => return Stopped::Ended,
            Some(Err(error)) => return Stopped::Failed(error),
            Some(Ok(piece)) => piece,
        };
        let piece = match door::answer(tenant, piece) {
            Ok(piece) => piece,
            Err(crossing) => return Stopped::Failed(crossing.into()),
        };
        seen.reported = piece.usage.or(seen.reported);
        seen.emitted_bytes = seen.emitted_bytes.saturating_add(piece.emitted_bytes);
        let Some(body) = piece.for_caller(include_usage) else { continue };
        if caller.send(StreamEvent::Piece(body)).await.is_err() {
            return Stopped::CallerGone;
        }
    }
}

/// The problem of a value that was stopped at the door.
pub(super) fn stopped(crossing: context::Crossing) -> Problem {
    StoreError::from(crossing).into()
}
