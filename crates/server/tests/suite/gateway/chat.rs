//! One call at a time.

use super::{World, ask, ask_stream, eventually};
use crate::provider::USAGE;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_call_is_sent_with_the_operators_key_answered_metered_and_audited() {
    let world = World::with("", json!({ "ai_calls_per_hour": 100 })).await;
    let mut body = ask("gpt-test");
    body["store"] = json!(true);
    body["user"] = json!("somebody@acme.example");
    let answer = world.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello from the provider.");
    assert_eq!(answer.header("ratelimit"), Some(r#""ai";r=99;t=3600"#));
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""ai";q=100;w=3600"#));

    let sent = &world.provider.requests()[0];
    assert_eq!(sent["authorization"], "Bearer sk-of-the-operator");
    assert_eq!(sent["max_tokens"], 100, "the endpoint's limit is sent");
    assert!(sent.get("store").is_none_or(|store| store == false));
    assert!(!sent.to_string().contains("somebody@acme.example"), "{sent}");

    let usage = world.usage("gpt-test").await;
    assert_eq!([usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()], USAGE.map(Some));
    assert_eq!(usage["cost_usd"], "0.000081", "11 at 1 and 7 at 10 dollars a million");
    let events = world.events().await;
    assert_eq!(
        (events.len(), &events[0]["result"], &events[1]["result"]),
        (2, &json!("intent"), &json!("success"))
    );
    assert_eq!(events[1]["intent"], events[0]["event_id"], "{events:?}");
    assert_eq!(events[1]["cost"]["usd"], "0.000081");
    assert!(!format!("{events:?}").contains("Say hello"), "no content in the log");
}

#[tokio::test]
async fn each_principal_has_a_name_of_its_own_at_the_provider() {
    let world = World::new().await;
    let second =
        world.client.post("/v1/api-keys", &json!({ "name": "second", "role": "owner" })).await.unwrap();
    let second = world.client.with_key(secret::SecretText::new(second["key"].as_str().unwrap().to_owned()));
    let stranger = world.server.tenant("globex").await;
    let mut body = ask("gpt-test");
    body["user"] = json!("somebody@acme.example");
    for client in [&world.client, &world.client, &second, &stranger.owner] {
        assert_eq!(world.call(client, body.clone(), &[]).await.status, 200);
    }
    let sent = world.provider.requests();
    let [first, again, other, far] = [0, 1, 2, 3].map(|at| sent[at]["user"].as_str().unwrap());
    assert_eq!(first, again);
    assert!(first != other && first != far && other != far, "{first} {other} {far}");
}

#[tokio::test]
async fn a_stream_reads_as_openais_and_its_usage_is_for_those_who_ask() {
    let world = World::new().await;
    let answer = world.chat(ask_stream("gpt-test")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let text = answer.text().into_owned();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains("word0") && !text.contains("prompt_tokens"), "{text}");
    assert_eq!(world.provider.requests()[0]["stream_options"]["include_usage"], true);
    assert_eq!(world.usage("gpt-test").await["output_tokens"], USAGE[1]);

    let mut asked = ask_stream("gpt-test");
    asked["stream_options"] = json!({ "include_usage": true });
    assert!(world.chat(asked).await.text().contains("prompt_tokens"));
}

#[tokio::test]
async fn usage_that_the_provider_does_not_tell_is_counted_and_marked() {
    let world = World::new().await;
    for body in [ask("silent"), ask_stream("silent")] {
        assert_eq!(world.chat(body).await.status, 200);
    }
    let events = world.events().await;
    let outcomes: Vec<_> = events.iter().filter(|event| event["result"] == "success").collect();
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert_eq!(outcome["details"]["estimated"], true);
        assert!(outcome["details"]["input_tokens"].as_u64().unwrap() > 5);
        assert!((4..=20).contains(&outcome["details"]["output_tokens"].as_u64().unwrap()), "{outcome}");
    }
}

#[tokio::test]
async fn a_reader_who_goes_away_cancels_the_call_and_pays_for_what_came() {
    let world = World::new().await;
    world.set_budget("1.00").await;
    let call = world.client.call(Method::POST, "/v1/chat/completions").json(&ask_stream("slow")).unwrap();
    let read = call.listen(Duration::from_millis(400)).await.unwrap();
    assert!(read.text().contains("word2"), "{}", read.text());
    let usage = eventually("the call is settled", async || {
        let usage = world.usage("slow").await;
        usage["output_tokens"].as_u64().filter(|output| *output > 0).map(|_| usage)
    })
    .await;
    assert!(usage["input_tokens"].as_u64().unwrap() > 5);
    assert!((6..100).contains(&usage["output_tokens"].as_u64().unwrap()), "{usage}");
    eventually("the provider notices", async || (world.provider.cancelled() == 1).then_some(())).await;
    let outcome = world.events().await.pop().unwrap();
    assert_eq!((&outcome["result"], &outcome["reason_code"]), (&json!("failure"), &json!("cancelled")));
    let budget = world.budget().await;
    assert_eq!((&budget["reserved"], &budget["spent"]), (&json!("0.00"), &usage["cost_usd"]));
}

#[tokio::test]
async fn failures_are_told_in_the_dialect_and_cost_nothing_where_nothing_was_done() {
    let world = World::new().await;
    let refused = world.chat(ask("refuses")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["code"], "invalid_request");
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("that is too long"));
    assert_eq!(refused.header("x-should-retry"), Some("false"));

    let broken = world.chat(ask("breaks")).await;
    assert_eq!((broken.status.as_u16(), &broken.json()["error"]["type"]), (502, &json!("server_error")));
    assert!(!broken.text().contains("sk-of") && broken.header("x-should-retry").is_none());

    let unknown = world.chat(ask("nothing")).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(unknown.json()["error"]["param"], "model");

    for model in ["refuses", "breaks"] {
        let usage = world.usage(model).await;
        assert_eq!((&usage["cost_usd"], &usage["input_tokens"]), (&json!("0.00"), &json!(0)));
    }
    // Behind a gateway's timeout the provider may have worked.
    assert_eq!(world.chat(ask("times-out")).await.status, 504);
    assert_ne!(world.usage("times-out").await["cost_usd"], "0.00");
}

