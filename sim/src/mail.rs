//! [`Mail`]: what is on its way to nodes.

use bus::Topic;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// A request of a caller.
pub(crate) struct Request {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A letter to a node.
pub(crate) enum Letter {
    /// To be answered.
    Request(Request, oneshot::Sender<Answer>),
    /// Somebody rang.
    Ring(Topic),
    /// To end in good order.
    Drain,
}

/// Letters by when they arrive and when they were sent.
#[derive(Default)]
struct OnItsWay {
    letters: BTreeMap<(i64, u64), (usize, Letter)>,
    sent: u64,
}

/// What is on its way to nodes.
#[derive(Default)]
pub(crate) struct Mail(Mutex<OnItsWay>);

impl Mail {
    /// Sends a letter that arrives at this moment.
    pub(crate) fn send(&self, to: usize, at: i64, letter: Letter) {
        let mut mail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mail.sent += 1;
        let place = (at, mail.sent);
        mail.letters.insert(place, (to, letter));
    }

    /// The next letter that has arrived by now.
    pub(crate) fn arrived(&self, now: i64) -> Option<(usize, Letter)> {
        let mut mail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = mail.letters.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}
