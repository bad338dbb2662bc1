//! Signing keys: public keys whose owners mint tokens in the tenant's name.

use crate::keys::{must_hold, revoke_in_index};
use crate::{App, note};
use audit::event::Action;
use authz::{Role, Scopes};
use context::{Create, CredentialKind, Delete, IndexedSubject, Private, Read, SigningAlgorithm, Tenant, on};
use errors::Problem;
use ids::SigningKeyId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Commit, IdempotencyClaim, Objects, Page, PageRequest, SigningKey};

const CREATE: Action = Action::new("signing_key.create");
const REVOKE: Action = Action::new("signing_key.revoke");

/// What is asked of a new signing key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSigningKey {
    /// The one algorithm that it signs with. What a token says of it counts for nothing.
    pub alg: SigningAlgorithm,
    /// The public key (RFC 7517).
    pub public_jwk: Map<String, Value>,
    /// The highest role that its tokens may claim; `member` where absent. Nobody gives more than they have.
    #[serde(default)]
    pub role: Option<Role>,
}

/// Registers a signing key. Its tokens are taken from the next request on.
pub async fn create<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: NewSigningKey,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, SigningKey>, Problem> {
    let access = tenant.authorize::<Create<on::SigningKey>>()?;
    let role = input.role.unwrap_or(Role::Member);
    must_hold(tenant, role, &Scopes::everything())?;
    let public_jwk = Value::Object(input.public_jwk);
    if !input.alg.accepts(&public_jwk.to_string()) {
        let detail = "`public_jwk` must be a public key for signatures by `alg`: Ed25519 for EdDSA, 2,048 to \
                      4,096 bits with the exponent 65537 for RS256, without any private member.";
        return Err(Problem::invalid(detail));
    }
    let id: SigningKeyId = app.env.id();
    let key = SigningKey { id, alg: input.alg, public_jwk, role, created_at: app.env.now() };
    let details = [("alg", json!(key.alg)), ("role", json!(role))];
    let event = note(tenant, CREATE, "signing_key", id.to_string(), details);
    let claim = claim.map(|claim| claim.answered(&key));
    app.store.create(&access, &key, Commit::event(event).claiming(claim)).await?;
    let hash = app.authenticator.hash(CredentialKind::SigningKey, &id.to_string());
    let public_jwk = key.public_jwk.to_string();
    let subject = IndexedSubject::SigningKey { id, algorithm: key.alg, public_jwk, role };
    app.platform.index_credential(tenant, hash, subject, None).await?;
    Ok(Private::sent(tenant, key))
}

/// The registered keys.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    page: &PageRequest,
) -> Result<Private<'t, Page<SigningKey>>, Problem> {
    let access = tenant.authorize::<Read<on::SigningKey>>()?;
    let found = app.store.list::<SigningKey>(&access, page).await?;
    Ok(found.map(|page| page.map(|(key, _)| key)))
}

/// One key.
pub async fn get<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: SigningKeyId,
) -> Result<Private<'t, SigningKey>, Problem> {
    let access = tenant.authorize::<Read<on::SigningKey>>()?;
    Ok(app.store.get::<SigningKey>(&access, &id.to_string()).await?.map(|(key, _)| key))
}

/// Revokes a key. Its tokens are refused from the next request on.
pub async fn revoke(
    app: &App,
    tenant: &Tenant<'_>,
    id: SigningKeyId,
    claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::SigningKey>>()?;
    let reading = tenant.authorize::<Read<on::SigningKey>>()?;
    let id = id.to_string();
    // Whether the key is within reach is asked first: revoking by id alone would revoke any.
    app.store.get::<SigningKey>(&reading, &id).await?;
    let event = note(tenant, REVOKE, "signing_key", id.clone(), []);
    let event = revoke_in_index(app, tenant, &id, event).await?;
    Ok(app.store.remove::<SigningKey>(&access, &id, None, Commit::event(event).claiming(claim)).await?)
}
