//! An answer in pieces: events become chunks, and the end is judged.

use crate::bulkhead::Place;
use crate::receive::Received;
use crate::sse::SseReader;
use context::{Origin, Private, Tenant};
use model::dialect::openai::{Chunk, NotTheDialect};
use model::{ChunkStream, KeyOwner, ModelError, ProviderError};
use secret::SecretText;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};

const DONE: &[u8] = b"[DONE]";
/// What a failure reported inside a stream counts as where it names no status.
const BAD_GATEWAY: u16 = 502;

/// What reading a stream needs to know of its call.
pub(crate) struct Expected {
    /// How many answers were asked for.
    pub(crate) choices: u32,
    /// What must not be in an error.
    pub(crate) key: Option<SecretText>,
    /// Whose key that is.
    pub(crate) key_owner: KeyOwner,
}

struct Reading {
    body: Received,
    /// `None` after the last byte.
    events: Option<SseReader>,
    pending: VecDeque<Vec<u8>>,
    expected: Expected,
    finished: BTreeSet<u64>,
    begun: bool,
    place: Place,
}

/// The pieces of the answer. Dropping the stream closes the connection, which cancels the call.
pub(crate) fn chunks<'t>(
    tenant: Tenant<'t>,
    body: Received,
    expected: Expected,
    place: Place,
) -> ChunkStream<'t> {
    let reading = Reading {
        body,
        events: Some(SseReader::default()),
        pending: VecDeque::new(),
        expected,
        finished: BTreeSet::new(),
        begun: false,
        place,
    };
    Box::pin(futures::stream::unfold(Some(reading), move |reading| {
        let tenant = tenant.clone();
        async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(chunk)) => {
                    // The answer belongs to the visit whose request it answers: it came on the connection
                    // that carried that request and no other.
                    let origin = Origin::authenticated(tenant.id());
                    Some((Ok(Private::arrived(&tenant, origin, chunk)), Some(reading)))
                }
                Ok(None) => {
                    reading.place.judge(Ok(()));
                    None
                }
                Err(error) => {
                    reading.place.judge(Err(&error));
                    Some((Err(error), None))
                }
            }
        }
    }))
}

impl Reading {
    /// The next piece, or `None` after the last.
    async fn next(&mut self) -> Result<Option<Chunk>, ModelError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                if event == DONE {
                    self.body.drain().await;
                    return Ok(None);
                }
                return self.chunk(&event).map(Some);
            }
            let Some(events) = &mut self.events else {
                return if self.is_complete() { Ok(None) } else { Err(ModelError::Broken) };
            };
            match self.body.next().await? {
                Some(bytes) => self.pending.extend(events.feed(&bytes).map_err(|_| ModelError::TooLarge)?),
                None => {
                    let last = self.events.take().map(SseReader::finish);
                    self.pending.extend(last.transpose().map_err(|_| ModelError::TooLarge)?.flatten());
                }
            }
        }
    }

    /// Some servers end without `[DONE]`; then every answer must have said that it ended.
    fn is_complete(&self) -> bool {
        self.finished.len() >= self.expected.choices as usize
    }

    fn chunk(&mut self, event: &[u8]) -> Result<Chunk, ModelError> {
        let body: Value =
            serde_json::from_slice(event).map_err(|_| ModelError::Garbled("an event is not JSON"))?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.reported(&body, event));
        }
        let chunk = Chunk::read(body).map_err(|NotTheDialect(why)| ModelError::Garbled(why))?;
        self.finished.extend(&chunk.finished);
        if !std::mem::replace(&mut self.begun, true) {
            self.place.answered();
        }
        Ok(chunk)
    }

    /// A failure that the provider reports in the stream. Before the first piece it is a refusal.
    fn reported(&self, body: &Value, event: &[u8]) -> ModelError {
        if self.begun {
            return ModelError::Broken;
        }
        let status =
            body.pointer("/error/code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|status| (400..600).contains(status)).unwrap_or(BAD_GATEWAY);
        let key = self.expected.key.as_ref();
        ModelError::Refused(ProviderError::read(status, None, event, key, self.expected.key_owner))
    }
}
