//! Runs from their beginning to their end.

use super::{over, stage, start, step, until, workflow};
use crate::harness::Server;
use serde_json::{Value, json};

#[tokio::test]
async fn a_run_goes_through_every_type_of_node() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let definition = json!({
        "name": "Every type",
        "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "shape", "type": "transform", "after": ["start"],
             "output": {"email": "{{ input.email | lower }}", "size": "{{ input.seats * 2 }}"}},
            {"id": "large", "type": "condition", "after": ["shape"], "expression": "steps.shape.output.size > 10"},
            {"id": "classify", "type": "ai", "model": "offline", "prompt": "Is this a bug? {{ input.text }}",
             "output_schema": {"type": "object", "required": ["label"], "properties": {"label": {"enum": ["bug", "other"]}}}},
            {"id": "remember", "type": "record", "operation": "upsert", "collection": "contacts",
             "match": {"email": "{{ steps.shape.output.email }}"},
             "fields": {"email": "{{ steps.shape.output.email }}", "label": "{{ steps.classify.output.label }}"}},
            {"id": "tell", "type": "http", "method": "POST", "url": service.url("/ok/contacts"),
             "query": {"of": "a b"},
             "body": {"id": "{{ steps.remember.output.id }}", "size": "{{ steps.shape.output.size }}"}},
            {"id": "small", "type": "http", "method": "POST", "url": service.url("/never")},
        ],
        "edges": [
            {"from": "large", "to": "classify", "when": true}, {"from": "classify", "to": "remember"},
            {"from": "remember", "to": "tell"}, {"from": "large", "to": "small", "when": false},
        ],
    });
    let workflow = workflow(&tenant, &definition).await;
    let input = json!({"email": "Ada@Example.com", "seats": 7, "text": "a bug: it crashes"});
    let run = start(&tenant.owner, &workflow, input.clone()).await;
    let run = over(&tenant.owner, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["input"], input);
    assert_eq!(step(&run, "shape")["output"], json!({"email": "ada@example.com", "size": 14}));
    assert_eq!(step(&run, "classify")["output"]["label"], "bug");
    assert_eq!(step(&run, "small")["status"], "skipped");
    assert!(service.seen("/never").is_empty());

    let told = service.seen("/ok/contacts");
    let contact = step(&run, "remember")["output"]["id"].as_str().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].path.as_str(), &told[0].body),
        ("/ok/contacts?of=a+b", &json!({"id": contact, "size": 14}))
    );
    assert!(!told[0].key.is_empty());
    assert_eq!(step(&run, "tell")["output"]["status"], 200);
    let record = tenant.owner.get(&format!("/v1/records/contacts/{contact}")).await.unwrap();
    assert_eq!(record["data"]["label"], "bug");

    // The intent of the call is in the log, and how it went; and the run from its beginning to its end.
    let calls = tenant.events("action=http.call").await;
    let results: Vec<_> = calls.iter().map(|event| event["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["success", "intent"]);
    assert_eq!(calls[0]["intent"], calls[1]["event_id"]);
    for action in ["run.create", "run.finish", "record.create", "model.call"] {
        assert!(!tenant.events(&format!("action={action}")).await.is_empty(), "{action}");
    }
    let usage = tenant.owner.get("/v1/usage?group_by=workflow").await.unwrap();
    let row = &usage["data"][0];
    assert_eq!(
        (&row["group"]["workflow"], &row["ai_calls"], &row["api_calls"]),
        (&json!(workflow), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn steps_are_listed_in_the_order_of_the_definition() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let names = ["start", "zeta", "mid", "alpha", "kappa", "beta"];
    let mut nodes = vec![json!({"id": "start", "type": "source", "kind": "manual"})];
    let chain = names.windows(2);
    nodes.extend(chain.map(
        |pair| json!({"id": pair[1], "type": "transform", "after": [pair[0]], "output": {"done": true}}),
    ));
    let workflow = workflow(&tenant, &json!({"name": "In order", "nodes": nodes})).await;
    for _ in 0..8 {
        let run = start(&tenant.owner, &workflow, json!({})).await;
        let run = over(&tenant.owner, &run).await;
        let steps = run["steps"].as_array().unwrap();
        let listed: Vec<_> = steps.iter().map(|step| step["node"].as_str().unwrap()).collect();
        assert_eq!(listed, names);
    }
}

#[tokio::test]
async fn branches_run_in_parallel_and_join() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let branch = |id: &str| json!({"id": id, "type": "http", "method": "GET", "after": ["start"], "url": service.url("/slow/700")});
    let definition = json!({
        "name": "Wide",
        "nodes": [
            {"id": "start", "type": "source", "kind": "manual"}, branch("a"), branch("b"), branch("c"), branch("d"),
            {"id": "join", "type": "transform", "after": ["a", "b", "c", "d"],
             "output": ["{{ steps.a.output.status }}", "{{ steps.d.output.status }}"]},
        ],
    });
    let workflow = workflow(&tenant, &definition).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    let run = over(&tenant.owner, &run).await;
    assert_eq!(step(&run, "join")["output"], json!([200, 200]), "{run}");
    // One after the other they would not overlap.
    let begun = ["a", "b", "c", "d"].map(|node| step(&run, node)["started_at"].as_str().unwrap().to_owned());
    let ended = ["a", "b", "c", "d"].map(|node| step(&run, node)["finished_at"].as_str().unwrap().to_owned());
    assert!(begun.iter().max() < ended.iter().min(), "{run}");
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_key_and_then_given_up() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let retry = json!({"max_attempts": 3, "backoff": {"initial_seconds": 1, "max_seconds": 1}});
    let calling = |path: &str| {
        json!({"name": "Calls", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "call", "type": "http", "method": "POST", "after": ["start"], "url": service.url(path), "retry": retry},
            {"id": "after", "type": "transform", "after": ["call"], "output": "done"},
        ]})
    };
    let flaky = workflow(&tenant, &calling("/flaky/2")).await;
    let run = start(&tenant.owner, &flaky, Value::Null).await;
    let waiting =
        until(&tenant.owner, &run, |run| run["status"] != "queued" && run["last_error"].is_string()).await;
    assert!(waiting["last_error"].as_str().unwrap().contains("503"), "{waiting}");
    let run = over(&tenant.owner, &run).await;
    assert_eq!((&run["status"], &step(&run, "call")["attempts"]), (&json!("succeeded"), &json!(3)), "{run}");
    assert_eq!(service.by_key("/flaky").into_values().collect::<Vec<_>>(), [3]);

    let broken = workflow(&tenant, &calling("/broken")).await;
    let run = start(&tenant.owner, &broken, Value::Null).await;
    let run = over(&tenant.owner, &run).await;
    assert_eq!((&run["status"], &step(&run, "after")["status"]), (&json!("failed"), &json!("cancelled")));
    assert_eq!(service.seen("/broken").len(), 3);
    let problems = tenant.owner.get("/v1/problems").await.unwrap();
    let problem = &problems["data"][0];
    assert_eq!((&problem["run"], &problem["steps"][0]["node"]), (&run["id"], &json!("call")));
    assert!(problem["last_error"].as_str().unwrap().contains("status 500"), "{problem}");
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let definition = json!({"name": "Effects", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "ask", "type": "ai", "after": ["start"], "model": "offline", "prompt": "hello"},
        {"id": "remember", "type": "record", "after": ["ask"], "operation": "create", "collection": "contacts",
         "fields": {"name": "Ada"}},
        {"id": "call", "type": "http", "method": "POST", "after": ["remember"], "url": service.url("/ok"), "body": {"a": 1}},
    ]});
    let workflow = workflow(&tenant, &definition).await;
    let path = format!("/v1/workflows/{workflow}/runs");
    let run = tenant.owner.post(&path, &json!({"input": null, "mode": "dry_run"})).await.unwrap();
    let run = over(&tenant.owner, run["id"].as_str().unwrap()).await;
    assert_eq!((&run["status"], &run["mode"]), (&json!("succeeded"), &json!("dry_run")), "{run}");
    // What would have been sent is there to be seen.
    assert_eq!(step(&run, "call")["input"]["body"], json!({"a": 1}));
    assert_eq!(step(&run, "call")["output"]["dry_run"], true);
    assert!(service.seen("/").is_empty());
    assert_eq!(tenant.owner.get("/v1/records/contacts").await.unwrap()["data"], json!([]));
    assert!(tenant.events("action=model.call").await.is_empty());
}