#[tokio::test]
async fn fields_that_reach_past_the_tenant_are_refused() {
    let world = World::with("[egress]\nallow = [\"pictures.test:443\"]\n", json!({})).await;
    let image = |url: &str| {
        json!({ "model": "gpt-test", "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": url } }] }] })
    };
    for (body, code) in [
        (image("http://169.254.169.254/latest/meta-data/"), "egress_denied"),
        (image("http://localhost/x.png"), "egress_denied"),
        // The provider's own address is a private one, so it may see what the internet does not.
        (image("https://1.1.1.1/x.png"), "egress_denied"),
        (image("https://example.com/x.png"), "egress_denied"),
        (
            json!({ "model": "gpt-test", "messages": [], "previous_response_id": "resp_1" }),
            "field_not_allowed",
        ),
    ] {
        let answer = world.chat(body).await;
        assert_eq!(answer.json()["error"]["code"], code, "{}", answer.text());
    }
    assert!(world.provider.requests().is_empty());
    for fine in ["https://pictures.test/x.png", "data:image/png;base64,iVBORw0KGgo="] {
        assert_eq!(world.chat(image(fine)).await.status, 200, "{fine}");
    }
}

#[tokio::test]
async fn kept_answers_are_for_the_same_tenant_and_rights_and_cost_nothing() {
    let world = World::with("", json!({ "ai_calls_per_hour": 2 })).await;
    let on = [("x-tenantry-cache", "on")];
    let first = world.call(&world.client, ask("gpt-test"), &on).await;
    let again = world.call(&world.client, ask("gpt-test"), &on).await;
    assert_eq!(
        (first.header("x-tenantry-cache"), again.header("x-tenantry-cache")),
        (Some("miss"), Some("hit"))
    );
    assert_eq!(first.json(), again.json());
    assert_eq!(world.provider.requests().len(), 1);
    assert_eq!(again.header("ratelimit").map(|text| text.starts_with(r#""ai";r=1;"#)), Some(true));
    let usage = world.usage("gpt-test").await;
    assert_eq!(
        (&usage["ai_calls"], &usage["cached_calls"], &usage["cost_usd"]),
        (&json!(2), &json!(1), &json!("0.000081"))
    );

    let other = world.server.tenant("globex").await;
    let theirs = world.call(&other.owner, ask("gpt-test"), &on).await;
    assert_eq!(theirs.header("x-tenantry-cache"), Some("miss"), "another tenant's answer is no answer");
    let key = json!({ "name": "narrow", "role": "member", "scopes": ["ai:invoke"] });
    let key = world.client.post("/v1/api-keys", &key).await.unwrap()["key"].as_str().unwrap().to_owned();
    let narrow = world.client.with_key(secret::SecretText::new(key));
    let theirs = world.call(&narrow, ask("gpt-test"), &on).await;
    assert_eq!(theirs.header("x-tenantry-cache"), Some("miss"), "other rights, another answer");
    let plain = world.call(&other.owner, ask("gpt-test"), &[]).await;
    assert_eq!((plain.header("x-tenantry-cache"), world.provider.requests().len()), (None, 4));
}

#[tokio::test]
async fn models_are_listed_and_the_offline_one_answers_unless_in_production() {
    let world = World::new().await;
    let models = world.client.get("/v1/models").await.unwrap();
    let named = |models: &Value| -> Vec<String> {
        models["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(
        named(&models).contains(&"offline".to_owned()) && named(&models).contains(&"gpt-test".to_owned())
    );
    assert_eq!(world.client.get("/v1/models/gpt-test").await.unwrap()["owned_by"], "stand-in");
    let missing = world.client.call(Method::GET, "/v1/models/nothing").send().await.unwrap();
    assert_eq!((missing.status.as_u16(), &missing.json()["error"]["code"]), (404, &json!("model_not_found")));
    let answer = world.chat(ask("offline")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["model"]), (200, &json!("offline")));
    assert_ne!(world.usage("offline").await["cost_usd"], "0.00");
}
