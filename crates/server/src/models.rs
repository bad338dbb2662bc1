//! The gateway's adapters, the model that the command line names, and the limits.

use crate::config::Config;
use app::App;
use app::gateway::{CacheSettings, Gateway, GatewayParts, StartEndpoint, UpstreamKeys, expire_leases};
use clap::Args;
use egress::{AddressPolicy, HostPort, HostPortError};
use egress_http::SystemResolver;
use env::Env;
use metering::prices::{OperatorPrices, PriceDataError, PriceTable};
use model::{EndpointUrl, ModelEndpoint, ParseEndpointUrlError};
use model_http::{HttpModels, HttpSettings, UnfitRoots};
use model_offline::OfflineModel;
use secret::SecretText;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Endpoint;

/// The name of the endpoint that the command line makes.
const START_ENDPOINT: &str = "default";
const CALL_TIME: Duration = Duration::from_secs(600);

/// A model from the command line.
#[derive(Args, Default)]
pub(crate) struct ModelArguments {
    /// The base URL of an OpenAI-compatible server, up to and without `/chat/completions`.
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) model_url: Option<String>,
    /// The file that holds the key for it.
    #[arg(long, value_name = "FILE", requires = "model_url")]
    pub(crate) model_key_file: Option<PathBuf>,
    /// The model's name there, and here.
    #[arg(long, value_name = "NAME", requires = "model_url")]
    pub(crate) model: Option<String>,
}

/// Why the gateway cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelsError {
    #[error("the model's key file {0} cannot be read: {1}")]
    Key(PathBuf, io::Error),
    #[error("the model's key file {0} holds no key")]
    NoKey(PathBuf),
    #[error("`[egress] allow` has `{0}`: {1}")]
    Allow(String, HostPortError),
    #[error("the price table cannot be read: {0}")]
    Prices(#[from] PriceDataError),
    #[error(transparent)]
    Roots(#[from] UnfitRoots),
    #[error("the model's URL cannot be used: {0}")]
    Url(#[from] ParseEndpointUrlError),
    #[error("the name of the command line's endpoint cannot be used")]
    Name,
    #[error("the built-in model's name or price cannot be used")]
    BuiltIn,
}

/// Which addresses are open although they are not of the internet.
pub(crate) fn address_policy(config: &Config) -> Result<AddressPolicy, ModelsError> {
    let read =
        |text: &String| text.parse::<HostPort>().map_err(|error| ModelsError::Allow(text.clone(), error));
    let allow = config.egress.allow.iter().map(read).collect::<Result<_, _>>()?;
    Ok(AddressPolicy::new(allow))
}

/// The gateway with its adapters.
pub(crate) fn gateway(
    arguments: &ModelArguments,
    config: &Config,
    production: bool,
    env: &Env,
    tenant_keys: Arc<dyn UpstreamKeys>,
) -> Result<Gateway, ModelsError> {
    let offline: Arc<dyn ModelEndpoint> = Arc::new(OfflineModel::new(env.clone()));
    let seconds = config.limits.model_call_seconds;
    let gateway = Gateway::new(GatewayParts {
        http: Arc::new(HttpModels::new(env.clone(), HttpSettings::default())?),
        offline: (!production).then_some(offline),
        policy: Arc::new(address_policy(config)?),
        resolver: Arc::new(SystemResolver),
        prices: PriceTable::built_in()?,
        tenant_keys,
        start_endpoint: start_endpoint(arguments)?,
        call_time: seconds.map_or(CALL_TIME, |seconds| Duration::from_secs(u64::from(seconds.max(1)))),
        cache: CacheSettings::default(),
    });
    gateway.map_err(|_| ModelsError::BuiltIn)
}

fn start_endpoint(arguments: &ModelArguments) -> Result<Option<StartEndpoint>, ModelsError> {
    let (Some(url), Some(model)) = (&arguments.model_url, &arguments.model) else { return Ok(None) };
    let _: EndpointUrl = url.parse()?;
    let endpoint = Endpoint {
        name: START_ENDPOINT.parse().map_err(|_| ModelsError::Name)?,
        url: url.clone(),
        dialect: "openai".into(),
        models: vec![model.clone()],
        sealed_api_key: None,
        tenant_credential: None,
        region: None,
        prices: OperatorPrices::new(),
        max_output_tokens: None,
    };
    let key = match &arguments.model_key_file {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| ModelsError::Key(path.clone(), error))?;
            let key = text.trim();
            if key.is_empty() {
                return Err(ModelsError::NoKey(path.clone()));
            }
            Some(SecretText::new(key.to_owned()))
        }
    };
    Ok(Some(StartEndpoint { endpoint, key }))
}

/// Charges calls that a crash left unknown, and drops what is idle or too old.
pub(crate) async fn keep_house(app: &App) {
    app.limiter.sweep().await;
    app.gateway.sweep(app.env.now());
    if let Err(error) = expire_leases(app).await {
        tracing::error!(%error, "leases could not be looked at");
    }
}
