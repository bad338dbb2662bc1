//! Backup and restore keep the boundary between tenants.

use crate::harness::{Server, Tenant, assert_refused, events, send};
use bytes::Bytes;
use client::Answer;
use http::Method;

async fn back_up(server: &Server, tenant: &Tenant) -> Bytes {
    let answer = send(&server.operator, Method::POST, &format!("/v1/tenants/{}/backup", tenant.id)).await;
    let answer = answer.accepted().unwrap();
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(answer.header("content-disposition").unwrap().contains(&tenant.id));
    answer.body
}

async fn restore(server: &Server, tenant: &Tenant, backup: Bytes, query: &str) -> Answer {
    let path = format!("/v1/tenants/{}/restore{query}", tenant.id);
    let call = server.operator.call(Method::POST, &path).body("application/octet-stream", backup);
    call.send().await.unwrap()
}

#[tokio::test]
async fn a_backup_brings_back_what_was_there_and_an_older_one_only_when_told_so() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let backup = back_up(&server, &tenant).await;
    tenant.owner.delete(&record).await.unwrap();
    restore(&server, &tenant, backup.clone(), "").await.accepted().unwrap();
    assert_eq!(tenant.owner.get(&record).await.unwrap()["data"]["name"], "Ada");
    assert_refused(&restore(&server, &tenant, backup.clone(), "").await, 409, "backup_refused");
    restore(&server, &tenant, backup, "?allow_older=true").await.accepted().unwrap();
    let told = tenant.events("action=tenant.restore").await;
    let results: Vec<_> = told.iter().rev().map(|event| event["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["intent", "success", "intent", "failure", "intent", "success"]);
}

#[tokio::test]
async fn anothers_backup_and_an_altered_one_are_refused_and_told_of() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    other.record().await;
    let anothers = back_up(&server, &other).await;
    assert_refused(&restore(&server, &tenant, anothers, "").await, 409, "backup_refused");
    let mut altered = back_up(&server, &tenant).await.to_vec();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    assert_refused(&restore(&server, &tenant, altered.into(), "").await, 409, "backup_refused");
    let cut = back_up(&server, &tenant).await.slice(..middle);
    assert_refused(&restore(&server, &tenant, cut, "").await, 409, "backup_refused");
    assert_refused(&restore(&server, &tenant, Bytes::new(), "").await, 409, "backup_refused");
    tenant.owner.get(&record).await.unwrap();
    let log = events(&server.operator, "/v1/operator/audit/events", "action=tenant.restore").await;
    assert_eq!(log.iter().filter(|event| event["result"] == "failure").count(), 4);
    assert_eq!(log[0]["reason_code"], "backup_refused");
}

#[tokio::test]
async fn a_tenant_that_is_not_there_has_no_backup() {
    let server = Server::start();
    let path = "/v1/tenants/ten_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for what in ["backup", "restore", "suspend", "resume"] {
        let answer = send(&server.operator, Method::POST, &format!("{path}/{what}")).await;
        assert_refused(&answer, 404, "not_found");
    }
}

#[tokio::test]
async fn a_restore_is_carried_out_once_per_key_and_a_backup_takes_none() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    tenant.record().await;
    let backup = back_up(&server, &tenant).await;
    let path = format!("/v1/tenants/{}/restore", tenant.id);
    let again = async || {
        let call = server.operator.call(Method::POST, &path).header("idempotency-key", "one");
        call.body("application/octet-stream", backup.clone()).send().await.unwrap()
    };
    let first = again().await.accepted().unwrap().json();
    // Carried out again it would be refused: the backup is older than the restore by then.
    let second = again().await;
    assert_eq!((second.header("idempotency-replayed"), second.json()), (Some("true"), first));
    let path = format!("/v1/tenants/{}/backup", tenant.id);
    let keyed = server.operator.call(Method::POST, &path).header("idempotency-key", "two");
    assert_refused(&keyed.send().await.unwrap(), 400, "invalid_request");
}
