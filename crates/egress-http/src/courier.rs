//! [`Courier`]: one call from its first connection to its last answer, within its time.

use crate::Settings;
use crate::breaker::Breakers;
use crate::bulkhead::{Bulkheads, Place};
use crate::connect::{Connector, TlsSetupError};
use crate::connection::Progress;
use crate::exchange::{Answer, exchange};
use crate::redirect::{follow, is_redirect};
use bytes::Bytes;
use egress::Resolve;
use egress::{AddressPolicy, EgressError, OutboundRequest, OutboundResponse};
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use ids::TenantId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Courier {
    connector: Connector,
    bulkheads: Arc<Bulkheads>,
    breakers: Arc<Breakers>,
    max_timeout: Duration,
    max_response_bytes: usize,
}

/// One call on its way.
struct Journey {
    tenant: TenantId,
    place: Arc<Place>,
    progress: Progress,
    /// One for everything: whoever trickles, trickles against it.
    deadline: Instant,
}

impl Courier {
    pub(crate) fn new(
        policy: AddressPolicy,
        resolver: Arc<dyn Resolve>,
        settings: Settings,
    ) -> Result<Self, TlsSetupError> {
        Ok(Self {
            connector: Connector::new(Arc::new(policy), resolver, settings.own_roots)?,
            bulkheads: Bulkheads::new(settings.calls, settings.calls_per_tenant),
            breakers: Breakers::new(settings.breaker),
            max_timeout: settings.max_timeout,
            max_response_bytes: settings.max_response_bytes,
        })
    }

    /// A place for one call of the tenant, waited for as long as `patience`.
    pub(crate) async fn enter(&self, tenant: TenantId, patience: Duration) -> Result<Place, EgressError> {
        self.bulkheads.enter(tenant, patience).await
    }

    /// Sends the request, follows redirects as far as it says, and returns the last answer.
    pub(crate) async fn deliver(
        &self,
        tenant: TenantId,
        place: Place,
        request: OutboundRequest,
        time_left: Duration,
    ) -> Result<OutboundResponse, EgressError> {
        let time_left = time_left.min(self.max_timeout);
        if time_left.is_zero() {
            return Err(EgressError::Timeout { sent: false });
        }
        let journey = Journey {
            tenant,
            place: Arc::new(place),
            progress: Progress::default(),
            deadline: Instant::now() + time_left,
        };
        self.travel(&journey, request).await
    }

    async fn travel(
        &self,
        journey: &Journey,
        mut request: OutboundRequest,
    ) -> Result<OutboundResponse, EgressError> {
        let mut redirects_left = request.follow_redirects;
        let mut redirected = false;
        loop {
            let answer = self
                .hop(journey, &request)
                .await
                .map_err(|error| if redirected { error.after_redirect() } else { error })?;
            let follows = request.follow_redirects > 0 && is_redirect(answer.status, &answer.headers);
            if !follows {
                let Answer { status, headers, body } = answer;
                return Ok(OutboundResponse { status: status.as_u16(), headers, body, url: request.url });
            }
            redirects_left = redirects_left.checked_sub(1).ok_or(EgressError::TooManyRedirects)?;
            request = follow(request, answer.status, &answer.headers, self.connector.policy())
                .map_err(EgressError::after_redirect)?;
            redirected = true;
        }
    }

    /// One request and its answer. What the host is to blame for counts against its circuit.
    async fn hop(&self, journey: &Journey, request: &OutboundRequest) -> Result<Answer, EgressError> {
        let message = self.message(request)?;
        let host = format!("{}:{}", request.url.host(), request.url.port());
        let passage = self.breakers.pass(journey.tenant, host)?;
        let outcome = tokio::time::timeout_at(journey.deadline, self.transmit(journey, request, message))
            .await
            .unwrap_or_else(|_| Err(EgressError::Timeout { sent: journey.progress.sent() }));
        match &outcome {
            // What stands before the service says that the service does not answer.
            Ok(answer) if (502..=504).contains(&answer.status.as_u16()) => passage.failed(),
            Ok(_) | Err(EgressError::TooLarge) => passage.succeeded(),
            // It was never asked.
            Err(EgressError::Denied(_)) => drop(passage),
            Err(_) => passage.failed(),
        }
        outcome
    }

    async fn transmit(
        &self,
        journey: &Journey,
        request: &OutboundRequest,
        message: Request<Full<Bytes>>,
    ) -> Result<Answer, EgressError> {
        let Journey { place, progress, .. } = journey;
        let stream = self.connector.connect(&request.url, place, progress).await?;
        let max_body = request.max_response_bytes.min(self.max_response_bytes);
        let follows = request.follow_redirects > 0;
        let wants_body = |answer: &Response<_>| !(follows && is_redirect(answer.status(), answer.headers()));
        exchange(stream, message, max_body, wants_body, progress).await
    }

    /// The request as it is written: the tenant's header fields, ours, and the credential's over both.
    fn message(&self, request: &OutboundRequest) -> Result<Request<Full<Bytes>>, EgressError> {
        let mut message = Request::builder()
            .method(request.method.as_str())
            .uri(request.url.target())
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(|_| EgressError::Protocol)?;
        let headers = message.headers_mut();
        let host = HeaderValue::from_str(&request.url.authority()).map_err(|_| EgressError::Protocol)?;
        headers.insert(HOST, host);
        headers.extend(request.headers.as_map().clone());
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static("tenantry"));
        }
        if let Some(credential) = &request.credential {
            let (name, value) = credential.header_for(&request.url, self.connector.policy())?;
            headers.insert(name, value);
        }
        Ok(message)
    }
}
