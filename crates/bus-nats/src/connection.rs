//! [`Connection`]: the one connection of this server to NATS, which comes back by itself.

use crate::SetupError;
use crate::link::{Link, PATIENCE};
use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectError, ConnectErrorKind, Event};
use std::error::Error as _;
use std::io;
use tokio::sync::watch;

/// The connection of this server to NATS.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    /// How often it was made: with each time, what was asked for over the one before gets no answer any more.
    pub(crate) times: watch::Receiver<u64>,
}

impl Connection {
    /// Connects. Where NATS cannot be reached at the moment it goes on trying; where NATS or its certificate says no,
    /// it does not.
    pub async fn open(link: &Link) -> Result<Self, SetupError> {
        let (counter, mut times) = watch::channel(0);
        let client = match Self::connect(link, &counter, false).await {
            Err(error) if for_now(&error) => {
                tracing::error!(%error, "NATS cannot be reached: no messages are told until it can");
                Self::connect(link, &counter, true).await
            }
            client => client,
        };
        let client = client.map_err(refused)?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(PATIENCE);
        if client.connection_state() == State::Connected {
            // It is counted a moment later, and must not count as another one then.
            let _ = tokio::time::timeout(PATIENCE, times.wait_for(|times| *times > 0)).await;
        }
        let connection = Self { client, jetstream, times };
        if connection.is_up()
            && let Err(error) = connection.jetstream.query_account().await
        {
            tracing::error!(%error, "JetStream cannot be used: no messages are told until it can");
        }
        Ok(connection)
    }

    async fn connect(
        link: &Link,
        counter: &watch::Sender<u64>,
        in_the_end: bool,
    ) -> Result<Client, ConnectError> {
        let counter = counter.clone();
        let options = link
            .options()
            .map_err(|error| ConnectError::with_source(ConnectErrorKind::Authentication, error))?;
        let options = options.event_callback(move |event| {
            heard_of(&event, &counter);
            std::future::ready(())
        });
        let options = if in_the_end { options.retry_on_initial_connect() } else { options };
        options.connect(link.address.as_str()).await
    }

    /// Whether it stands, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

fn heard_of(event: &Event, counter: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            counter.send_modify(|times| *times += 1);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
        event => tracing::warn!(%event, "NATS"),
    }
}

/// What is wrong with TLS comes wrapped, as whoever reads from the stream knows of reading alone.
fn tls(error: &ConnectError) -> Option<String> {
    let mut source = error.source();
    while let Some(found) = source {
        let inner = found.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(error.to_string());
        }
        source = found.source();
    }
    (error.kind() == ConnectErrorKind::Tls).then(|| error.to_string())
}

/// Whether it may be better later, without anybody changing anything.
fn for_now(error: &ConnectError) -> bool {
    let kind =
        matches!(error.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns);
    kind && tls(error).is_none()
}

fn refused(error: ConnectError) -> SetupError {
    if let Some(message) = tls(&error) {
        return SetupError::Tls(message);
    }
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            SetupError::Refused(error.to_string())
        }
        _ => SetupError::Unusable(error.to_string()),
    }
}
