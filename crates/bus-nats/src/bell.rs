//! [`NatsBell`]: the doorbell of several servers. A ring is an empty message that nobody keeps.

use crate::Connection;
use async_nats::Subscriber;
use async_trait::async_trait;
use bus::{Doorbell, Ear, Topic};
use bus_local::LocalBell;
use bytes::Bytes;
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PREFIX: &str = "tenantry.bell";
/// Nobody answers under this subject, which NATS says at once.
const NOBODY: &str = "tenantry.nobody";

/// The doorbell of several servers, one for each connection: what is rung over a connection does not come back over it.
#[derive(Clone)]
pub struct NatsBell {
    connection: Connection,
    here: LocalBell,
    _listening: Arc<Listening>,
}

/// The task that hears what others ring, which ends with the bell.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// There is no connection any more that could be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to NATS is closed")]
pub struct ConnectionClosed;

impl NatsBell {
    /// Hangs the bell. What is rung from then on is heard here; where NATS cannot be reached, from when it can.
    pub async fn hang(connection: &Connection) -> Result<Self, ConnectionClosed> {
        let mut times = connection.times.clone();
        times.mark_unchanged();
        let rings = connection.client.subscribe(format!("{PREFIX}.*")).await.map_err(|_| ConnectionClosed)?;
        if connection.is_up() {
            // By the time of any answer NATS has taken the subscription in.
            let _ = connection.client.request(NOBODY, Bytes::new()).await;
        }
        let here = LocalBell::default();
        let listening = Arc::new(Listening(tokio::spawn(listen(rings, times, here.clone()))));
        Ok(Self { connection: connection.clone(), here, _listening: listening })
    }
}

async fn listen(mut rings: Subscriber, mut times: watch::Receiver<u64>, here: LocalBell) {
    loop {
        tokio::select! {
            ring = rings.next() => {
                let Some(ring) = ring else { return };
                let topic = ring.subject.strip_prefix(PREFIX).and_then(|name| name.strip_prefix('.'));
                let topic = Topic::ALL.into_iter().find(|known| Some(known.as_str()) == topic);
                if let Some(topic) = topic {
                    here.ring_here(topic);
                }
            }
            changed = times.changed() => {
                if changed.is_err() {
                    return;
                }
                // Nobody knows what was rung while there was no connection.
                for topic in Topic::ALL {
                    here.ring_here(topic);
                }
            }
        }
    }
}

#[async_trait]
impl Doorbell for NatsBell {
    async fn ring(&self, topic: Topic) {
        self.here.ring_here(topic);
        let subject = format!("{PREFIX}.{}", topic.as_str());
        // Without a connection nobody else is told; each of them rings for itself when it is back.
        if self.connection.is_up() && self.connection.client.publish(subject, Bytes::new()).await.is_err() {
            tracing::warn!("the connection to NATS is closed, and other servers hear no ring");
        }
    }

    fn listen(&self) -> Box<dyn Ear> {
        self.here.listen()
    }
}
