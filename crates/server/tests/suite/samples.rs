//! A good call of every operation, by the operation's id. A new operation gets one line in its area.

mod administration;
mod credentials;
mod data;
mod gateway;
mod keys;
mod work;

use crate::harness::{Server, Tenant};
use bytes::Bytes;
use client::{Answer, Client};
use http::Method;
use serde_json::Value;
use std::time::Duration;

/// What samples are made in.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) tenant: Tenant,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A world whose server has these arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let server = Server::start_with("", arguments);
        let tenant = server.tenant("Sample").await;
        Self { server, tenant }
    }

    /// A good call of this operation, if there is a sample. Whatever the call needs is there by then.
    pub(crate) async fn sample(&self, operation: &str) -> Option<Sample> {
        if let Some(sample) = administration::sample(operation, self).await {
            return Some(sample);
        }
        if let Some(sample) = keys::sample(operation, &self.tenant).await {
            return Some(sample);
        }
        if let Some(sample) = work::sample(operation, self).await {
            return Some(sample);
        }
        if let Some(sample) = gateway::sample(operation, &self.tenant).await {
            return Some(sample);
        }
        if let Some(sample) = credentials::sample(operation, &self.tenant).await {
            return Some(sample);
        }
        data::sample(operation, &self.tenant).await
    }

    /// Whoever a sample is to be sent by.
    pub(crate) fn caller(&self, sample: &Sample) -> Client {
        match sample.by {
            By::Owner => self.tenant.owner.clone(),
            By::Operator => self.server.operator.clone(),
            By::Anyone => self.server.operator.without_key(),
        }
    }
}

/// How long a sample listens that would be answered without end.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(300);

/// By whom a call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Owner,
    Operator,
    Anyone,
}

/// A call.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) by: By,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Whether it is answered for as long as somebody listens.
    listens: bool,
}

impl Sample {
    pub(crate) fn new(by: By, method: Method, path: impl Into<String>) -> Self {
        Self { by, method, path: path.into(), body: None, listens: false }
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(("application/json", body.to_string().into()));
        self
    }

    /// Listened to for a moment.
    pub(crate) fn listening(mut self) -> Self {
        self.listens = true;
        self
    }

    /// With a file as its body.
    pub(crate) fn file(mut self, body: Bytes) -> Self {
        self.body = Some(("application/octet-stream", body));
        self
    }

    /// Sends it.
    pub(crate) async fn send(&self, who: &Client) -> Answer {
        let mut call = who.call(self.method.clone(), &self.path);
        if let Some((media_type, body)) = &self.body {
            call = call.body(media_type, body.clone());
        }
        if self.listens { call.listen(A_MOMENT).await.unwrap() } else { call.send().await.unwrap() }
    }
}
