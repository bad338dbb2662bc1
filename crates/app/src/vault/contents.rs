//! [`Contents`]: what is sealed. It does not print, and is written out only to be sealed.

use egress::{AttachedCredential, HeaderError, HostPattern};
use env::Timestamp;
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::header;

/// A credential as it is sealed: the secret and the hosts that it may go to. That the hosts are sealed with
/// it is what keeps a row that was tampered with from sending the secret elsewhere.
#[derive(Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) hosts: Vec<HostPattern>,
    pub(super) secret: Secret,
}

/// The secret, by kind.
#[derive(Serialize, Deserialize)]
pub(super) enum Secret {
    ApiKey(ApiKey),
    Basic(Basic),
    OAuth2(Box<OAuth2>),
    WebhookSecret(WebhookSecret),
}

#[derive(Serialize, Deserialize)]
pub(super) struct ApiKey {
    pub(super) header: String,
    pub(super) prefix: String,
    #[serde(with = "exposed")]
    pub(super) key: SecretText,
}

/// A user's name and password (RFC 7617). Some services take a key as the name, so the name is secret, too.
#[derive(Serialize, Deserialize)]
pub(super) struct Basic {
    #[serde(with = "exposed")]
    pub(super) username: SecretText,
    #[serde(with = "exposed")]
    pub(super) password: SecretText,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WebhookSecret {
    #[serde(with = "exposed")]
    pub(super) secret: SecretText,
}

/// How access tokens are come by (RFC 6749, sections 4.4 and 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// By the client's own credentials: a lost answer loses nothing.
    ClientCredentials,
    /// By a refresh token, which the provider may replace with each answer.
    RefreshToken,
}

impl Grant {
    /// The grant's name, as it stands in a token request.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// How the client proves who it is to the token endpoint (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthStyle {
    /// In the `Authorization` header.
    Basic,
    /// In the body.
    Body,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OAuth2 {
    pub(super) grant: Grant,
    pub(super) token_url: String,
    #[serde(with = "exposed")]
    pub(super) client_id: SecretText,
    #[serde(with = "exposed::option")]
    pub(super) client_secret: Option<SecretText>,
    #[serde(with = "exposed::option")]
    pub(super) refresh_token: Option<SecretText>,
    pub(super) scope: Option<String>,
    pub(super) auth_style: AuthStyle,
    pub(super) access: Option<AccessToken>,
    /// When a refresh last failed in a way that may pass.
    pub(super) failed_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct AccessToken {
    #[serde(with = "exposed")]
    pub(super) token: SecretText,
    pub(super) obtained_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
}

/// A token is renewed this long before its end, or a tenth of its life where that is shorter.
const SKEW: Duration = Duration::from_secs(60);
/// How long a token endpoint is left alone after it failed.
pub(super) const REST: Duration = Duration::from_secs(5);
/// Whoever is refused with a token asks for a new one; one that is younger than this is new enough.
const FRESH: Duration = Duration::from_secs(10);

impl AccessToken {
    /// Whether it can still be used.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end.minus(SKEW.min(end.since(self.obtained_at) / 10)))
    }
}

/// Why a new access token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// There is none, or its end is near.
    Due,
    /// A service refused it.
    Refused,
}

impl OAuth2 {
    /// Whether there is a token that can be used.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.access.as_ref().is_some_and(|access| access.is_live(now))
    }

    /// Whether a new token is to be asked for, were the endpoint not resting.
    pub(super) fn wants(&self, need: Need, now: Timestamp) -> bool {
        self.access.as_ref().is_none_or(|access| match need {
            Need::Due => access.is_due(now),
            Need::Refused => access.is_due(now) || now.since(access.obtained_at) >= FRESH,
        })
    }

    /// How long the endpoint still rests after a failure.
    pub(super) fn rests(&self, now: Timestamp) -> Option<Duration> {
        REST.checked_sub(now.since(self.failed_at?)).filter(|left| !left.is_zero())
    }
}

