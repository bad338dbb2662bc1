//! The audit log, verified without the server.

use crate::harness::{Server, assert_refused, send};
use audit::export::{Trust, verify_export};
use audit::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use audit::note::{SignedCheckpoint, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::Value;

fn hashes(proof: &Value) -> Vec<[u8; 32]> {
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
