//! From what a tenant sends to what is sealed: every rule that a credential has to keep.

use super::contents::{
    AccessToken, ApiKey, AuthStyle, Basic, Contents, Grant, OAuth2, Secret, Unsendable, WebhookSecret,
};
use super::input::{Form, NewCredential, OAuth2Form};
use egress::{AddressPolicy, Destination, HostPattern, Scheme};
use env::Timestamp;
use errors::Problem;
use secret::SecretText;

const MAX_HOSTS: usize = 20;
/// The longest secret in bytes. Header fields of servers end at 8 KiB or a little more.
const MAX_SECRET: usize = 8 * 1024;
const MAX_NAME: usize = 100;
const MAX_SCOPE: usize = 2_000;

/// Checks a credential. No problem that comes back holds a value.
pub(super) fn accept(
    credential: NewCredential,
    policy: &AddressPolicy,
    now: Timestamp,
) -> Result<Contents, Problem> {
    let contents = match credential.0 {
        Form::ApiKey { key, header, prefix, hosts } => {
            let header = header.unwrap_or_else(|| "Authorization".to_owned());
            let usual = if header.eq_ignore_ascii_case("authorization") { "Bearer " } else { "" };
            let prefix = prefix.unwrap_or_else(|| usual.to_owned());
            if header.len() > MAX_NAME || prefix.len() > MAX_NAME {
                return Err(Problem::invalid("`header` and `prefix` have at most 100 characters each."));
            }
            bounded("key", &key)?;
            Contents { hosts: patterns(&hosts)?, secret: Secret::ApiKey(ApiKey { header, prefix, key }) }
        }
        Form::Basic { username, password, hosts } => {
            bounded("username", &username)?;
            bounded("password", &password)?;
            if username.expose().contains(':') || has_controls(&username) || has_controls(&password) {
                let detail =
                    "`username` has no colon, and neither it nor `password` control characters (RFC 7617).";
                return Err(Problem::invalid(detail));
            }
            Contents { hosts: patterns(&hosts)?, secret: Secret::Basic(Basic { username, password }) }
        }
        Form::OAuth2(form) => {
            let hosts = patterns(&form.hosts)?;
            Contents { hosts, secret: Secret::OAuth2(Box::new(oauth(form, policy, now)?)) }
        }
        Form::WebhookSecret { secret } => {
            bounded("secret", &secret)?;
            Contents { hosts: Vec::new(), secret: Secret::WebhookSecret(WebhookSecret { secret }) }
        }
    };
    sendable(contents)
}

/// What could not be sent later is refused now.
fn sendable(contents: Contents) -> Result<Contents, Problem> {
    match contents.attached() {
        Ok(_) | Err(Unsendable::WebhookSecret | Unsendable::NoToken) => Ok(contents),
        // It names the header field at the most.
        Err(Unsendable::Header(error)) => {
            Err(Problem::invalid(format!("The credential cannot be sent: {error}.")))
        }
    }
}

fn bounded(name: &str, secret: &SecretText) -> Result<(), Problem> {
    match secret.expose().len() {
        1..=MAX_SECRET => Ok(()),
        _ => Err(Problem::invalid(format!("`{name}` must have 1 to {MAX_SECRET} bytes."))),
    }
}

fn has_controls(secret: &SecretText) -> bool {
    secret.expose().chars().any(char::is_control)
}

