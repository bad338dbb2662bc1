//! Endpoints: providers' addresses that serve models, as the operator sets them.

use crate::{App, operator_log};
use audit::event::Action;
use context::Operator;
use errors::Problem;
use ids::Slug;
use metering::prices::OperatorPrices;
use model::EndpointUrl;
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use store::Endpoint;

const PUT: Action = Action::new("endpoint.put");
const MAX_MODELS: usize = 1_000;
const MAX_NAME: usize = 256;
const MAX_KEY: usize = 4_096;

/// What a provider's API speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointDialect {
    /// OpenAI's chat completions, and whatever is compatible with them.
    #[serde(rename = "openai")]
    OpenAi,
}

/// What the operator says of an endpoint. It replaces all that was said before.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointInput {
    /// The base URL, or the whole address of its chat completions. `{model}` in the path stands for the
    /// model called.
    pub url: String,
    /// What it speaks.
    pub dialect: EndpointDialect,
    /// The models that it serves, by the names that it knows them by.
    pub models: Vec<String>,
    /// The operator's key. It is never given back; leaving it out leaves the endpoint without one.
    #[serde(default)]
    pub api_key: Option<String>,
    /// The service under which tenants keep a key of their own for this endpoint.
    #[serde(default)]
    pub tenant_credential: Option<Slug>,
    /// Where it processes.
    #[serde(default)]
    pub region: Option<String>,
    /// What its models cost, by name.
    #[serde(default)]
    pub prices: OperatorPrices,
    /// The most that one answer may hold, where the caller does not say less.
    #[serde(default)]
    pub max_output_tokens: Option<NonZeroU64>,
}

/// An endpoint, as the operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EndpointView {
    /// Its name.
    pub name: Slug,
    /// Its address.
    pub url: String,
    /// What it speaks.
    pub dialect: String,
    /// The models that it serves.
    pub models: Vec<String>,
    /// Whether it has a key of the operator's.
    pub has_api_key: bool,
    /// The service under which tenants keep a key of their own for it.
    pub tenant_credential: Option<Slug>,
    /// Where it processes.
    pub region: Option<String>,
    /// What its models cost.
    pub prices: OperatorPrices,
    /// The most that one answer may hold.
    pub max_output_tokens: Option<u64>,
}

impl From<&Endpoint> for EndpointView {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
            dialect: endpoint.dialect.clone(),
            models: endpoint.models.clone(),
            has_api_key: endpoint.sealed_api_key.is_some(),
            tenant_credential: endpoint.tenant_credential.clone(),
            region: endpoint.region.clone(),
            prices: endpoint.prices.clone(),
            max_output_tokens: endpoint.max_output_tokens,
        }
    }
}

/// An endpoint.
pub async fn get(app: &App, _: &Operator, name: &Slug) -> Result<EndpointView, Problem> {
    let endpoints = app.platform.endpoints().await?;
    let found = endpoints.iter().find(|endpoint| endpoint.name == *name);
    found.map(|endpoint| endpoint.as_ref().into()).ok_or_else(Problem::not_found)
}

/// Writes an endpoint. It holds from the next call on.
pub async fn put(
    app: &App,
    operator: &Operator,
    name: Slug,
    input: EndpointInput,
) -> Result<EndpointView, Problem> {
    operator.must_change()?;
    check(&input)?;
    let key = input.api_key.map(SecretText::new);
    let seal = |key| app.operator_secrets.seal_endpoint_key(name.as_str(), &key);
    let sealed = key.map(seal).transpose().map_err(|_| Problem::internal())?;
    let endpoint = Endpoint {
        name,
        url: input.url,
        dialect: match input.dialect {
            EndpointDialect::OpenAi => "openai".to_owned(),
        },
        models: input.models,
        sealed_api_key: sealed,
        tenant_credential: input.tenant_credential,
        region: input.region,
        prices: input.prices,
        max_output_tokens: input.max_output_tokens.map(NonZeroU64::get),
    };
    let view = EndpointView::from(&endpoint);
    let work = async {
        app.platform.put_endpoint(operator, endpoint).await?;
        Ok(view.clone())
    };
    operator_log::record(app, operator, PUT, ("endpoint", view.name.as_str()), work).await
}

fn check(input: &EndpointInput) -> Result<(), Problem> {
    if let Err(error) = input.url.parse::<EndpointUrl>() {
        return Err(Problem::invalid(format!("`url`: {error}.")));
    }
    let named = |text: &String| (1..=MAX_NAME).contains(&text.len()) && !text.contains(char::is_control);
    if input.models.is_empty() || input.models.len() > MAX_MODELS || !input.models.iter().all(named) {
        let detail = format!("`models` has 1 to {MAX_MODELS} names of 1 to {MAX_NAME} printable characters.");
        return Err(Problem::invalid(detail));
    }
    // The key becomes a header's value.
    let sendable = |key: &String| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    if !input.api_key.as_ref().is_none_or(sendable) {
        return Err(Problem::invalid("`api_key` must have 1 to 4096 printable ASCII characters."));
    }
    if !input.region.as_ref().is_none_or(named) {
        return Err(Problem::invalid("`region` must have 1 to 256 printable characters."));
    }
    if let Some(model) = input.prices.keys().find(|model| !input.models.contains(model)) {
        let model: String = model.chars().take(64).collect();
        return Err(Problem::invalid(format!("`prices` names `{model}`, which `models` does not.")));
    }
    Ok(())
}
