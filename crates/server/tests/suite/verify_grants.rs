//! Grants to run the attack suite: what one reaches, what it does not, and how it ends.

use crate::description::operations;
use crate::harness::{Server, assert_refused, events, refusal, send, send_json};
use client::Client;
use env::Timestamp;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATH: &str = "/v1/verify-grants";

/// A grant's id, and a client with it.
async fn grant(server: &Server, body: &Value) -> (String, Client) {
    let made = server.operator.post(PATH, body).await.unwrap();
    let text = made["grant"].as_str().unwrap().to_owned();
    assert!(text.starts_with("vg_"));
    (made["id"].as_str().unwrap().to_owned(), server.operator.with_key(SecretText::new(text)))
}

async fn make(granted: &Client, name: &str) -> (String, Client) {
    let made = granted.post("/v1/tenants", &json!({"name": name})).await.unwrap();
    let key = SecretText::new(made["api_key"]["key"].as_str().unwrap().to_owned());
    (made["id"].as_str().unwrap().to_owned(), granted.with_key(key))
}

#[tokio::test]
async fn a_grant_reaches_two_operations_and_no_other() {
    let server = Server::start();
    let (id, granted) = grant(&server, &json!({"name": "customer"})).await;
    let victim = server.tenant("Victim").await;
    let mut tried = 0;
    for described in operations(&server).await {
        let operation = &described.operation;
        let needs_key = operation["security"][0].is_object();
        let open = operation["security"].to_string().contains("grant");
        let method: Method = described.method.to_uppercase().parse().unwrap();
        assert_eq!(
            open,
            matches!(
                (&method, described.path.as_str()),
                (&Method::POST, "/v1/tenants") | (&Method::DELETE, "/v1/tenants/{id}")
            )
        );
        if !needs_key || open {
            continue;
        }
        // A worker's operations ask for a worker's token and look at nothing else.
        let refusal = if operation["security"].to_string().contains("worker") { 401 } else { 403 };
        // What there is: the victim's id, the grant's own, a name.
        for fill in [victim.id.as_str(), id.as_str(), "starter"] {
            let path = described.path.split('/').map(|part| if part.starts_with('{') { fill } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            for header in [None, Some(victim.id.as_str())] {
                let mut call = granted.call(method.clone(), &path).json(&json!({})).unwrap();
                if let Some(tenant) = header {
                    call = call.header("X-Tenant-ID", tenant);
                }
                let answer = call.send().await.unwrap();
                assert_eq!(answer.status, refusal, "{method} {path}: {}", answer.text());
                assert!(!answer.text().contains("Victim"), "{}", answer.text());
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
    // As the model dialects have it, too; and an operator's key is no grant's.
    let models = granted.call(Method::GET, "/v1/models").send().await.unwrap();
    assert_eq!(models.json()["code"].as_str().or(models.json()["error"]["code"].as_str()), Some("forbidden"));
}

#[tokio::test]
async fn a_grant_deletes_its_own_tenants_and_sees_no_others() {
    let server = Server::start();
    let (_, granted) = grant(&server, &json!({"name": "one"})).await;
    let (_, other) = grant(&server, &json!({"name": "other"})).await;
    let (own, owner) = make(&granted, "own").await;
    let (foreign, _) = make(&other, "foreign").await;
    let ordinary = server.tenant("Ordinary").await.id;
    // One that is there, one of another grant, and one that is not: one and the same answer.
    let mut seen = Vec::new();
    for id in [ordinary.as_str(), foreign.as_str(), "ten_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        let answer = send(&granted, Method::DELETE, &format!("/v1/tenants/{id}")).await;
        let mut problem = answer.json();
        assert_eq!(refusal(&answer), (404, "not_found".to_owned()));
        for member in ["request_id", "instance"] {
            problem.as_object_mut().unwrap().remove(member);
        }
        seen.push(problem);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    for there in [&ordinary, &foreign] {
        server.operator.get(&format!("/v1/tenants/{there}")).await.unwrap();
    }
    owner.get("/v1/me").await.unwrap();
    granted.delete(&format!("/v1/tenants/{own}")).await.unwrap();
    assert_eq!(send(&owner, Method::GET, "/v1/me").await.status, 401);
    let deleted = events(&server.operator, "/v1/operator/audit/events", "action=tenant.delete").await;
    assert!(
        deleted.iter().any(|event| event["resource"]["id"] == own.as_str() && event["result"] == "success")
    );
    // A throwaway's own key opens neither of the two.
    let (_, owner) = make(&granted, "again").await;
    for (method, path) in
        [(Method::POST, "/v1/tenants".to_owned()), (Method::DELETE, format!("/v1/tenants/{foreign}"))]
    {
        let answer = send_json(&owner, method, &path, &json!({"name": "x"})).await;
        assert_refused(&answer, 403, "forbidden");
    }
}

#[tokio::test]
async fn a_grants_deletion_is_bound_to_a_version_like_any_other() {
    let server = Server::start();
    let (_, granted) = grant(&server, &json!({"name": "one"})).await;
    let (own, _) = make(&granted, "own").await;
    let foreign = server.tenant("Foreign").await.id;
    let delete = async |id: &str, version: &str| {
        let call = granted.call(Method::DELETE, &format!("/v1/tenants/{id}")).header("if-match", version);
        call.send().await.unwrap()
    };
    assert_refused(&delete(&own, "\"999999999999\"").await, 412, "precondition_failed");
    // Whose it is comes before which version it has.
    assert_refused(&delete(&foreign, "\"999999999999\"").await, 404, "not_found");
    let shown = send(&server.operator, Method::GET, &format!("/v1/tenants/{own}")).await;
    assert_eq!(delete(&own, shown.header("etag").unwrap()).await.status, 200);
}

// Each of them clears away what has ended, and all but one find it gone.
#[tokio::test(flavor = "multi_thread")]
async fn grants_are_made_side_by_side_where_one_has_ended() {
    let server = Server::start();
    for _ in 0..3 {
        // By the server's clock, which says when a tenant was made.
        let now =
            send(&server.operator, Method::GET, &format!("/v1/tenants/{}", server.tenant("Any").await.id))
                .await;
        let now: Timestamp = serde_json::from_value(now.json()["created_at"].clone()).unwrap();
        let ends = json!({"name": "ends", "expires_at": now.plus(Duration::from_secs(1))});
        let (_, granted) = grant(&server, &ends).await;
        make(&granted, "left").await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let wanted = json!({"name": "next"});
        let made = (0..8).map(|_| send_json(&server.operator, Method::POST, PATH, &wanted));
        for answer in futures::future::join_all(made).await {
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_grant_has_few_tenants_and_chooses_nothing_of_them() {
    let server = Server::start();
    let (_, granted) = grant(&server, &json!({"name": "small", "tenants": 2, "hours": 1})).await;
    for wrong in [
        json!({"name": "x", "plan": "enterprise"}),
        json!({"name": "x", "external_id": "mine"}),
        json!({"name": "x", "region": "local"}),
        json!({"name": "x", "isolation": "embedded"}),
    ] {
        assert_refused(
            &send_json(&granted, Method::POST, "/v1/tenants", &wrong).await,
            400,
            "invalid_request",
        );
    }
    let (first, _) = make(&granted, "first").await;
    make(&granted, "second").await;
    let third = send_json(&granted, Method::POST, "/v1/tenants", &json!({"name": "third"})).await;
    assert_refused(&third, 429, "quota_exceeded");
    let listed = server.operator.get(PATH).await.unwrap();
    assert_eq!((&listed["data"][0]["tenants_now"], &listed["data"][0]["tenants"]), (&json!(2), &json!(2)));
    assert!(!listed.to_string().contains("vg_"));
    // Places are given back; but however fast they come and go, so many in an hour and no more.
    granted.delete(&format!("/v1/tenants/{first}")).await.unwrap();
    for _ in 2..30 {
        let (id, _) = make(&granted, "next").await;
        granted.delete(&format!("/v1/tenants/{id}")).await.unwrap();
    }
    let fast = send_json(&granted, Method::POST, "/v1/tenants", &json!({"name": "fast"})).await;
    assert_refused(&fast, 429, "rate_limited");
    assert!(fast.header("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    // Which grant made a tenant stands in a place of its own, which no body writes.
    let tenants = server.operator.get("/v1/tenants").await.unwrap();
    assert!(
        tenants["data"].as_array().unwrap().iter().all(|it| it["verify_grant"] == listed["data"][0]["id"])
    );
    let chosen = json!({"name": "x", "verify_grant": listed["data"][0]["id"]});
    let refused = send_json(&server.operator, Method::POST, "/v1/tenants", &chosen).await;
    assert_refused(&refused, 400, "invalid_request");
    for wrong in [
        json!({"name": "", "hours": 1}),
        json!({"name": "x", "hours": 0}),
        json!({"name": "x", "tenants": 17}),
        json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "x", "expires_at": "2100-01-01T00:00:00Z"}),
        json!({"name": "x", "hours": 1, "expires_at": "2100-01-01T00:00:00Z"}),
    ] {
        assert_refused(
            &send_json(&server.operator, Method::POST, PATH, &wrong).await,
            400,
            "invalid_request",
        );
    }
}

#[tokio::test]
async fn a_throwaway_tenant_has_the_offline_model_and_no_way_out() {
    let server = Server::start_with("[egress]\nallow = [\"127.0.0.1:1\"]\n", &[]);
    let endpoint =
        json!({"url": "http://127.0.0.1:1/v1", "dialect": "openai", "models": ["paid"], "api_key": "sk-1"});
    server.operator.put("/v1/endpoints/main", &endpoint).await.unwrap();
    let (_, granted) = grant(&server, &json!({"name": "customer"})).await;
    let (_, owner) = make(&granted, "offline").await;
    let ordinary = server.tenant("Ordinary").await;
    let names = |models: &Value| -> Vec<String> {
        models["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&ordinary.owner.get("/v1/models").await.unwrap()).contains(&"paid".to_owned()));
    assert_eq!(names(&owner.get("/v1/models").await.unwrap()), ["offline"]);
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    let paid = send_json(&owner, Method::POST, "/v1/chat/completions", &chat("paid")).await;
    assert_eq!(paid.status, 404, "{}", paid.text());
    owner.post("/v1/chat/completions", &chat("offline")).await.unwrap();
    // A step that would call out finds no name; an ordinary tenant's gets as far as the closed port.
    for (who, why) in [(&owner, "resolve"), (&ordinary.owner, "connect")] {
        let definition = json!({"name": "out", "nodes": [
            {"id": "entry", "type": "source", "kind": "manual"},
            {"id": "call", "type": "http", "after": ["entry"], "method": "GET", "url": "http://127.0.0.1:1/",
             "retry": {"max_attempts": 1}},
        ]});
        let made =
            who.post("/v1/workflows", &json!({"name": "out", "definition": definition, "config": {}})).await;
        let path = format!("/v1/workflows/{}/runs", made.unwrap()["id"].as_str().unwrap());
        let run = who.post(&path, &json!({"input": {}})).await.unwrap();
        let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
        let mut told = Value::Null;
        for _ in 0..400 {
            told = who.get(&path).await.unwrap();
            if told["status"] == "failed" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        assert_eq!(told["status"], "failed", "{told}");
        assert!(told.to_string().contains(why), "{why}: {told}");
    }
}

#[tokio::test]
async fn a_revoked_grant_is_refused_and_its_tenants_are_gone() {
    let mut server = Server::start();
    let (id, granted) = grant(&server, &json!({"name": "customer"})).await;
    let (tenant, owner) = make(&granted, "left behind").await;
    // It outlives a restart, and so does what it has.
    server.stop_and_restart().await;
    let granted = server.operator.with_key(granted.key().unwrap().clone());
    let owner = server.operator.with_key(owner.key().unwrap().clone());
    owner.get("/v1/me").await.unwrap();
    server.operator.delete(&format!("{PATH}/{id}")).await.unwrap();
    assert_eq!(send_json(&granted, Method::POST, "/v1/tenants", &json!({"name": "x"})).await.status, 401);
    assert_eq!(send(&owner, Method::GET, "/v1/me").await.status, 401);
    assert_eq!(send(&server.operator, Method::GET, &format!("/v1/tenants/{tenant}")).await.status, 404);
    for action in ["verify_grant.create", "verify_grant.revoke"] {
        let found = events(&server.operator, "/v1/operator/audit/events", &format!("action={action}")).await;
        assert!(
            found.iter().any(|event| event["resource"]["id"] == id.as_str() && event["result"] == "success")
        );
    }
    let missing = send(&server.operator, Method::DELETE, &format!("{PATH}/{id}")).await;
    assert_refused(&missing, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_runs_the_suite_with_a_grant() {
    let server = Server::start();
    let ordinary = server.tenant("Ordinary").await;
    let (_, granted) = grant(&server, &json!({"name": "customer", "tenants": 2})).await;
    let file = server.folder().join("grant");
    fs::write(&file, format!("{}\n", granted.key().unwrap().expose())).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(["verify", "--url", server.operator.base().as_str(), "--grant-file"]).arg(&file);
        command.args(more).stdin(Stdio::null()).output().unwrap()
    };
    let found = run(&["--json"]);
    let told: Value = serde_json::from_slice(&found.stdout).unwrap_or_default();
    assert_eq!(found.status.code(), Some(0), "{told:#}{}", String::from_utf8_lossy(&found.stderr));
    assert!(told["patterns"].as_u64().unwrap() > 300, "{}", told["patterns"]);
    let not_offered = told["not_offered"].to_string();
    assert!(
        not_offered.contains("the operator's") && not_offered.contains("--operator-key-file"),
        "{not_offered}"
    );
    let left = server.operator.get("/v1/tenants?limit=500").await.unwrap();
    assert_eq!(left["data"].as_array().unwrap().len(), 1);
    ordinary.owner.get("/v1/me").await.unwrap();
    // Whoever holds a grant has nothing signed.
    assert_eq!(run(&["--evidence", "x"]).status.code(), Some(2));
}
