//! API keys and signing keys.

use crate::harness::{PUBLIC_JWK, Server, Tenant, assert_refused, send, send_json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::Client;
use ed25519_dalek::{Signer as _, SigningKey};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

/// A key with these properties, and a client that uses it.
async fn keyed(tenant: &Tenant, wanted: &Value) -> (Value, Client) {
    let made = tenant.owner.post("/v1/api-keys", wanted).await.unwrap();
    let client = tenant.owner.with_key(SecretText::new(made["key"].as_str().unwrap().to_owned()));
    (made, client)
}

#[tokio::test]
async fn a_key_does_what_its_role_and_scopes_allow_until_it_is_revoked() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let wanted = json!({"name": "reader", "role": "member", "scopes": ["records:read"]});
    let (made, reader) = keyed(&tenant, &wanted).await;
    reader.get("/v1/records/contacts").await.unwrap();
    let refused = send_json(&reader, Method::POST, "/v1/records/contacts", &json!({})).await;
    assert_refused(&refused, 403, "forbidden");
    assert_eq!(refused.json()["needs"], "records:write");

    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    let known = tenant.owner.get(&path).await.unwrap();
    assert!(known["last_used"].is_string() && known.get("key").is_none(), "{known}");
    let listed = tenant.owner.get("/v1/api-keys").await.unwrap();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|key| &key["name"]).collect();
    assert!(names.contains(&&json!("reader")) && names.contains(&&json!("first key")), "{names:?}");

    assert_eq!(send(&tenant.owner, Method::DELETE, &path).await.status, 204);
    assert_refused(&send(&reader, Method::GET, "/v1/records/contacts").await, 401, "unauthorized");
    // The log knew before the key was taken out, and says how it went.
    let told = tenant.events("action=api_key.revoke").await;
    let results: Vec<_> = told.iter().map(|event| event["result"].as_str().unwrap()).collect();
    assert_eq!((results, &told[0]["intent"]), (vec!["success", "intent"], &told[1]["event_id"]));
    assert_refused(&send(&tenant.owner, Method::DELETE, &path).await, 404, "not_found");
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let (_, admin) = keyed(&tenant, &json!({"name": "admin", "role": "admin"})).await;
    let (_, narrow) =
        keyed(&tenant, &json!({"name": "narrow", "role": "admin", "scopes": ["keys:write"]})).await;
    for (who, wanted) in [
        (&admin, json!({"name": "x", "role": "owner"})),
        (&narrow, json!({"name": "x", "role": "viewer"})),
        (&narrow, json!({"name": "x", "scopes": ["records:read"]})),
    ] {
        let refused = send_json(who, Method::POST, "/v1/api-keys", &wanted).await;
        assert_refused(&refused, 403, "forbidden");
    }
    for wanted in [
        json!({"name": ""}),
        json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "x", "agent": "agt_01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
        json!({"name": "x", "scopes": ["spaceships:fly"]}),
        json!({"name": "x", "colour": "red"}),
    ] {
        let refused = send_json(&tenant.owner, Method::POST, "/v1/api-keys", &wanted).await;
        assert!([400, 404].contains(&refused.status.as_u16()), "{wanted}");
    }
}

#[tokio::test]
async fn a_viewer_sees_and_revokes_its_own_key_alone() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let (own, viewer) = keyed(&tenant, &json!({"name": "viewer", "role": "viewer"})).await;
    let listed = viewer.get("/v1/api-keys").await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let first = format!("/v1/api-keys/{}", tenant.key_id);
    assert_refused(&send(&viewer, Method::DELETE, &first).await, 404, "not_found");
    let own = format!("/v1/api-keys/{}", own["id"].as_str().unwrap());
    assert_eq!(send(&viewer, Method::DELETE, &own).await.status, 204);
    assert_refused(&send(&viewer, Method::GET, "/v1/me").await, 401, "unauthorized");
}

/// A token that this key signs.
pub(crate) fn token(key: &SigningKey, kid: &str, claims: &Value) -> SecretText {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    SecretText::new(format!("{signed}.{signature}"))
}

#[tokio::test]
async fn tokens_of_a_registered_key_are_taken_until_it_is_revoked() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let wanted = json!({"alg": "EdDSA", "public_jwk": jwk, "role": "developer"});
    let id = tenant.make("/v1/signing-keys", wanted).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let url = server.operator.base().to_string();
    let claims = json!({
        "iss": tenant.id, "tenant": tenant.id, "aud": url.trim_end_matches('/'), "sub": "ada@example.com",
        "iat": now, "exp": now + 600, "role": "viewer",
    });
    let ada = tenant.owner.with_key(token(&key, &id, &claims));
    let me = ada.get("/v1/me").await.unwrap();
    assert_eq!((&me["principal"]["kind"], &me["role"]), (&json!("user"), &json!("viewer")));

    let mut above = claims.clone();
    above["role"] = "admin".into();
    let above = tenant.owner.with_key(token(&key, &id, &above));
    assert_refused(&send(&above, Method::GET, "/v1/me").await, 401, "unauthorized");

    let path = format!("/v1/signing-keys/{id}");
    assert_eq!(tenant.owner.get(&path).await.unwrap()["role"], "developer");
    assert_eq!(send(&tenant.owner, Method::DELETE, &path).await.status, 204);
    assert_refused(&send(&ada, Method::GET, "/v1/me").await, 401, "unauthorized");
    assert_refused(&send(&tenant.owner, Method::GET, &path).await, 404, "not_found");
}

#[tokio::test]
async fn a_private_or_unfit_key_is_not_registered() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let mut private = PUBLIC_JWK.jwk();
    private["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
    for (alg, jwk) in [("EdDSA", private), ("RS256", PUBLIC_JWK.jwk()), ("EdDSA", json!({}))] {
        let wanted = json!({"alg": alg, "public_jwk": jwk});
        let refused = send_json(&tenant.owner, Method::POST, "/v1/signing-keys", &wanted).await;
        assert_refused(&refused, 400, "invalid_request");
    }
}