/// The credential has nothing that could be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    #[error("a webhook secret never leaves")]
    WebhookSecret,
    #[error("there is no access token")]
    NoToken,
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl Contents {
    /// The kind's name.
    pub(super) fn kind(&self) -> &'static str {
        match self.secret {
            Secret::ApiKey(_) => "api_key",
            Secret::Basic(_) => "basic",
            Secret::OAuth2(_) => "oauth2",
            Secret::WebhookSecret(_) => "webhook_secret",
        }
    }

    /// When what would be sent ends.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match &self.secret {
            Secret::OAuth2(oauth) => oauth.access.as_ref()?.expires_at,
            _ => None,
        }
    }

    /// The rendered header field with the hosts that it may go to.
    pub(super) fn attached(&self) -> Result<AttachedCredential, Unsendable> {
        let (name, value) = match &self.secret {
            Secret::ApiKey(ApiKey { header, prefix, key }) => {
                (header.as_str(), SecretText::new(format!("{prefix}{}", key.expose())))
            }
            Secret::Basic(Basic { username, password }) => {
                ("authorization", header::basic(username.expose(), password.expose()))
            }
            Secret::OAuth2(oauth) => {
                let access = oauth.access.as_ref().ok_or(Unsendable::NoToken)?;
                ("authorization", header::bearer(&access.token))
            }
            Secret::WebhookSecret(_) => return Err(Unsendable::WebhookSecret),
        };
        Ok(AttachedCredential::new(self.hosts.clone(), name, value)?)
    }
}

/// Writes secrets out, to be sealed at once, and reads them when they were opened.
mod exposed {
    use secret::SecretText;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        String::deserialize(deserializer).map(SecretText::new)
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, SecretText, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            text: &Option<SecretText>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match text {
                Some(text) => serializer.serialize_some(text.expose()),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SecretText>, D::Error> {
            Ok(Option::<String>::deserialize(deserializer)?.map(SecretText::new))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessToken, AuthStyle, Grant, Need, OAuth2};
    use env::Timestamp;
    use secret::SecretText;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn with(access: Option<(i64, Option<i64>)>, failed_at: Option<i64>) -> OAuth2 {
        OAuth2 {
            grant: Grant::ClientCredentials,
            token_url: "https://a.example/token".into(),
            client_id: SecretText::new("id".into()),
            client_secret: None,
            refresh_token: None,
            scope: None,
            auth_style: AuthStyle::Body,
            access: access.map(|(from, to)| AccessToken {
                token: SecretText::new("t".into()),
                obtained_at: at(from),
                expires_at: to.map(at),
            }),
            failed_at: failed_at.map(at),
        }
    }

    #[test]
    fn a_token_is_due_a_minute_or_a_tenth_of_its_life_before_its_end() {
        let hour = with(Some((0, Some(3600))), None);
        assert!(!hour.wants(Need::Due, at(3539)) && hour.wants(Need::Due, at(3540)));
        let short = with(Some((0, Some(100))), None);
        assert!(!short.wants(Need::Due, at(89)) && short.wants(Need::Due, at(90)));
        assert!(short.is_live(at(99)) && !short.is_live(at(100)));
        let endless = with(Some((0, None)), None);
        assert!(endless.is_live(at(1 << 40)) && !endless.wants(Need::Due, at(1 << 40)));
        assert!(with(None, None).wants(Need::Due, at(0)) && !with(None, None).is_live(at(0)));
    }

    #[test]
    fn a_refused_token_is_renewed_unless_it_is_new() {
        let endless = with(Some((0, None)), None);
        assert!(!endless.wants(Need::Refused, at(9)) && endless.wants(Need::Refused, at(10)));
    }

    #[test]
    fn a_failed_endpoint_rests() {
        let failed = with(None, Some(100));
        assert!(failed.rests(at(104)).is_some() && failed.rests(at(105)).is_none());
        assert!(with(None, None).rests(at(0)).is_none());
    }
}
