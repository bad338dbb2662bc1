//! Where a credential's own addresses lead: token endpoints inside the operator's network, redirects that would
//! take a client's secret along, hosts that are changed by one who does not know the secret.

use super::reach::{NOTATIONS, has, nonce, outside, run, store, url};
use super::{Attempt, Control, Job, judged};
use crate::outside::{Outside, Place};
use crate::pattern::Pattern;
use crate::world::World;
use serde_json::{Value, json};

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.name() != "PUT /v1/credentials/{service}" {
        return Vec::new();
    }
    let mut jobs = Vec::new();
    let pattern = |attack| Pattern::new(operation, "body `token_url`", attack);
    for (attack, urls) in NOTATIONS {
        jobs.push(Job::new(pattern(attack), token_urls(world, control, urls)));
    }
    let attack = "a redirect that would take the client's secret inside";
    jobs.push(Job::new(pattern(attack), token_redirected(world, control)));
    let attack = "re-pointed to another host by one who does not know the secret";
    let pattern = Pattern::new(operation, "body `hosts`", attack);
    jobs.push(Job::new(pattern, repointed(world, control)));
    jobs
}

/// A credential whose access tokens come from this URL.
fn oauth(token_url: &str, secret: &str, host: &str) -> Value {
    json!({
        "kind": "oauth2", "grant": "client_credentials", "token_url": token_url, "client_id": "verify",
        "client_secret": secret, "auth_style": "body", "hosts": [host],
    })
}

/// The control: a token is asked for where the operator opened it.
async fn token_is_granted(world: &World<'_>, outside: &Outside) -> Result<(), String> {
    let open = outside.at(Place::Open);
    let (service, secret, nonce) = (format!("reach-{}", world.number()), nonce(world), nonce(world));
    let body = oauth(&format!("http://{open}/token"), &secret, &open.to_string());
    let stored = store(world, &world.attacker, &service, &body).await?;
    run(world, &world.attacker, &format!("http://{open}/{nonce}"), Some(&service)).await?;
    if outside.seen(&secret).is_empty() || !has(outside, Place::Open, &nonce, "granted") {
        return Err(format!("a token endpoint that the operator opened ({stored}) was not asked"));
    }
    Ok(())
}

async fn token_urls(world: &World<'_>, control: &Control<'_>, urls: &[&str]) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    world.once("token", token_is_granted(world, outside)).await?;
    let open = outside.at(Place::Open);
    for written in urls {
        // Over TLS, so that it is not for the lack of it that they are refused.
        let address = url(outside, written);
        let secured = address.replacen("http:", "https:", 1);
        for address in [address, secured] {
            let (service, secret) = (format!("reach-{}", world.number()), nonce(world));
            let body = oauth(&address, &secret, &open.to_string());
            if (200..300).contains(&store(world, &world.attacker, &service, &body).await?) {
                return judged(Some(format!("the token endpoint `{written}` was taken")));
            }
        }
    }
    judged(None)
}

async fn token_redirected(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    let (open, other) = (outside.at(Place::Open), outside.at(Place::Other));
    for to in [outside.at(Place::Inside), other] {
        let (service, secret, nonce) = (format!("reach-{}", world.number()), nonce(world), nonce(world));
        let way = Outside::redirect(&format!("http://{to}/{nonce}"));
        let body = oauth(&format!("http://{open}{way}"), &secret, &open.to_string());
        store(world, &world.attacker, &service, &body).await?;
        run(world, &world.attacker, &format!("http://{open}/{nonce}-after"), Some(&service)).await?;
        let seen = outside.seen(&secret);
        if !seen.iter().any(|seen| seen.place == Place::Open) {
            return Err("a token endpoint that the operator opened was not asked".to_owned());
        }
        if seen.iter().any(|seen| seen.place != Place::Open) {
            return judged(Some("a redirect took the client's secret to another host".to_owned()));
        }
    }
    judged(None)
}

/// Other hosts for a credential are a new credential, for which one has to know the secret.
async fn repointed(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    let (open, other) = (outside.at(Place::Open), outside.at(Place::Other));
    let (service, secret) = (format!("reach-{}", world.number()), nonce(world));
    let body = json!({"kind": "api_key", "key": secret, "hosts": [open.to_string()]});
    store(world, &world.attacker, &service, &body).await?;
    for key in [Value::Null, json!("")] {
        let body = json!({"kind": "api_key", "key": key, "hosts": [other.to_string()]});
        store(world, &world.attacker, &service, &body).await?;
    }
    let without = json!({"kind": "api_key", "hosts": [other.to_string()]});
    store(world, &world.attacker, &service, &without).await?;
    let (mine, theirs) = (nonce(world), nonce(world));
    run(world, &world.attacker, &format!("http://{other}/{theirs}"), Some(&service)).await?;
    if has(outside, Place::Other, &theirs, &secret) {
        return judged(Some("the credential was re-pointed without its secret".to_owned()));
    }
    run(world, &world.attacker, &format!("http://{open}/{mine}"), Some(&service)).await?;
    if !has(outside, Place::Open, &mine, &secret) {
        return Err("the owner's credential does not reach the host that it names".to_owned());
    }
    judged(None)
}