#[tokio::test]
async fn content_is_for_those_with_the_scope() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let definition = json!({"name": "Shape", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "shape", "type": "transform", "after": ["start"], "output": "{{ input.canary }}"},
    ]});
    let workflow = workflow(&tenant, &definition).await;
    let run = start(&tenant.owner, &workflow, json!({"canary": "yellow bird"})).await;
    let seen = over(&tenant.owner, &run).await;
    assert_eq!(step(&seen, "shape")["output"], "yellow bird");
    let key = json!({"name": "looks", "role": "developer", "scopes": ["runs:read"]});
    let key = tenant.owner.post("/v1/api-keys", &key).await.unwrap();
    let looks = server.operator.with_key(secret::SecretText::new(key["key"].as_str().unwrap().to_owned()));
    let seen = looks.get(&format!("/v1/runs/{run}")).await.unwrap();
    assert_eq!((&seen["status"], &step(&seen, "shape")["output"]), (&json!("succeeded"), &Value::Null));
    assert!(!seen.to_string().contains("yellow bird"), "{seen}");
    let events = looks.call(http::Method::GET, &format!("/v1/runs/{run}/events")).send().await.unwrap();
    assert!(events.text().contains("event: finished") && !events.text().contains("yellow bird"));
    // From the last event that was seen there is nothing more to tell.
    let last =
        events.text().lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned();
    let call =
        looks.call(http::Method::GET, &format!("/v1/runs/{run}/events")).header("last-event-id", &last);
    assert_eq!(call.send().await.unwrap().text(), "");
}

