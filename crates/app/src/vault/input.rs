//! [`NewCredential`]: what a tenant stores, read without ever quoting it back.

use super::contents::{AuthStyle, Grant};
use env::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use secret::SecretText;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::borrow::Cow;

/// A credential as a tenant sends it. It is always whole: who names other hosts must know the secret.
///
/// It does not print, and the error of a body that does not fit names members of ours alone: what stands at
/// the wrong place may be the secret.
pub struct NewCredential(pub(super) Form);

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Form {
    /// A key that goes in one header field.
    ApiKey {
        /// The key.
        #[serde(deserialize_with = "secret")]
        #[schemars(with = "String")]
        key: SecretText,
        /// The header field's name; `Authorization` where absent.
        #[serde(default)]
        header: Option<String>,
        /// What stands before the key; `Bearer ` where absent and the header is `Authorization`.
        #[serde(default)]
        prefix: Option<String>,
        /// The hosts that it may go to, 1 to 20: `api.example.com`, `*.example.com`, with a port if only
        /// that one is meant.
        hosts: Vec<String>,
    },
    /// A user's name and password (RFC 7617).
    Basic {
        /// The name.
        #[serde(deserialize_with = "secret")]
        #[schemars(with = "String")]
        username: SecretText,
        /// The password.
        #[serde(deserialize_with = "secret")]
        #[schemars(with = "String")]
        password: SecretText,
        /// The hosts that it may go to, 1 to 20.
        hosts: Vec<String>,
    },
    /// Access tokens that are renewed before they end (RFC 6749).
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2Form),
    /// A secret by which webhooks are signed. It never leaves.
    WebhookSecret {
        /// The secret, as the sender has it.
        #[serde(deserialize_with = "secret")]
        #[schemars(with = "String")]
        secret: SecretText,
    },
}

/// How access tokens are come by, and where they may go.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuth2Form {
    /// How access tokens are come by.
    pub(super) grant: Grant,
    /// The token endpoint, https.
    pub(super) token_url: String,
    /// The client.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "String")]
    pub(super) client_id: SecretText,
    /// The client's secret. Needed for `client_credentials`.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schemars(with = "Option<String>")]
    pub(super) client_secret: Option<SecretText>,
    /// Needed for `refresh_token`.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schemars(with = "Option<String>")]
    pub(super) refresh_token: Option<SecretText>,
    /// A token that is there already.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schemars(with = "Option<String>")]
    pub(super) access_token: Option<SecretText>,
    /// When that token ends.
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
    /// The scope that is asked for.
    #[serde(default)]
    pub(super) scope: Option<String>,
    /// How the client proves who it is; `basic` where absent and there is a client secret.
    #[serde(default)]
    pub(super) auth_style: Option<AuthStyle>,
    /// The hosts that access tokens may go to, 1 to 20.
    pub(super) hosts: Vec<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
    String::deserialize(deserializer).map(SecretText::new)
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretText>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretText::new))
}

/// What each kind takes, for the error of a body that does not fit.
fn help(kind: Option<&str>) -> &'static str {
    match kind {
        Some("api_key") => {
            "an `api_key` needs `key` and `hosts`, takes `header` and `prefix`, and nothing else"
        }
        Some("basic") => "`basic` needs `username`, `password` and `hosts`, and takes nothing else",
        Some("oauth2") => {
            "`oauth2` needs `grant` (client_credentials or refresh_token), `token_url`, `client_id` and `hosts`, \
             takes `client_secret`, `refresh_token`, `access_token`, `expires_at`, `scope` and `auth_style` (basic \
             or body), and nothing else"
        }
        Some("webhook_secret") => "a `webhook_secret` needs `secret`, and takes nothing else",
        _ => "`kind` is one of api_key, basic, oauth2, webhook_secret",
    }
}

impl<'de> Deserialize<'de> for NewCredential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Reading any JSON can fail by its syntax alone, and those errors quote nothing.
        let value = Value::deserialize(deserializer)?;
        let help = help(value.get("kind").and_then(Value::as_str));
        Form::deserialize(value).map(Self).map_err(|_| de::Error::custom(help))
    }
}

impl JsonSchema for NewCredential {
    fn schema_name() -> Cow<'static, str> {
        "NewCredential".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Form::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::NewCredential;
    use serde_json::json;

    #[test]
    fn what_stands_at_the_wrong_place_is_not_quoted() {
        const CANARY: &str = "c4nary";
        for body in [
            json!({"kind": CANARY}),
            json!({"kind": "api_key", "key": [CANARY], "hosts": []}),
            json!({"kind": "api_key", "key": "k", "hosts": CANARY}),
            json!({"kind": "api_key", "key": "k", "hosts": [], CANARY: 1}),
            json!({"kind": "oauth2", "grant": CANARY, "token_url": "", "client_id": "", "hosts": []}),
            json!({"kind": "oauth2", "grant": "refresh_token", "expires_at": CANARY, "hosts": []}),
            json!({"kind": "basic", "username": {CANARY: CANARY}, "password": 1, "hosts": []}),
            json!({"kind": "webhook_secret", "secret": "s", "hosts": [CANARY]}),
            json!(CANARY),
        ] {
            let error = serde_json::from_str::<NewCredential>(&body.to_string()).err();
            let told = error.map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(!told.is_empty() && !told.contains(CANARY), "{told}");
        }
        let broken = format!("{{\"kind\": \"api_key\", \"key\": {CANARY}");
        let told = serde_json::from_str::<NewCredential>(&broken).err().map(|error| error.to_string());
        assert!(told.is_some_and(|told| !told.contains(CANARY)));
    }

    #[test]
    fn every_kind_reads() {
        for body in [
            json!({"kind": "api_key", "key": "k", "hosts": ["a.example"]}),
            json!({"kind": "basic", "username": "u", "password": "p", "hosts": ["a.example"]}),
            json!({"kind": "oauth2", "grant": "refresh_token", "token_url": "https://a.example/t",
                "client_id": "c", "client_secret": null, "refresh_token": "r", "expires_at": null,
                "auth_style": "body", "hosts": ["a.example"]}),
            json!({"kind": "webhook_secret", "secret": "s"}),
        ] {
            let read = serde_json::from_value::<NewCredential>(body.clone());
            assert!(read.is_ok(), "{body}: {}", read.err().unwrap());
        }
    }
}
