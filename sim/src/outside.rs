//! [`NodeEgress`]: the way out of a node, and the services at its other end. One of them keeps to idempotency keys,
//! as a service should; the other does everything that it is asked.

use crate::mistakes::Mistake;
use crate::network::{CutOff, Link};
use async_trait::async_trait;
use context::{Origin, Private, Tenant, door};
use egress::{Egress, EgressError, OutboundRequest, OutboundResponse};
use serde_json::{Value, json};
use std::time::Duration;

/// The service that takes an idempotency key for what it is.
pub(crate) const CAREFUL: &str = "https://careful.test";
/// The service that knows no idempotency keys.
pub(crate) const CARELESS: &str = "https://careless.test";
/// In how many of a hundred cases a service is too busy.
const BUSY: u64 = 8;

/// The way out of a node.
pub(crate) struct NodeEgress(pub(crate) Link);

#[async_trait]
impl Egress for NodeEgress {
    async fn send<'t>(
        &self,
        tenant: &Tenant<'t>,
        request: Private<'t, OutboundRequest>,
    ) -> Result<Private<'t, OutboundResponse>, EgressError> {
        let request = door::tool(tenant, request)?;
        let (world, url, patience) = (&self.0.world, request.url.clone(), request.timeout);
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let [marker, step] =
            ["marker", "step"].map(|name| asked.get(name).and_then(Value::as_str).unwrap_or_default());
        world.watch.shown(tenant.id(), "a call", &asked.to_string());
        world.watch.leaves((tenant.id(), tenant.lease()), step, world.now());
        let answering = self.0.call(step, self.serve(&request, (marker, step)));
        let answer = match tokio::time::timeout(patience, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(CutOff::There)) if world.network.dice().in_hundred(50) => {
                return Err(EgressError::Connect);
            }
            Ok(Err(_)) => return Err(EgressError::Broken { sent: true }),
            Err(_) => return Err(EgressError::Timeout { sent: true }),
        };
        let (status, body) = answer;
        let response = OutboundResponse {
            status,
            headers: http::HeaderMap::new(),
            body: body.to_string().into_bytes(),
            url,
        };
        Ok(Private::arrived(tenant, Origin::authenticated(tenant.id()), response))
    }
}

impl NodeEgress {
    /// What the service does, in the midst of the time that it takes, and answers.
    async fn serve(&self, request: &OutboundRequest, (marker, step): (&str, &str)) -> (u16, Value) {
        let world = &self.0.world;
        tokio::time::sleep(thinking(&self.0)).await;
        let careful = request.url.to_string().starts_with(CAREFUL);
        if careful && world.network.dice().in_hundred(BUSY) {
            return (503, json!({}));
        }
        let keeps = careful && !world.mistaken(Mistake::KeyDropped);
        let key = request.headers.as_map().get("idempotency-key").filter(|_| keeps);
        let key = key.and_then(|value| value.to_str().ok());
        let receipt = world.watch.effect(marker, step, key);
        world.note(format_args!("  effect {receipt} for {key:?}"));
        tokio::time::sleep(thinking(&self.0)).await;
        (200, json!({"receipt": receipt, "marker": marker}))
    }
}

/// How long a service or a model takes for a part of its work.
pub(crate) fn thinking(link: &Link) -> Duration {
    let dice = link.world.network.dice();
    let most = if dice.in_hundred(30) { 1_500 } else { 150 };
    Duration::from_millis(dice.within(1..=most))
}