#[tokio::test]
async fn a_credential_goes_along_to_its_host_alone() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let other = server.tenant("Other").await;
    let credential = json!({"kind": "api_key", "key": "canary-key", "hosts": [service.host]});
    tenant.owner.put("/v1/credentials/crm", &credential).await.unwrap();
    let calling = |credential: &str| {
        json!({"name": "Calls", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "call", "type": "http", "method": "GET", "after": ["start"], "url": service.url("/ok"),
             "credential": credential},
        ]})
    };
    let known = workflow(&tenant, &calling("crm")).await;
    let run = start(&tenant.owner, &known, Value::Null).await;
    let run = over(&tenant.owner, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert!(!run.to_string().contains("canary-key"), "{run}");
    assert_eq!(service.seen("/ok")[0].authorization.as_deref(), Some("Bearer canary-key"));

    let elsewhere = json!({"kind": "api_key", "key": "canary-key", "hosts": ["api.example.com"]});
    tenant.owner.put("/v1/credentials/elsewhere", &elsewhere).await.unwrap();
    for (whose, name) in [(&tenant, "elsewhere"), (&tenant, "missing"), (&other, "crm")] {
        let flow = workflow(whose, &calling(name)).await;
        let run = start(&whose.owner, &flow, Value::Null).await;
        assert_eq!(over(&whose.owner, &run).await["status"], "failed", "{name}");
    }
    assert_eq!(service.seen("/ok").len(), 1);
}