/// Visible ASCII, as tokens and secrets are (RFC 6749, appendix A).
pub(super) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn patterns(hosts: &[String]) -> Result<Vec<HostPattern>, Problem> {
    if !(1..=MAX_HOSTS).contains(&hosts.len()) {
        return Err(Problem::invalid("`hosts` must name 1 to 20 hosts: a credential goes nowhere else."));
    }
    let mut patterns = Vec::with_capacity(hosts.len());
    for (index, host) in hosts.iter().enumerate() {
        let pattern: HostPattern =
            host.parse().map_err(|error| Problem::invalid(format!("`hosts[{index}]`: {error}.")))?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}

fn oauth(form: OAuth2Form, policy: &AddressPolicy, now: Timestamp) -> Result<OAuth2, Problem> {
    token_endpoint(&form.token_url, policy)?;
    let secrets = [
        ("client_id", Some(&form.client_id)),
        ("client_secret", form.client_secret.as_ref()),
        ("refresh_token", form.refresh_token.as_ref()),
        ("access_token", form.access_token.as_ref()),
    ];
    for (name, secret) in secrets.into_iter().filter_map(|(name, secret)| Some((name, secret?))) {
        bounded(name, secret)?;
        if !is_visible(secret.expose()) {
            return Err(Problem::invalid(format!("`{name}` has visible ASCII characters alone.")));
        }
    }
    if form.scope.as_deref().is_some_and(|scope| scope.len() > MAX_SCOPE || !is_visible(scope)) {
        return Err(Problem::invalid("`scope` has at most 2,000 visible ASCII characters."));
    }
    let wrong = match form.grant {
        Grant::ClientCredentials if form.client_secret.is_none() => {
            Some("The grant `client_credentials` needs `client_secret`.")
        }
        Grant::ClientCredentials if form.refresh_token.is_some() => {
            Some("The grant `client_credentials` has no `refresh_token`.")
        }
        Grant::RefreshToken if form.refresh_token.is_none() => {
            Some("The grant `refresh_token` needs `refresh_token`.")
        }
        _ if form.expires_at.is_some() && form.access_token.is_none() => {
            Some("`expires_at` is the end of `access_token`, which is missing.")
        }
        _ if form.auth_style == Some(AuthStyle::Basic) && form.client_secret.is_none() => {
            Some("`auth_style` is `body` for a client without a secret.")
        }
        _ => None,
    };
    if let Some(detail) = wrong {
        return Err(Problem::invalid(detail));
    }
    let usual = if form.client_secret.is_some() { AuthStyle::Basic } else { AuthStyle::Body };
    let expires_at = form.expires_at;
    Ok(OAuth2 {
        grant: form.grant,
        token_url: form.token_url,
        client_id: form.client_id,
        client_secret: form.client_secret,
        refresh_token: form.refresh_token,
        scope: form.scope,
        auth_style: form.auth_style.unwrap_or(usual),
        access: form.access_token.map(|token| AccessToken { token, obtained_at: now, expires_at }),
        failed_at: None,
    })
}

/// The token endpoint, which client and refresh token go to: TLS, or an exception of the operator's.
pub(super) fn token_endpoint(url: &str, policy: &AddressPolicy) -> Result<Destination, Problem> {
    let destination =
        Destination::parse(url).map_err(|error| Problem::invalid(format!("`token_url`: {error}.")))?;
    let opened = policy.opens(destination.host(), destination.port());
    if destination.scheme() != Scheme::Https && !opened {
        return Err(egress::EgressError::CredentialInTheClear.into());
    }
    policy.permits_unresolved(&destination).map_err(egress::EgressError::from)?;
    Ok(destination)
}

#[cfg(test)]
mod tests {
    use super::accept;
    use egress::AddressPolicy;
    use env::Timestamp;
    use serde_json::{Value, json};

    fn refused(body: Value) -> Option<String> {
        let policy = AddressPolicy::new(vec!["token.test:8080".parse().unwrap()]);
        let credential = serde_json::from_value(body).unwrap();
        accept(credential, &policy, Timestamp::from_millis(0)).err().map(|problem| problem.to_string())
    }

    fn oauth(changes: Value) -> Value {
        let mut body = json!({
            "kind": "oauth2", "grant": "refresh_token", "token_url": "https://token.example/t",
            "client_id": "c", "client_secret": "s", "refresh_token": "r", "hosts": ["api.example"],
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn what_keeps_the_rules_is_taken() {
        for body in [
            json!({"kind": "api_key", "key": "k", "hosts": ["a.example", "*.b.example:8443"]}),
            json!({"kind": "api_key", "key": "k", "header": "X-Key", "hosts": ["a.example"]}),
            json!({"kind": "basic", "username": "ü", "password": "p:q", "hosts": ["a.example"]}),
            json!({"kind": "webhook_secret", "secret": "whsec_x"}),
            oauth(json!({})),
            oauth(json!({"token_url": "http://token.test:8080/"})),
            oauth(json!({"client_secret": null})),
            oauth(json!({"grant": "client_credentials", "refresh_token": null})),
        ] {
            assert_eq!(refused(body.clone()), None, "{body}");
        }
    }

    #[test]
    fn what_breaks_them_is_refused_without_being_quoted() {
        const CANARY: &str = "c4nary\r\nx: y";
        let hosts: Vec<String> = (0..21).map(|number| format!("h{number}.example")).collect();
        let api_key =
            |header: &str| json!({"kind": "api_key", "key": "k", "header": header, "hosts": ["a.example"]});
        for body in [
            json!({"kind": "api_key", "key": CANARY, "hosts": ["a.example"]}),
            json!({"kind": "api_key", "key": "", "hosts": ["a.example"]}),
            json!({"kind": "api_key", "key": "c4nary", "hosts": []}),
            json!({"kind": "api_key", "key": "c4nary", "hosts": hosts}),
            json!({"kind": "api_key", "key": "c4nary", "hosts": ["https://a.example/"]}),
            json!({"kind": "api_key", "key": "c4nary", "hosts": ["*.com"]}),
            api_key("Host"),
            api_key("Transfer-Encoding"),
            api_key("x y"),
            json!({"kind": "basic", "username": "c4nary:x", "password": "p", "hosts": ["a.example"]}),
            json!({"kind": "basic", "username": "u", "password": CANARY, "hosts": ["a.example"]}),
            json!({"kind": "webhook_secret", "secret": ""}),
            oauth(json!({"token_url": "http://token.example/?c4nary"})),
            oauth(json!({"token_url": "https://127.0.0.1/c4nary"})),
            oauth(json!({"token_url": "https://c4nary@token.example/"})),
            oauth(json!({"refresh_token": CANARY})),
            oauth(json!({"client_id": CANARY})),
            oauth(json!({"access_token": CANARY})),
            oauth(json!({"scope": CANARY})),
            oauth(json!({"refresh_token": null})),
            oauth(json!({"grant": "client_credentials"})),
            oauth(json!({"grant": "client_credentials", "refresh_token": null, "client_secret": null})),
            oauth(json!({"expires_at": "2030-01-01T00:00:00Z"})),
            oauth(json!({"client_secret": null, "auth_style": "basic"})),
        ] {
            let told = refused(body.clone()).unwrap_or_default();
            assert!(!told.is_empty() && !told.contains("c4nary"), "{body}: {told}");
        }
    }
}
