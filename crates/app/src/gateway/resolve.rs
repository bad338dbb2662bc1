//! Which endpoint serves a model to a tenant, and with whose key.

use super::StartEndpoint;
use crate::App;
use context::Tenant;
use errors::{Code, Problem};
use metering::prices::{OperatorPrices, Price, price_of, provider_of_host};
use model::{EndpointUrl, KeyOwner, ModelEndpoint, Target};
use secret::SecretText;
use std::sync::Arc;
use store::Endpoint;

/// The name of the built-in model and of its endpoint.
pub(super) const OFFLINE: &str = "offline";
/// The declared example price of the built-in model, so that usage and budgets show.
const OFFLINE_PRICE: [&str; 2] = ["0.15", "0.60"];
const OFFLINE_OUTPUT: u64 = 4096;

/// What serves an endpoint's models.
#[derive(Clone)]
enum Server {
    /// The operator's row, with its sealed key.
    Row,
    /// The command line's.
    Start(Option<SecretText>),
    /// The built-in model.
    BuiltIn(Arc<dyn ModelEndpoint>),
}

/// An endpoint that a tenant may use.
#[derive(Clone)]
pub(super) struct Usable {
    pub(super) endpoint: Arc<Endpoint>,
    server: Server,
}

/// An endpoint with all that a call needs.
pub(super) struct Resolved {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) model: String,
    pub(super) target: Target,
    pub(super) adapter: Arc<dyn ModelEndpoint>,
    pub(super) price: Option<Price>,
}

impl Usable {
    /// The command line's endpoint.
    pub(super) fn at_start(start: StartEndpoint) -> Self {
        Self { endpoint: Arc::new(start.endpoint), server: Server::Start(start.key) }
    }

    /// The endpoint of the built-in model.
    pub(super) fn built_in(model: Arc<dyn ModelEndpoint>) -> Result<Self, Problem> {
        let [input, output] = OFFLINE_PRICE.map(|text| text.parse().map_err(|_| Problem::internal()));
        let price = metering::prices::OperatorPrice {
            input_per_million: input?,
            output_per_million: output?,
            cached_input_per_million: None,
            cache_write_per_million: None,
        };
        let endpoint = Endpoint {
            name: OFFLINE.parse().map_err(|_| Problem::internal())?,
            url: "http://offline.invalid".into(),
            dialect: "openai".into(),
            models: vec![OFFLINE.into()],
            sealed_api_key: None,
            tenant_credential: None,
            region: None,
            prices: OperatorPrices::from([(OFFLINE.to_owned(), price)]),
            max_output_tokens: Some(OFFLINE_OUTPUT),
        };
        Ok(Self { endpoint: Arc::new(endpoint), server: Server::BuiltIn(model) })
    }

    /// Those that process in the tenant's region or bind themselves to none.
    fn is_open_to(&self, tenant: &Tenant<'_>) -> bool {
        // A throwaway tenant of a grant spends nobody's money and tells no provider anything.
        let offline_only = tenant.standing().throwaway_until.is_some();
        let here = self.endpoint.region.as_deref().is_none_or(|bound| bound == tenant.region().as_str());
        here && (!offline_only || matches!(self.server, Server::BuiltIn(_)))
    }
}

/// The endpoints that the tenant may use and that `serve` what is asked. The operator's come first, by name.
pub(super) async fn usable(
    app: &App,
    tenant: &Tenant<'_>,
    serve: impl Fn(&Endpoint) -> bool,
) -> Result<Vec<Usable>, Problem> {
    let rows = app.platform.endpoints().await?;
    let rows = rows.iter().filter(|row| serve(row));
    let rows = rows.map(|row| Usable { endpoint: Arc::clone(row), server: Server::Row });
    let given = app.gateway.given.iter().filter(|given| serve(&given.endpoint)).cloned();
    Ok(rows.chain(given).filter(|usable| usable.is_open_to(tenant)).collect())
}

