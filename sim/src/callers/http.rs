//! Calls over the simulated network.

use super::Caller;
use crate::mail::{Answer, Letter, Request};
use crate::network::Peer;
use ::http::Method;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(12);
/// In how many of a hundred cases a request that may be repeated arrives at two servers.
const TWICE: u64 = 15;
/// The header by which a caller says which tenant it means.
const MEANT: &str = "x-tenant-id";

/// What is asked.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// The idempotency key.
    pub(super) key: Option<String>,
    /// Which tenant the caller says that it means.
    pub(super) meant: Option<String>,
}

impl Asked {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), ..Self::default() }
    }

    pub(super) fn post(path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method: Method::POST, path: path.into(), body, ..Self::default() }
    }

    pub(super) fn once(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

/// Whether an answer says no more than that it should be tried again.
pub(super) fn says_nothing(answer: &Answer) -> bool {
    matches!(answer.status, 408 | 429 | 500..)
}

impl Caller {
    /// Asks one server, chosen by the seed. `None` where no answer came.
    pub(super) async fn ask(&self, asked: &Asked) -> Option<Answer> {
        let twice = asked.key.is_some() && self.dice.in_hundred(TWICE);
        // The network delivers it once more, and nobody looks at the second answer.
        let _echo = if twice { self.send(asked) } else { None };
        let answered = self.send(asked)?;
        let answer = tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()?;
        self.world.watch.shown(self.company.id, "an answer", &answer.body);
        Some(answer)
    }

    fn send(&self, asked: &Asked) -> Option<oneshot::Receiver<Answer>> {
        let server = *self.dice.one_of(&self.servers)?;
        let network = &self.world.network;
        if network.is_cut(server, Peer::Callers) {
            return None;
        }
        let mut headers = vec![("authorization", format!("Bearer {}", self.company.key.expose()))];
        headers.extend(asked.body.is_some().then(|| ("content-type", "application/json".to_owned())));
        headers.extend(asked.key.clone().map(|key| ("idempotency-key", key)));
        headers.extend(asked.meant.clone().map(|meant| (MEANT, meant)));
        let body = asked.body.as_ref().map_or(Bytes::new(), |body| Bytes::from(body.to_string()));
        let (method, path) = (asked.method.clone(), asked.path.clone());
        let (reply, answered) = oneshot::channel();
        let at = self.world.now().saturating_add_unsigned(network.delay(server, Peer::Callers));
        self.world.mail.send(server, at, Letter::Request(Request { method, path, headers, body }, reply));
        Some(answered)
    }

    /// Asks again and again until an answer says something, or time is up.
    pub(super) async fn insist(&self, asked: &Asked) -> Option<Answer> {
        while self.world.now() < self.end() {
            if let Some(answer) = self.ask(asked).await.filter(|answer| !says_nothing(answer)) {
                return Some(answer);
            }
            self.pause(600).await;
        }
        None
    }

    /// The same, and the answer as JSON if it has this status.
    pub(super) async fn expect(&self, asked: &Asked, status: u16) -> Option<Value> {
        let answer = self.insist(asked).await?;
        if answer.status != status {
            let Answer { status, body } = answer;
            self.world
                .note(format_args!("{} {} was answered with {status} {body}", asked.method, asked.path));
            return None;
        }
        serde_json::from_str(&answer.body).ok()
    }
}
