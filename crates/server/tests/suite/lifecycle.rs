//! Backup and restore keep the boundary between tenants.

use crate::harness::{Server, Tenant, assert_refused, events, send, send_json};
use bytes::Bytes;
use client::Answer;
use http::Method;
use serde_json::json;

pub(crate) async fn back_up(server: &Server, tenant: &Tenant) -> Bytes {
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
async fn a_restore_is_repeated_with_the_same_backup_alone() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/tenants/{}/restore", tenant.id);
    let [first, other] = [back_up(&server, &tenant).await, back_up(&server, &tenant).await];
    for (backup, status) in [(&first, 200), (&first, 200), (&other, 409)] {
        let call = server.operator.call(Method::POST, &path).header("idempotency-key", "once");
        let answer = call.body("application/octet-stream", backup.clone()).send().await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
    let told = tenant.events("action=tenant.restore").await;
    assert_eq!(told.len(), 2, "one intent and one success: {told:?}");
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
    for what in ["backup", "restore", "suspend", "resume", "data-key"] {
        let answer = send(&server.operator, Method::POST, &format!("{path}/{what}")).await;
        assert_refused(&answer, 404, "not_found");
    }
    let moved =
        send_json(&server.operator, Method::POST, &format!("{path}/move"), &json!({"to": "pooled"})).await;
    assert_refused(&moved, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_refused_is_in_nobodys_way() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    tenant.record().await;
    let refusing = async {
        for _ in 0..60 {
            assert_refused(&restore(&server, &tenant, "[]".into(), "").await, 409, "backup_refused");
        }
    };
    let writing = async {
        loop {
            tenant.record().await;
        }
    };
    tokio::select! {
        () = refusing => {}
        () = writing => {}
    }
}

#[tokio::test]
async fn a_damaged_tenant_is_out_of_service_alone_and_can_be_restored() {
    let mut server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let backup = back_up(&server, &tenant).await;
    let beyond = format!("/v1/records/contacts/{}", tenant.record().await);
    other.record().await;
    server.stop_and_restart().await;
    std::fs::write(server.file_of(&tenant), vec![7; 64 << 10]).unwrap();
    let (owner, neighbour) = (tenant.owner_at(&server), other.owner_at(&server));
    assert_refused(&send(&owner, Method::GET, &record).await, 503, "tenant_unavailable");
    let made = send_json(&owner, Method::POST, "/v1/records/contacts", &json!({"name": "Ada"})).await;
    assert_refused(&made, 503, "tenant_unavailable");
    neighbour.post("/v1/records/contacts", &json!({"name": "Bert"})).await.unwrap();
    assert_refused(&restore(&server, &tenant, backup.clone(), "").await, 409, "backup_refused");
    let restored = restore(&server, &tenant, backup, "?accept_loss=true").await.accepted().unwrap().json();
    assert_eq!(restored["loss"]["log_epoch"], 2);
    assert_eq!(owner.get(&record).await.unwrap()["data"]["name"], "Ada");
    assert_refused(&send(&owner, Method::GET, &beyond).await, 404, "not_found");
    let told = events(&owner, "/v1/audit/events", "action=tenant.restore").await;
    assert_eq!((told.len(), &told[0]["result"], &told[0]["epoch"]), (1, &json!("success"), &json!(2)));
}

#[tokio::test]
async fn a_new_data_key_leaves_everything_but_older_backups() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = format!("/v1/records/contacts/{}", tenant.record().await);
    let credential = json!({"kind": "api_key", "key": "k3y", "hosts": ["api.example.com"]});
    tenant.owner.put("/v1/credentials/crm", &credential).await.unwrap();
    let older = back_up(&server, &tenant).await;
    let changing = format!("/v1/tenants/{}/data-key", tenant.id);
    // Calls go on while it is written anew.
    let writing = async {
        for _ in 0..50 {
            tenant.record().await;
        }
    };
    let changed = async { send(&server.operator, Method::POST, &changing).await.accepted().unwrap() };
    let (changed, ()) = tokio::join!(changed, writing);
    assert!(changed.json()["older_backups"].as_str().unwrap().contains("no more"));
    assert_eq!(tenant.owner.get(&record).await.unwrap()["data"]["name"], "Ada");
    tenant.owner.get("/v1/credentials/crm").await.unwrap();
    let all = tenant.owner.get("/v1/records/contacts?limit=200").await.unwrap();
    assert_eq!(all["data"].as_array().unwrap().len(), 51);
    assert_refused(&restore(&server, &tenant, older, "?allow_older=true").await, 409, "backup_refused");
    let newer = back_up(&server, &tenant).await;
    restore(&server, &tenant, newer, "").await.accepted().unwrap();
    assert_eq!(tenant.events("action=tenant.change_key").await.len(), 2);
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

#[tokio::test]
async fn a_restore_without_a_body_is_refused_at_once() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let key = server.operator_key();
    for body in ["transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "content-length: 0\r\n\r\n", "\r\n"] {
        let request = format!(
            "POST /v1/tenants/{}/restore HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n{body}",
            tenant.id,
            key.expose(),
        );
        let answered =
            tokio::time::timeout(std::time::Duration::from_secs(10), server.raw(request.as_bytes()));
        let answered = answered.await.unwrap_or_else(|_| panic!("no answer to {body:?}"));
        assert!(
            answered.starts_with("HTTP/1.1 409 ") && answered.contains("backup_refused"),
            "{body:?}: {answered}"
        );
    }
}
