//! Addresses in a request that the model's provider would fetch.
//!
//! Nobody can check what the provider's own look-up will find. So a name must lead to the open internet from
//! here, and a provider inside a network of its own, which sees more than the internet, fetches nothing but
//! what the operator opened by name.

use super::resolve::Resolved;
use crate::App;
use egress::{Denied, Destination, Host};
use errors::{Code, Problem};
use model::EndpointUrl;
use model::dialect::openai::ChatRequest;
use std::time::Duration;

/// How long all look-ups of one request may take.
const LOOK_UPS: Duration = Duration::from_secs(5);

/// Refuses a request whose addresses the provider must not fetch.
pub(super) async fn check(app: &App, resolved: &Resolved, request: &ChatRequest) -> Result<(), Problem> {
    if request.fetched_urls().is_empty() {
        return Ok(());
    }
    let checked = tokio::time::timeout(LOOK_UPS, all(app, &resolved.target.url, request)).await;
    checked.unwrap_or_else(|_| Err(denied("An address in the request could not be looked up in time.")))
}

async fn all(app: &App, endpoint: &EndpointUrl, request: &ChatRequest) -> Result<(), Problem> {
    let mut destinations = Vec::new();
    for url in request.fetched_urls() {
        let destination = Destination::parse(url).map_err(|error| {
            let detail = format!("An address in the request cannot be used: {error}.");
            Problem::new(Code::FieldNotAllowed, detail).with("param", "messages")
        })?;
        let (host, port) = (destination.host(), destination.port());
        if !app.gateway.policy.opens(host, port) {
            app.gateway.policy.permits_unresolved(&destination).map_err(|_| outside())?;
            destinations.push((host.clone(), port));
        }
    }
    if destinations.is_empty() {
        return Ok(());
    }
    let inside = match Host::parse(endpoint.host()) {
        Ok(host) => !is_open(app, &host, endpoint.port()).await,
        Err(_) => true,
    };
    if inside {
        return Err(denied(
            "This model's provider is not on the open internet and fetches nothing. Send the data itself, as \
             a `data:` address.",
        ));
    }
    for (host, port) in destinations {
        if !is_open(app, &host, port).await {
            return Err(outside());
        }
    }
    Ok(())
}

/// Whether all addresses of the host are of the open internet. A name that cannot be looked up is not.
async fn is_open(app: &App, host: &Host, port: u16) -> bool {
    let found = match (host.address(), host.name()) {
        (Some(address), _) => vec![address],
        (None, Some(name)) => app.gateway.resolver.resolve(name).await.unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    let permits = |address| -> Result<(), Denied> { app.gateway.policy.permits(host, port, address) };
    !found.is_empty() && found.into_iter().all(|address| permits(address).is_ok())
}

fn outside() -> Problem {
    denied("An address in the request is not one of the open internet.")
}

fn denied(detail: &str) -> Problem {
    Problem::new(Code::EgressDenied, detail).with("param", "messages")
}