/// The first endpoint that serves `model` to the tenant and that it has a key for. A name that none of them serves is no model.
pub(super) async fn resolve(app: &App, tenant: &Tenant<'_>, model: &str) -> Result<Resolved, Problem> {
    let serves = |endpoint: &Endpoint| endpoint.models.iter().any(|name| name == model);
    let mut without_key = None;
    for usable in usable(app, tenant, serves).await? {
        match with_key(app, tenant, usable, model).await {
            // Another endpoint may serve the model without a key of the tenant's.
            Err(problem) if problem.code == Code::NeedsReauthorization => {
                without_key.get_or_insert(problem);
            }
            resolved => return resolved,
        }
    }
    Err(without_key.unwrap_or_else(|| unknown(model)))
}

/// Whether the tenant lacks the key with which alone it could call the endpoint's models.
pub(super) async fn lacks_key(app: &App, tenant: &Tenant<'_>, usable: &Usable) -> bool {
    let Usable { endpoint, server: Server::Row } = usable else { return false };
    let (None, Some(_)) = (&endpoint.sealed_api_key, &endpoint.tenant_credential) else { return false };
    let Ok(url) = endpoint.url.parse::<EndpointUrl>() else { return false };
    key(app, tenant, endpoint, &url).await.is_err_and(|problem| problem.code == Code::NeedsReauthorization)
}

async fn with_key(app: &App, tenant: &Tenant<'_>, usable: Usable, model: &str) -> Result<Resolved, Problem> {
    let Usable { endpoint, server } = usable;
    let url: EndpointUrl = endpoint.url.parse().map_err(|_| misconfigured(&endpoint))?;
    let provider = provider_of_host(url.host());
    let price = price_of(&endpoint.prices, &app.gateway.prices, provider, model, app.env.now());
    let mut target = Target::at(endpoint.name.clone(), url);
    target.timeouts.total = app.gateway.call_time;
    target.timeouts.first_byte = target.timeouts.first_byte.min(app.gateway.call_time);
    let adapter = match server {
        Server::BuiltIn(adapter) => adapter,
        Server::Start(key) => {
            target.key = key;
            Arc::clone(&app.gateway.http)
        }
        Server::Row => {
            (target.key, target.key_owner) = key(app, tenant, &endpoint, &target.url).await?;
            Arc::clone(&app.gateway.http)
        }
    };
    Ok(Resolved { endpoint, model: model.to_owned(), target, adapter, price })
}

/// The tenant's own key where the endpoint takes one and the tenant has it, else the operator's.
async fn key(
    app: &App,
    tenant: &Tenant<'_>,
    endpoint: &Endpoint,
    url: &EndpointUrl,
) -> Result<(Option<SecretText>, KeyOwner), Problem> {
    if let Some(service) = &endpoint.tenant_credential {
        if let Some(own) = app.gateway.tenant_keys.key(tenant, service, url).await? {
            return Ok((Some(own), KeyOwner::Tenant));
        }
        if endpoint.sealed_api_key.is_none() {
            let detail = format!("This model is called with a key of yours: store a credential `{service}`.");
            return Err(Problem::new(Code::NeedsReauthorization, detail));
        }
    }
    let Some(sealed) = &endpoint.sealed_api_key else { return Ok((None, KeyOwner::Operator)) };
    let opened = app.operator_secrets.open_endpoint_key(endpoint.name.as_str(), sealed);
    Ok((Some(opened.map_err(|_| misconfigured(endpoint))?), KeyOwner::Operator))
}

/// The refusal of a name that is no model of this tenant's.
pub(super) fn unknown(model: &str) -> Problem {
    let name: String = model.chars().take(80).collect();
    Problem::new(Code::ModelNotFound, format!("There is no model `{name}` for this tenant."))
        .with("param", "model")
}

fn misconfigured(endpoint: &Endpoint) -> Problem {
    tracing::error!(endpoint = %endpoint.name, "an endpoint's address or key cannot be used");
    Problem::new(Code::UpstreamFailed, "The model's endpoint is not configured rightly.")
}
