//! A definition's `webhook` together with an instance's configuration: how its deliveries are checked.

use super::{DEFAULT_TOLERANCE, ParseSchemeError, Scheme};
use crate::definition::Definition;
use crate::template::{Context, Language};
use ids::Slug;
use serde_json::Value;
use std::time::Duration;

/// How deliveries to a workflow's hook are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// How they are signed.
    pub scheme: Scheme,
    /// The credential service that holds the secret; always there but with [`Scheme::None`].
    pub secret: Option<Slug>,
    /// How far a signed time may be from ours.
    pub tolerance: Duration,
    /// The header that identifies a delivery, where the scheme has none of its own.
    pub delivery_id_header: Option<String>,
}

/// The configuration does not say how deliveries are checked, so none may be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookConfigError {
    /// The template of the scheme or the secret yields no text.
    #[error("`webhook.{field}` cannot be read from the configuration: {reason}")]
    Template {
        /// The field of `webhook`.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The configuration names no scheme.
    #[error(transparent)]
    Scheme(#[from] ParseSchemeError),
    /// The scheme needs a secret, and what the configuration yields is no name of a credential service.
    #[error("the scheme needs `webhook.secret`, the name of a credential service")]
    Secret,
}

impl Definition {
    /// How deliveries are checked under this configuration. None for a manual source.
    pub fn hook(&self, config: &Value) -> Result<Option<Hook>, HookConfigError> {
        let webhook = self.source().and_then(|(_, source)| source.webhook.as_ref());
        let Some(webhook) = webhook else { return Ok(None) };
        let language = Language::new();
        let mut context = Context::default();
        context.set("config", language.take("config".to_owned(), config));
        let render = |field: &'static str, text: &str| {
            language
                .render(text, &context)
                .map_err(|error| HookConfigError::Template { field, reason: error.message })
        };
        let scheme: Scheme = render("scheme", &webhook.scheme)?.parse()?;
        let secret = match (scheme, &webhook.secret) {
            (Scheme::None, _) => None,
            (_, None) => return Err(HookConfigError::Secret),
            (_, Some(text)) => Some(render("secret", text)?.parse().map_err(|_| HookConfigError::Secret)?),
        };
        Ok(Some(Hook {
            scheme,
            secret,
            tolerance: webhook.tolerance_seconds.map_or(DEFAULT_TOLERANCE, Duration::from_secs),
            delivery_id_header: webhook.delivery_id_header.clone(),
        }))
    }
}
