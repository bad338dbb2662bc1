//! [`Feed`]: the messages of one stream as they come, asked for some at a time. They come as they are told, without
//! anybody asking again and again: NATS holds the request until there is something.

use crate::Connection;
use async_nats::Message;
use async_nats::Subscriber;
use async_nats::status::StatusCode;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

/// How many messages are asked for at a time, and how many bytes: what a listener that does not listen holds.
const ASKED: u32 = 64;
const ASKED_BYTES: u32 = 256 << 10;
/// How long NATS holds a request.
const HELD: Duration = Duration::from_secs(300);
/// How often NATS says that it still holds it.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After how long a silence it does not.
const SILENCE: Duration = Duration::from_secs(12);

/// The messages of one stream from a number on.
pub(crate) struct Feed {
    connection: Connection,
    asks: String,
    inbox: String,
    coming: Subscriber,
    /// How many of those asked for may still come.
    due: u32,
    times: watch::Receiver<u64>,
}

/// Nothing more comes over this feed.
pub(crate) struct FeedLost;

/// What came.
pub(crate) struct Came {
    pub(crate) message: Message,
    pub(crate) number: u64,
    /// Whether it was there before anybody waited for it.
    pub(crate) earlier: bool,
}

impl Feed {
    /// Reads a consumer of a stream. `times` is what the connection's were before the consumer was made.
    pub(crate) async fn open(
        connection: Connection,
        stream: &str,
        consumer: &str,
        times: watch::Receiver<u64>,
    ) -> Result<Self, FeedLost> {
        let inbox = connection.client.new_inbox();
        let coming = connection.client.subscribe(inbox.clone()).await.map_err(|_| FeedLost)?;
        let asks = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        Ok(Self { connection, asks, inbox, coming, due: 0, times })
    }

    /// The next message. What has come is not lost where the wait for it is given up.
    pub(crate) async fn next(&mut self) -> Result<Came, FeedLost> {
        while let Some(message) = self.coming.next().now_or_never() {
            if let Some((message, number)) = self.take(message.ok_or(FeedLost)?)? {
                return Ok(Came { message, number, earlier: true });
            }
        }
        loop {
            if self.due == 0 {
                self.ask().await?;
            }
            let message = tokio::select! {
                biased;
                message = self.coming.next() => message.ok_or(FeedLost)?,
                _ = self.times.changed() => return Err(FeedLost),
                () = tokio::time::sleep(SILENCE) => return Err(FeedLost),
            };
            if let Some((message, number)) = self.take(message)? {
                return Ok(Came { message, number, earlier: false });
            }
        }
    }

    async fn ask(&mut self) -> Result<(), FeedLost> {
        let wanted = json!({
            "batch": ASKED, "max_bytes": ASKED_BYTES,
            "expires": nanos(HELD), "idle_heartbeat": nanos(HEARTBEAT),
        });
        let (asks, inbox) = (self.asks.clone(), self.inbox.clone());
        let asked = self.connection.client.publish_with_reply(asks, inbox, wanted.to_string().into()).await;
        asked.map_err(|_| FeedLost)?;
        self.due = ASKED;
        Ok(())
    }

    /// The message and its number, where it is one of the stream's and not a word of NATS's about the request.
    fn take(&mut self, message: Message) -> Result<Option<(Message, u64)>, FeedLost> {
        let Some(status) = message.status else {
            self.due = self.due.saturating_sub(1);
            let number = message.reply.as_deref().and_then(number).ok_or(FeedLost)?;
            return Ok(Some((message, number)));
        };
        let description = message.description.as_deref().unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => Ok(None),
            // The request has ended, and there may be more.
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => {
                self.due = 0;
                Ok(None)
            }
            StatusCode::REQUEST_TERMINATED
                if description.eq_ignore_ascii_case("message size exceeds maxbytes") =>
            {
                self.due = 0;
                Ok(None)
            }
            status => {
                tracing::debug!(%status, description, "a stream is not read any more");
                Err(FeedLost)
            }
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The number of a message in its stream, from the subject under which it would be acknowledged:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<number>.…`, in newer forms with domain and account before the stream
/// (<https://github.com/nats-io/nats-architecture-and-design>, ADR-15).
fn number(reply: &str) -> Option<u64> {
    let tokens: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = if tokens.len() == 7 { 3 } else { 5 };
    tokens.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_message_has_its_number_in_either_form() {
        assert_eq!(number("$JS.ACK.TENANT_1.abc.1.17.3.1790000000000000000.0"), Some(17));
        assert_eq!(number("$JS.ACK.hub.x1.TENANT_1.abc.1.17.3.1790000000000000000.0.token"), Some(17));
        for reply in ["_INBOX.a.b", "$JS.ACK.TENANT_1.abc", "$JS.ACK.TENANT_1.abc.1.x.3.4.0"] {
            assert_eq!(number(reply), None, "{reply}");
        }
    }
}
