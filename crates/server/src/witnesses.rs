//! The way to witnesses over HTTP.

use crate::config::WitnessConfig;
use crate::serve::ServeError;
use app::witnesses::{Answer, WitnessCall, WitnessPart, Witnesses};
use async_trait::async_trait;
use client::{BaseUrl, Client};
use http::Method;
use std::sync::Arc;
use std::time::Duration;

/// How long a witness may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than a hundred signature lines.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

struct OverHttp(Client);

#[async_trait]
impl WitnessCall for OverHttp {
    async fn add_checkpoint(&self, body: String) -> Result<Answer, String> {
        let call = self.0.call(Method::POST, "/add-checkpoint").body("text/plain", body.into());
        let answer = call.within(TIMEOUT).at_most(MAX_ANSWER_BYTES).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        Ok((answer.status.as_u16(), answer.text().into_owned()))
    }
}

/// The witnesses that are configured.
pub(crate) fn witnesses(config: &[WitnessConfig]) -> Result<Witnesses, ServeError> {
    let part = |config: &WitnessConfig| {
        let wrong = |what: &dyn std::fmt::Display| ServeError::Witness(config.url.clone(), what.to_string());
        let base: BaseUrl = config.url.parse().map_err(|error| wrong(&error))?;
        let key = config.vkey.trim().parse().map_err(|error| wrong(&error))?;
        Ok(WitnessPart { key, call: Arc::new(OverHttp(Client::new(base))) })
    };
    Ok(Witnesses::new(config.iter().map(part).collect::<Result<_, ServeError>>()?))
}
