//! Bodies too large for memory: to a file as they arrive, and from one as they leave.

use app::ScratchFile;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use errors::{Code, Problem};
use futures::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use std::io;
use std::time::Duration;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the next piece of a body may take to arrive.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
const PIECE_BYTES: usize = 64 * 1024;

fn failed(error: &io::Error) -> Problem {
    tracing::error!(%error, "a file on its way could not be written or read");
    Problem::new(Code::Unavailable, "The server could not keep the file. Try again.").retry_after(30)
}

/// Writes a request's body of at most `limit` bytes into the file, and gives back the body's hash.
pub(crate) async fn receive(request: Request, file: &ScratchFile, limit: u64) -> Result<[u8; 32], Problem> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file.path()).await;
    let mut output = made.map_err(|error| failed(&error))?;
    let mut body = request.into_body();
    let (mut received, mut hash) = (0u64, Sha256::new());
    loop {
        let Ok(frame) = tokio::time::timeout(PIECE_TIMEOUT, body.frame()).await else {
            return Err(Problem::invalid("The body did not arrive in time."));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Problem::invalid("The body could not be read to its end."))?;
        let Ok(data) = frame.into_data() else { continue };
        received = received.saturating_add(data.len() as u64);
        if received > limit {
            let detail = format!("The body is larger than {limit} bytes.");
            return Err(Problem::new(Code::PayloadTooLarge, detail));
        }
        hash.update(&data);
        output.write_all(&data).await.map_err(|error| failed(&error))?;
    }
    output.flush().await.map_err(|error| failed(&error))?;
    Ok(hash.finalize().into())
}

/// Answers with the file, piece by piece. It is removed once it was sent, or the caller has gone.
pub(crate) async fn send(file: ScratchFile, name: &str) -> Result<Response, Problem> {
    let input = File::open(file.path()).await.map_err(|error| failed(&error))?;
    let length = input.metadata().await.map_err(|error| failed(&error))?.len();
    let pieces = stream::try_unfold((input, file), |(mut input, file)| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = input.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(piece), (input, file))))
    });
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