#[tokio::test]
async fn runs_are_forgotten_when_their_time_is_over() {
    let (mut server, _) = stage().await;
    let tenant = server.tenant_on("forgets", &json!({"retention_days": 0}), "Acme").await;
    let keeps = server.tenant_on("keeps", &json!({"retention_days": 1}), "Keeps").await;
    let definition = json!({"name": "Quick", "nodes": [{"id": "start", "type": "source", "kind": "manual"}]});
    let mut runs = Vec::new();
    for tenant in [&tenant, &keeps] {
        let flow = workflow(tenant, &definition).await;
        let run = start(&tenant.owner, &flow, Value::Null).await;
        over(&tenant.owner, &run).await;
        runs.push(format!("/v1/runs/{run}"));
    }
    // The first look of a server is taken ten seconds after its start.
    server.crash_and_restart();
    let (owner, other) = (tenant.owner_at(&server), keeps.owner_at(&server));
    let mut left = true;
    for _ in 0..600 {
        left = owner.call(http::Method::GET, &runs[0]).send().await.unwrap().status != 404;
        if !left {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!left);
    assert_eq!(other.get(&runs[1]).await.unwrap()["status"], "succeeded");
    // One event, which says how many; and none of a tenant of which nothing was forgotten.
    let forgotten = crate::harness::events(&owner, "/v1/audit/events", "action=run.forget").await;
    assert_eq!((forgotten.len(), &forgotten[0]["details"]["count"]), (1, &json!(1)), "{forgotten:?}");
    assert!(crate::harness::events(&other, "/v1/audit/events", "action=run.forget").await.is_empty());
}

#[tokio::test]
async fn a_token_that_the_service_took_back_is_renewed_once() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let oauth = json!({"kind": "oauth2", "grant": "client_credentials", "token_url": service.url("/token"),
        "client_id": "c", "client_secret": "s", "hosts": [service.host]});
    tenant.owner.put("/v1/credentials/crm", &oauth).await.unwrap();
    let fixed = json!({"kind": "api_key", "key": "wrong", "hosts": [service.host]});
    tenant.owner.put("/v1/credentials/fixed", &fixed).await.unwrap();
    let calling = |credential: &str, path: &str| {
        json!({"name": "Calls", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "call", "type": "http", "method": "GET", "after": ["start"], "url": service.url(path),
             "credential": credential},
        ]})
    };
    let flow = workflow(&tenant, &calling("crm", "/guarded/oauth")).await;
    let run = start(&tenant.owner, &flow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded");
    service.revoke();
    // A token that was renewed a moment ago is not renewed again, so the first runs may fail.
    let mut renewed = Value::Null;
    for _ in 0..100 {
        let run = start(&tenant.owner, &flow, Value::Null).await;
        renewed = over(&tenant.owner, &run).await;
        if renewed["status"] == "succeeded" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(renewed["status"], "succeeded", "{renewed}");
    assert_eq!(service.seen("/token").len(), 2);
    // Both calls of the attempt went out with one key, and each was a call of its own.
    let seen = service.seen("/guarded/oauth");
    let [refused, accepted] = &seen[seen.len() - 2..] else { panic!("{seen:?}") };
    assert_eq!(refused.key, accepted.key);
    assert_ne!(refused.authorization, accepted.authorization);
    let run = renewed["id"].as_str().unwrap();
    let events = tenant.events("action=http.call").await;
    let of_run: Vec<_> = events.iter().filter(|event| event["details"]["run"] == run).collect();
    assert_eq!(of_run.len(), 4, "{of_run:?}");
    let again = of_run.iter().filter(|event| event["details"]["credential_renewed"] == true);
    assert_eq!(again.count(), 2);
    // A call of the token endpoint is a call of an outside service, too.
    let usage = tenant.owner.get("/v1/usage").await.unwrap();
    assert_eq!(usage["data"][0]["api_calls"].as_u64(), Some(seen.len() as u64 + 2), "{usage}");

    // What cannot be renewed is not tried again.
    let flow = workflow(&tenant, &calling("fixed", "/guarded/fixed")).await;
    let run = start(&tenant.owner, &flow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "failed");
    assert_eq!(service.seen("/guarded/fixed").len(), 1);
}

#[tokio::test]
async fn what_runs_make_counts_against_the_storage_and_the_audit_log_goes_on() {
    let (server, _) = stage().await;
    let limit = 2 * 1024 * 1024;
    let tenant = server.tenant_on("narrow", &json!({"storage_bytes": limit}), "Narrow").await;
    let large = "{{ 'x' * 400000 }}";
    let flow = workflow(
        &tenant,
        &json!({"name": "Makes", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "make", "type": "transform", "after": ["start"], "output": large},
        ]}),
    )
    .await;
    let mut last = Value::Null;
    for _ in 0..20 {
        let path = format!("/v1/workflows/{flow}/runs");
        let started = crate::harness::send_json(&tenant.owner, http::Method::POST, &path, &json!({})).await;
        if started.status.as_u16() != 202 {
            crate::harness::assert_refused(&started, 429, "quota_exceeded");
            break;
        }
        last = over(&tenant.owner, started.json()["id"].as_str().unwrap()).await;
        if last["status"] == "failed" {
            break;
        }
    }
    assert_eq!(last["status"], "failed", "{last}");
    assert!(step(&last, "make")["error"].as_str().unwrap().contains("storage has no room"), "{last}");
    let problems = tenant.owner.get("/v1/problems").await.unwrap();
    assert!(problems["data"][0]["last_error"].as_str().unwrap().contains("storage"), "{problems}");
    let finished = tenant.events("action=run.finish").await;
    assert_eq!(finished[0]["result"], "failure");
}

#[tokio::test]
async fn a_step_that_is_cancelled_leaves_its_intent_and_the_order_in_the_log() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let flow = workflow(
        &tenant,
        &json!({"name": "Calls", "nodes": [
            {"id": "start", "type": "source", "kind": "manual"},
            {"id": "call", "type": "http", "method": "POST", "after": ["start"], "url": service.url("/slow/20000")},
        ]}),
    )
    .await;
    let run = start(&tenant.owner, &flow, Value::Null).await;
    super::eventually(|| !service.seen("/slow").is_empty()).await;
    tenant.owner.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.unwrap();
    let seen = over(&tenant.owner, &run).await;
    assert_eq!((&seen["status"], &step(&seen, "call")["status"]), (&json!("cancelled"), &json!("cancelled")));
    let calls = tenant.events("action=http.call").await;
    assert_eq!(calls.last().unwrap()["result"], "intent", "{calls:?}");
    let cancelled = tenant.events("action=run.cancel").await;
    assert_eq!(
        (&cancelled[0]["resource"]["id"], &cancelled[0]["actor"]["id"]),
        (&json!(run), &json!(tenant.key_id))
    );
    assert_eq!(tenant.events("action=run.finish").await[0]["details"]["status"], "cancelled");
}
