//! Tenants that go from the embedded store to PostgreSQL and back: exported, imported, and the same on both sides.

use crate::audit_log::hashes;
use crate::database::Place;
use crate::harness::{Server, Tenant, assert_refused, send};
use audit::merkle::verify_consistency;
use audit::note::{SignedCheckpoint, VerifierKey};
use client::Client;
use http::Method;
use serde_json::{Value, json};

/// All that a tenant's owner sees of it, without what one look differs from the next in.
async fn seen(owner: &Client) -> Value {
    let mut all = serde_json::Map::new();
    let paths = [
        "/v1/records/contacts?limit=100",
        "/v1/records/contacts?filter=score%20ge%2050&limit=100",
        "/v1/workflows",
        "/v1/runs?limit=100",
        "/v1/agents",
        "/v1/api-keys",
        "/v1/usage?group_by=model",
        "/v1/audit/events?action=record.create&limit=100",
    ];
    for path in paths {
        let mut answer = owner.get(path).await.unwrap();
        for key in answer["data"].as_array_mut().into_iter().flatten() {
            key.as_object_mut().map(|key| key.remove("last_used_at"));
        }
        all.insert(path.to_owned(), answer["data"].take());
    }
    Value::Object(all)
}

/// A tenant with rows of every kind, and the address of its workflow.
async fn furnished(server: &Server) -> (Tenant, String) {
    let tenant = server.tenant("Acme").await;
    let owner = &tenant.owner;
    owner
        .put("/v1/records/contacts", &json!({"indexes": ["name"], "range_indexes": ["score"]}))
        .await
        .unwrap();
    for score in [10, 60, 90] {
        owner.post("/v1/records/contacts", &json!({"name": "Ada", "score": score})).await.unwrap();
    }
    tenant.agent().await;
    tenant.api_key().await;
    let nodes = json!([
        {"id": "start", "type": "source", "kind": "webhook",
            "webhook": {"scheme": "none", "delivery_id_header": "X-Event"}},
        {"id": "made", "type": "transform", "after": ["start"], "output": {"a": 1}},
    ]);
    let body = json!({"name": "W", "definition": {"name": "W", "nodes": nodes}});
    let workflow = owner.post("/v1/workflows", &body).await.unwrap();
    let url = workflow["hook_url"].as_str().unwrap();
    let hook = url[url.find("/hooks/").unwrap()..].to_owned();
    deliver(server, &hook).await;
    loop {
        let runs = owner.get("/v1/runs?status=succeeded").await.unwrap();
        if runs["data"].as_array().is_some_and(|runs| runs.len() == 1) {
            return (tenant, hook);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The one delivery, which begins a run the first time.
async fn deliver(server: &Server, hook: &str) {
    let sender = server.operator.without_key();
    let call = sender.call(Method::POST, hook).header("X-Event", "1");
    let answer = call.body("application/json", r#"{"n": 1}"#.into()).send().await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// Takes a tenant from one server to another, as `docs/operations.md` says.
async fn transferred(from: &Server, to: &Server, id: &str) {
    let path = format!("/v1/tenants/{id}");
    let active = send(&from.operator, Method::POST, &format!("{path}/export")).await;
    assert_refused(&active, 409, "conflict");
    from.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    let export = send(&from.operator, Method::POST, &format!("{path}/export")).await;
    assert_eq!(export.status.as_u16(), 200, "{}", export.text());
    // Nothing changes it any more where it was, also not an operator.
    for (method, what) in [(Method::POST, "/resume"), (Method::POST, "/backup")] {
        assert_refused(&send(&from.operator, method, &format!("{path}{what}")).await, 409, "conflict");
    }
    let call = to.operator.call(Method::POST, &format!("{path}/import"));
    let imported = call.body("application/octet-stream", export.body.clone()).send().await.unwrap();
    assert_eq!(imported.status.as_u16(), 201, "{}", imported.text());
    // Once is enough.
    let call = to.operator.call(Method::POST, &format!("{path}/import"));
    assert_refused(
        &call.body("application/octet-stream", export.body).send().await.unwrap(),
        409,
        "conflict",
    );
    assert_eq!(to.operator.get(&path).await.unwrap()["status"], "suspended");
    to.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    from.operator.delete(&path).await.unwrap();
    assert_refused(&send(&from.operator, Method::GET, &path).await, 404, "not_found");
}

/// What was signed before holds of the log as it is now, under the same key.
async fn assert_goes_on(owner: &Client, earlier: &Value, key: &VerifierKey) {
    let open =
        |note: &Value| SignedCheckpoint::open(note.as_str().unwrap(), key).unwrap().checkpoint().clone();
    let proof = owner.get(&format!("/v1/audit/proof?size={}", earlier["size"])).await.unwrap();
    let (before, after) = (open(&earlier["checkpoint"]), open(&proof["checkpoint"]));
    assert!(after.size > before.size);
    verify_consistency(before.size, before.root, after.size, after.root, &hashes(&proof)).unwrap();
}

#[tokio::test]
async fn a_tenant_goes_to_postgresql_and_back() {
    let place = Place::make();
    let key = place.file("master.key");
    let mut embedded = Server::start_with("", &["--master-key-file", key.to_str().unwrap()]);
    let (tenant, hook) = furnished(&embedded).await;
    embedded.stop().await;
    let data = embedded.folder().to_str().unwrap().to_owned();
    let command = ["store", "init", "--keys-of", &data];
    let made = place.command(&command, "init.toml", "master.key").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    embedded.start_again();
    let database = place.serve();
    // With it comes the plan.
    let neighbour = database.tenant("Neighbour").await;
    let owner = tenant.owner_at(&embedded);
    let before = seen(&owner).await;
    let checkpoint = owner.get("/v1/audit/checkpoint").await.unwrap();
    let key = send(&owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();

    transferred(&embedded, &database, &tenant.id).await;
    let there = tenant.owner_at(&database);
    deliver(&database, &hook).await;
    assert_eq!(seen(&there).await, before);
    assert_goes_on(&there, &checkpoint, &key).await;
    let made = there.post("/v1/records/contacts", &json!({"name": "Bo", "score": 70})).await.unwrap();
    let before = seen(&there).await;
    assert_eq!(neighbour.owner.get("/v1/records/contacts").await.unwrap()["data"], json!([]));

    transferred(&database, &embedded, &tenant.id).await;
    let back = tenant.owner_at(&embedded);
    deliver(&embedded, &hook).await;
    assert_eq!(seen(&back).await, before);
    assert_goes_on(&back, &checkpoint, &key).await;
    embedded.stop_and_restart().await;
    let back = tenant.owner_at(&embedded);
    assert_eq!(seen(&back).await, before);
    let path = format!("/v1/records/contacts/{}", made["id"].as_str().unwrap());
    assert_eq!(back.get(&path).await.unwrap()["data"]["name"], "Bo");
}

// What an import has made that failed is taken away, also a schema of the tenant's own, and it can be tried again.
#[tokio::test]
async fn an_import_that_failed_is_tried_again() {
    let place = Place::make();
    let key = place.file("master.key");
    let mut embedded = Server::start_with("", &["--master-key-file", key.to_str().unwrap()]);
    let (tenant, _) = furnished(&embedded).await;
    embedded.stop().await;
    let data = embedded.folder().to_str().unwrap().to_owned();
    let command = ["store", "init", "--keys-of", &data];
    assert!(place.command(&command, "init.toml", "master.key").output().unwrap().status.success());
    embedded.start_again();
    let _provisioner = place.provision();
    let database = place.serve();
    database.tenant("Neighbour").await;
    let before = seen(&tenant.owner_at(&embedded)).await;
    let path = format!("/v1/tenants/{}", tenant.id);
    embedded.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    let export = send(&embedded.operator, Method::POST, &format!("{path}/export")).await.body;
    let import = async |body: Vec<u8>| {
        let call = database.operator.call(Method::POST, &format!("{path}/import?isolation=schema"));
        call.body("application/octet-stream", body.into()).send().await.unwrap()
    };
    assert_refused(&import(export[..export.len() - 1].to_vec()).await, 409, "backup_refused");
    assert_refused(&send(&database.operator, Method::GET, &path).await, 404, "not_found");
    let mut tries = 0;
    let imported = loop {
        let answer = import(export.to_vec()).await;
        tries += 1;
        // Until what the first try has made is gone.
        if answer.status.is_success() || tries == 50 {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(imported.status.as_u16(), 201, "{}", imported.text());
    database.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    assert_eq!(seen(&tenant.owner_at(&database)).await, before);
    assert_eq!(database.operator.get(&path).await.unwrap()["isolation"], "schema");
}

#[tokio::test]
async fn an_export_opens_where_it_belongs_alone() {
    let (server, other) = (Server::start(), Server::start());
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/tenants/{}", tenant.id);
    server.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    let export = send(&server.operator, Method::POST, &format!("{path}/export")).await.body;
    let import = async |server: &Server, path: &str, body: Vec<u8>| {
        let call = server.operator.call(Method::POST, &format!("{path}/import"));
        call.body("application/octet-stream", body.into()).send().await.unwrap()
    };
    // Under another master key, cut off, altered, and as another tenant.
    assert_refused(&import(&other, &path, export.to_vec()).await, 409, "backup_refused");
    server.operator.delete(&path).await.unwrap();
    assert_refused(&import(&server, &path, export[..export.len() - 1].to_vec()).await, 409, "backup_refused");
    let mut altered = export.to_vec();
    let middle = altered.len() - 100;
    altered[middle] ^= 1;
    assert_refused(&import(&server, &path, altered).await, 409, "backup_refused");
    let another = format!("/v1/tenants/{}", server.tenant("Other").await.id);
    assert_refused(&import(&server, &another, export.to_vec()).await, 409, "backup_refused");
    assert_refused(&send(&server.operator, Method::GET, &path).await, 404, "not_found");
    let taken = import(&server, &path, export.to_vec()).await;
    assert_eq!(taken.status.as_u16(), 201, "{}", taken.text());
    server.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    assert!(tenant.owner.get("/v1/me").await.is_ok());
}

#[tokio::test]
async fn what_was_imported_nowhere_goes_on_where_it_was() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/tenants/{}", tenant.id);
    server.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    assert!(send(&server.operator, Method::POST, &format!("{path}/export")).await.status.is_success());
    assert!(send(&server.operator, Method::POST, &format!("{path}/export")).await.status.is_success());
    assert_eq!(server.operator.get(&path).await.unwrap()["status"], "leaving");
    assert!(tenant.owner.get("/v1/me").await.is_err());
    server.operator.post(&format!("{path}/resume?not_imported=true"), &json!({})).await.unwrap();
    tenant.record().await;
}
