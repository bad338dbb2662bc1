//! A backup of everything, handed over piece by piece as it is taken.
//!
//! What is sent is a line of JSON before each piece, with its kind, name and length, then the piece; at the end
//! comes a line that says what the backup is. Whoever does not see that line has no backup.

use crate::operator_log::record;
use crate::{App, ScratchFile};
use async_trait::async_trait;
use audit::event::Action;
use bytes::{Bytes, BytesMut};
use context::Operator;
use errors::{Code, Problem};
use futures::stream::{self, Stream};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use store::{Carrier, Piece, TakerGone};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

const BACKUP: Action = Action::new("backup.create_all");
const PIECE_BYTES: usize = 64 * 1024;
/// How many pieces wait for whoever takes them.
const AHEAD: usize = 4;
/// How long one may wait. Meanwhile the journal keeps everything, so that it must not be for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest manifest of an earlier backup that is taken in, 256 MiB: about a million tenants.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

enum Sent {
    Bytes(Bytes),
    Ended,
    Failed(Problem),
}

fn gone() -> Problem {
    Problem::new(Code::Unavailable, "The backup could not be taken to its end. Take it again.")
        .retry_after(30)
}

/// Takes a backup of everything, without what has not changed since the one whose manifest is in the file. An
/// empty one has nothing to go on from.
pub async fn back_up_all(
    app: &Arc<App>,
    operator: Operator,
    last: ScratchFile,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Problem> {
    operator.must_change()?;
    let (to, mut from) = mpsc::channel(AHEAD);
    let app = app.clone();
    // The events before and after are written whatever becomes of the caller.
    tokio::spawn(async move {
        let mut sending = Sending(to);
        let outcome = take(&app, &operator, last, &mut sending).await;
        let end = outcome.map_or_else(Sent::Failed, |()| Sent::Ended);
        // Whoever has gone has no backup, and knows it.
        let _ = sending.0.send_timeout(end, PATIENCE).await;
    });
    match from.recv().await {
        Some(Sent::Bytes(first)) => Ok(answer(first, from)),
        Some(Sent::Failed(problem)) => Err(problem),
        Some(Sent::Ended) | None => Err(gone()),
    }
}

async fn take(
    app: &App,
    operator: &Operator,
    last: ScratchFile,
    sending: &mut Sending,
) -> Result<(), Problem> {
    let work = async { Ok(app.lifecycle.back_up_all(operator, last.path(), sending).await?) };
    let backup = record(app, operator, BACKUP, ("server", "all"), work).await?;
    sending.line(&json!({"backup": backup})).await.map_err(|_| gone())
}

fn answer(first: Bytes, from: mpsc::Receiver<Sent>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((Some(first), from), |(first, mut from)| async move {
        let sent = match first {
            Some(first) => Some(Sent::Bytes(first)),
            None => from.recv().await,
        };
        match sent {
            Some(Sent::Bytes(bytes)) => Ok(Some((bytes, (None, from)))),
            Some(Sent::Ended) => Ok(None),
            Some(Sent::Failed(_)) | None => Err(io::Error::other("the backup could not be taken to its end")),
        }
    })
}

/// The way to whoever takes the pieces.
struct Sending(mpsc::Sender<Sent>);

impl Sending {
    async fn send(&self, bytes: Bytes) -> Result<(), TakerGone> {
        self.0.send_timeout(Sent::Bytes(bytes), PATIENCE).await.map_err(|_| TakerGone)
    }

    async fn line(&self, value: &Value) -> Result<(), TakerGone> {
        self.send(format!("{value}\n").into()).await
    }
}

#[async_trait]
impl Carrier for Sending {
    async fn begin(&mut self) -> Result<(), TakerGone> {
        self.line(&json!({"begun": true})).await
    }

    async fn carry(&mut self, piece: &Piece) -> Result<(), TakerGone> {
        let unreadable = |error: io::Error| {
            tracing::error!(%error, "a piece of a backup could not be read");
            TakerGone
        };
        let mut file = File::open(&piece.path).await.map_err(unreadable)?;
        let bytes = file.metadata().await.map_err(unreadable)?.len();
        self.line(&json!({"kind": piece.kind, "name": piece.name, "bytes": bytes})).await?;
        let mut left = bytes;
        while left > 0 {
            let mut part = BytesMut::with_capacity(PIECE_BYTES);
            let read = file.read_buf(&mut part).await.map_err(unreadable)? as u64;
            if read == 0 || read > left {
                return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
            }
            left -= read;
            self.send(part.freeze()).await?;
        }
        Ok(())
    }
}
