//! The audit log, verified without the server.

use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use audit::export::{Trust, verify_export};
use audit::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use audit::note::{SignedCheckpoint, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};

pub(crate) fn hashes(proof: &Value) -> Vec<[u8; 32]> {
    let hash = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap().try_into().unwrap();
    proof["hashes"].as_array().unwrap().iter().map(hash).collect()
}

#[tokio::test]
async fn an_export_verifies_offline_and_continues_an_earlier_checkpoint() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    tenant.record().await;
    let earlier = tenant.owner.get("/v1/audit/checkpoint").await.unwrap();
    for _ in 0..5 {
        tenant.record().await;
    }
    let key = send(&tenant.owner, Method::GET, "/v1/audit/key").await;
    assert!(key.header("content-type").unwrap().starts_with("text/plain"));
    let key: VerifierKey = key.text().trim().parse().unwrap();
    let export = send(&tenant.owner, Method::GET, "/v1/audit/export?format=jsonl").await;
    let trust = Trust::new(&key).earlier(earlier["checkpoint"].as_str().unwrap());
    let report = verify_export(&export.body[..], &trust).unwrap();
    assert!(report.events > earlier["size"].as_u64().unwrap());
    let lines = export.text().lines().count() as u64;
    assert_eq!(lines, report.events + 1);
    assert!(export.text().lines().nth_back(1).unwrap().contains("audit.export"));

    let altered = export.text().replacen("record.create", "record.delete", 1);
    assert!(verify_export(altered.as_bytes(), &Trust::new(&key)).is_err());
    let others = send(&other.owner, Method::GET, "/v1/audit/export").await;
    assert!(verify_export(&others.body[..], &Trust::new(&key)).is_err());
}

#[tokio::test]
async fn a_long_log_is_exported_over_several_pages() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    for _ in 0..600 {
        tenant.record().await;
    }
    let key: VerifierKey =
        send(&tenant.owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
    let export = send(&tenant.owner, Method::GET, "/v1/audit/export").await;
    assert!(verify_export(&export.body[..], &Trust::new(&key)).unwrap().events > 600);
}

#[tokio::test]
async fn proofs_lead_to_signed_checkpoints() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    tenant.record().await;
    let key: VerifierKey =
        send(&tenant.owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
    let open =
        |note: &Value| SignedCheckpoint::open(note.as_str().unwrap(), &key).unwrap().checkpoint().clone();
    let earlier = tenant.owner.get("/v1/audit/checkpoint").await.unwrap();
    tenant.record().await;

    let proof = tenant.owner.get("/v1/audit/proof?index=1").await.unwrap();
    let signed = open(&proof["checkpoint"]);
    let leaf = leaf_hash(proof["leaf"].as_str().unwrap().as_bytes());
    verify_inclusion(leaf, 1, signed.size, &hashes(&proof), signed.root).unwrap();

    let path = format!("/v1/audit/proof?size={}", earlier["size"]);
    let proof = tenant.owner.get(&path).await.unwrap();
    let (before, after) = (open(&earlier["checkpoint"]), open(&proof["checkpoint"]));
    verify_consistency(before.size, before.root, after.size, after.root, &hashes(&proof)).unwrap();
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    for wrong in [
        "proof",
        "proof?index=0&size=1",
        "proof?index=-1",
        "proof?size=999",
        "export?format=csv",
        "export?format=ocsf",
        "export?format=cef",
        "export?format=pdf",
        "events?from=yesterday",
    ] {
        let answer = send(&tenant.owner, Method::GET, &format!("/v1/audit/{wrong}")).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    let missing = send(&tenant.owner, Method::GET, "/v1/audit/proof?index=999").await;
    assert_refused(&missing, 404, "not_found");
}

#[tokio::test]
async fn reads_are_told_once_a_minute_with_their_number() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/records/contacts/{}", tenant.record().await);
    for _ in 0..3 {
        tenant.owner.get(&path).await.unwrap();
    }
    let told = tenant.events("action=record.read").await;
    let count: u64 = told.iter().map(|event| event["details"]["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 3);
    assert!(told.len() <= 2, "a minute may have turned in between, but not more: {told:#?}");
    assert_eq!(told[0]["resource"]["id"], "contacts");
}

/// A person with a token of the tenant's, in this role.
async fn person(server: &Server, tenant: &Tenant, sub: &str) -> client::Client {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let id =
        tenant.make("/v1/signing-keys", json!({"alg": "EdDSA", "public_jwk": jwk, "role": "admin"})).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({
        "iss": tenant.id, "tenant": tenant.id, "aud": server.operator.base().to_string().trim_end_matches('/'),
        "sub": sub, "iat": now, "exp": now + 600, "role": "admin",
    });
    tenant.owner.with_key(crate::keys::token(&key, &id, &claims))
}

#[tokio::test]
async fn a_person_is_erased_from_the_log_and_it_still_verifies() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    let ada = person(&server, &tenant, "ada@example.com").await;
    ada.post("/v1/records/contacts", &json!({"a": 1})).await.unwrap();
    ada.get("/v1/records/contacts").await.unwrap();
    let before = tenant.events("actor=ada@example.com").await;
    assert!(before.len() >= 2, "{before:?}");
    let name = before[0]["actor"]["id"].as_str().unwrap().to_owned();
    assert!(name.starts_with("usr_"), "{name}");
    assert_eq!(before[0]["personal"]["subject"], "ada@example.com");
    assert!(before.iter().all(|event| event["actor"]["id"] == name.as_str()));
    let earlier = tenant.owner.get("/v1/audit/checkpoint").await.unwrap();
    let key: VerifierKey =
        send(&tenant.owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
    let export = send(&tenant.owner, Method::GET, "/v1/audit/export").await;
    assert!(!export.text().contains("ada@example.com"), "a leaf never changes, so it never names a person");

    let path = "/v1/audit/erase-personal";
    for body in [json!({}), json!({"actor": ""}), json!({"actor": "a", "value": "b"})] {
        assert_refused(&send_json(&tenant.owner, Method::POST, path, &body).await, 400, "invalid_request");
    }
    let body = json!({"actor": "ada@example.com"});
    assert_refused(&send_json(&ada, Method::POST, path, &body).await, 403, "forbidden");
    assert_eq!(other.owner.post(path, &body).await.unwrap()["erased"], 0);
    let erased = tenant.owner.post(path, &body).await.unwrap()["erased"].as_u64().unwrap();
    assert!(erased >= before.len() as u64, "{erased}");
    let noted = tenant.events("action=audit.erase_personal").await;
    assert_eq!(noted.len(), 1);
    assert!(!noted[0].to_string().contains("ada@example.com"));

    let after = tenant.events(&format!("actor={name}")).await;
    // One more: that she may not erase anything.
    assert_eq!(after.len(), before.len() + 1);
    assert!(after.iter().all(|event| event["personal"]["subject"]["redacted"] == true), "{after:?}");
    let all = tenant.events("").await;
    assert!(all.iter().all(|event| !event.to_string().contains("ada@example.com")));
    let export = send(&tenant.owner, Method::GET, "/v1/audit/export").await;
    let trust = Trust::new(&key).earlier(earlier["checkpoint"].as_str().unwrap());
    verify_export(&export.body[..], &trust).unwrap();
    // One event's values alone.
    let event = tenant.events("action=record.create").await.remove(0);
    let body = json!({"event": event["event_id"]});
    assert!(tenant.owner.post(path, &body).await.is_ok());
}
