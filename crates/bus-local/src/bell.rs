//! [`LocalBell`]: the doorbell of one process.

use async_trait::async_trait;
use bus::{Doorbell, Ear, Topic};
use tokio::sync::watch;

/// How often each topic was rung.
type Rings = [u64; Topic::ALL.len()];

/// The doorbell of one process, however often it is cloned.
#[derive(Clone, Debug)]
pub struct LocalBell {
    rings: watch::Sender<Rings>,
}

impl Default for LocalBell {
    fn default() -> Self {
        Self { rings: watch::Sender::new(Rings::default()) }
    }
}

impl LocalBell {
    /// Rings for everybody in this process.
    pub fn ring_here(&self, topic: Topic) {
        self.rings.send_modify(|rings| {
            for (count, _) in rings.iter_mut().zip(Topic::ALL).filter(|(_, other)| *other == topic) {
                *count = count.wrapping_add(1);
            }
        });
    }
}

#[async_trait]
impl Doorbell for LocalBell {
    async fn ring(&self, topic: Topic) {
        self.ring_here(topic);
    }

    fn listen(&self) -> Box<dyn Ear> {
        let rings = self.rings.subscribe();
        let heard = *rings.borrow();
        Box::new(LocalEar { rings, heard, last: Topic::Changed })
    }
}

struct LocalEar {
    rings: watch::Receiver<Rings>,
    heard: Rings,
    /// What it heard last, which comes last at the next look: one that is rung all the time drowns out no other.
    last: Topic,
}

impl LocalEar {
    fn look(&mut self) -> Option<Topic> {
        let rings = *self.rings.borrow_and_update();
        let mut topics = Topic::ALL.into_iter().zip(self.heard.iter_mut()).zip(rings).collect::<Vec<_>>();
        topics.sort_by_key(|((topic, _), _)| *topic == self.last);
        let ((topic, heard), rung) = topics.into_iter().find(|((_, heard), rung)| **heard != *rung)?;
        *heard = rung;
        self.last = topic;
        Some(topic)
    }
}

#[async_trait]
impl Ear for LocalEar {
    async fn rung(&mut self) -> Topic {
        loop {
            if let Some(topic) = self.look() {
                return topic;
            }
            if self.rings.changed().await.is_err() {
                // The bell is gone, and nobody can ring it.
                std::future::pending::<()>().await;
            }
        }
    }
}
