//! [`HttpModels`]: the adapter.

use crate::bulkhead::{BulkheadLimits, Bulkheads, Place};
use crate::connect::Connector;
use crate::exchange::{self, Pool, Prepared};
use crate::receive::{Patience, Received, is_plain};
use crate::stream::{self, Expected};
use async_trait::async_trait;
use bytes::Bytes;
use context::{Origin, Private, Tenant, door};
use env::Env;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use model::dialect::openai::{ChatCall, Completion, NotTheDialect};
use model::{ChatAnswer, ModelEndpoint, ModelError, ProviderError, Target, Waiting};
use std::sync::Arc;
use std::time::Duration;

/// How much of a refusal is read.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// How the adapter behaves towards all endpoints.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How much may be under way, and when an endpoint is left alone.
    pub bulkheads: BulkheadLimits,
    /// How long a connection may take, name look-up and TLS included.
    pub connect: Duration,
    /// How many idle connections are kept for each host.
    pub idle_per_host: usize,
    /// The largest answer, whole or in pieces, in bytes.
    pub max_answer_bytes: usize,
    /// Certificates (DER) to trust beside those of the web's authorities, for endpoints of one's own.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            bulkheads: BulkheadLimits::default(),
            connect: Duration::from_secs(5),
            idle_per_host: 64,
            max_answer_bytes: 64 * 1024 * 1024,
            extra_roots: Vec::new(),
        }
    }
}

/// A certificate among the extra roots is none.
#[derive(Debug, thiserror::Error)]
#[error("a certificate among the extra roots cannot be used")]
pub struct UnfitRoots(#[source] rustls::Error);

/// Calls models over HTTP. One for the whole server: it holds the pool of connections.
pub struct HttpModels {
    pool: Pool,
    bulkheads: Arc<Bulkheads>,
    env: Env,
    max_answer_bytes: usize,
}

impl HttpModels {
    /// An adapter with these settings.
    pub fn new(env: Env, settings: HttpSettings) -> Result<Self, UnfitRoots> {
        let connector = Connector::new(&settings.extra_roots, settings.connect).map_err(UnfitRoots)?;
        Ok(Self {
            pool: exchange::pool(connector, settings.idle_per_host),
            bulkheads: Arc::new(Bulkheads::new(settings.bulkheads, env.clone())),
            env,
            max_answer_bytes: settings.max_answer_bytes,
        })
    }

    async fn carry_out<'t>(
        &self,
        tenant: &Tenant<'t>,
        target: &Target,
        call: Private<'t, ChatCall>,
        place: &mut Option<Place>,
    ) -> Result<ChatAnswer<'t>, ModelError> {
        let patience = Patience::from_now(&target.timeouts, self.env.now(), tenant.deadline());
        let call = door::upstream(tenant, call)?;
        let body = serde_json::to_vec(&call.body)
            .map_err(|_| ModelError::Garbled("the request cannot be written"))?;
        let prepared = Prepared::new(target, &call.model, call.stream, Bytes::from(body))?;
        let (until, waiting) = if call.stream {
            (patience.first_byte, Waiting::FirstByte)
        } else {
            (patience.total, Waiting::Total)
        };
        let response = exchange::send(&self.pool, &prepared, &self.env, until, waiting).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response, target, patience).await);
        }
        let (head, body) = response.into_parts();
        let body = Received::new(body, patience, self.max_answer_bytes, call.stream)?;
        if call.stream {
            if !is_plain(&head.headers, "text/event-stream") {
                return Err(ModelError::Garbled("not a stream of events"));
            }
            let (key, key_owner) = (target.key.clone(), target.key_owner);
            let expected = Expected { choices: call.choices, key, key_owner };
            let place = place.take().ok_or(ModelError::Busy)?;
            return Ok(ChatAnswer::Stream(stream::chunks(tenant.clone(), body, expected, place)));
        }
        let completion = whole(&head.headers, body).await?;
        // The answer belongs to the visit whose request it answers: it came on the connection that carried
        // that request and no other.
        Ok(ChatAnswer::Whole(Private::arrived(tenant, Origin::authenticated(tenant.id()), completion)))
    }
}

#[async_trait]
impl ModelEndpoint for HttpModels {
    async fn chat<'t>(
        &self,
        tenant: &Tenant<'t>,
        target: &Target,
        call: Private<'t, ChatCall>,
    ) -> Result<ChatAnswer<'t>, ModelError> {
        let mut place = Some(self.bulkheads.enter(tenant.id(), &target.endpoint).await?);
        let outcome = self.carry_out(tenant, target, call, &mut place).await;
        // A stream has taken its place along and is judged at its end.
        if let Some(place) = &mut place {
            place.judge(outcome.as_ref().map(|_| ()));
        }
        if let Err(error) = &outcome {
            tracing::warn!(tenant.id = %tenant.id(), endpoint = %target.endpoint, %error, "a model call failed");
        }
        outcome
    }
}

async fn whole(headers: &HeaderMap, body: Received) -> Result<Completion, ModelError> {
    if !is_plain(headers, "application/json") {
        return Err(ModelError::Garbled("not JSON"));
    }
    let bytes = body.whole().await?;
    let body = serde_json::from_slice(&bytes).map_err(|_| ModelError::Garbled("not JSON"))?;
    Completion::read(body).map_err(|NotTheDialect(why)| ModelError::Garbled(why))
}

/// Reads as much of an error answer as is worth knowing. That it is one stands without its body.
async fn refusal(response: Response<Incoming>, target: &Target, patience: Patience) -> ModelError {
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let body = match Received::new(body, patience, MAX_REFUSAL_BYTES, false) {
        Ok(body) => body.whole().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let key = target.key.as_ref();
    ModelError::Refused(ProviderError::read(head.status.as_u16(), retry_after, &body, key, target.key_owner))
}
