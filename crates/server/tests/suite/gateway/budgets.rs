//! Money and windows.

use super::{World, ask, ask_stream};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a call of [`ask`] reserves at the most, by the stand-in's prices.
async fn worst_case(world: &World) -> String {
    world.events().await[0]["details"]["reserved_usd"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_budget_stops_calls_and_says_what_is_reserved_and_spent() {
    let world = World::new().await;
    assert_eq!(world.set_budget("0.0001").await.status, 200);
    let refused = world.chat(ask("gpt-test")).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-should-retry")), (429, Some("false")));
    let body = refused.json();
    assert_eq!(
        (&body["code"], &body["error"]["code"]),
        (&json!("budget_exceeded"), &json!("budget_exceeded"))
    );
    let told =
        ["limit", "reserved", "spent", "scope", "per"].map(|name| body[name].as_str().unwrap().to_owned());
    assert_eq!(told, ["0.0001", "0.00", "0.00", "tenant", "month"]);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31 * 24 * 3600 + 1).contains(&wait), "until the month ends: {wait}");
    assert!(world.provider.requests().is_empty());

    let unpriced = world.chat(ask("unpriced")).await;
    assert_eq!((unpriced.status.as_u16(), &unpriced.json()["code"]), (403, &json!("unpriced_model")));
    let gone = world.client.delete(&format!("/v1/budgets/tenant/{}", world.tenant.id)).await;
    gone.unwrap();
    assert_eq!(world.chat(ask("unpriced")).await.status, 200);
    assert_eq!(world.usage("unpriced").await["unpriced_calls"], 1);
    // What was spent before the budget was set counts in its period.
    assert_eq!(world.chat(ask("gpt-test")).await.status, 200);
    assert_eq!(world.set_budget("5").await.json()["spent"], "0.000081");
}

#[tokio::test]
async fn budgets_are_for_what_the_tenant_has() {
    let world = World::new().await;
    let other = world.server.tenant("globex").await;
    let body = json!({ "per": "day", "usd": "1" });
    for path in [
        format!("tenant/{}", other.id),
        format!("key/{}", other.key_id),
        "agent/agt_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        "world/1".to_owned(),
    ] {
        let put = world.client.call(Method::PUT, &format!("/v1/budgets/{path}")).json(&body).unwrap();
        assert_eq!(put.send().await.unwrap().status, 404, "{path}");
    }
    world.client.put(&format!("/v1/budgets/key/{}", world.tenant.key_id), &body).await.unwrap();
    assert_eq!(world.chat(ask("gpt-test")).await.status, 200);
    let budget = world.budget().await;
    assert_eq!((&budget["scope"], &budget["spent"]), (&json!("key"), &json!("0.000081")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_once_spend_no_more_than_the_budget() {
    let world = Arc::new(World::new().await);
    assert_eq!(world.chat(ask("gpt-test")).await.status, 200);
    let reserved = worst_case(&world).await;
    assert_eq!(world.set_budget("0.01").await.status, 200);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let world = world.clone();
            tokio::spawn(async move {
                let body = if number % 2 == 0 { ask("gpt-test") } else { ask_stream("gpt-test") };
                let answer = world.chat(body).await;
                (answer.status.as_u16(), answer.json()["code"].clone())
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        match task.await.unwrap() {
            (200, _) => answered += 1,
            (429, code) => assert_eq!(code, "budget_exceeded"),
            other => panic!("{other:?}"),
        }
    }
    let budget = world.budget().await;
    let amount = |value: &Value| value.as_str().unwrap().parse::<money::Usd>().unwrap();
    assert_eq!(amount(&budget["reserved"]), money::Usd::ZERO);
    assert!(amount(&budget["spent"]) <= amount(&budget["usd"]), "{budget}");
    assert!(answered > 1 && amount(&json!(reserved)) > amount(&json!("0.001")), "{answered} {reserved}");
    assert_eq!(world.usage("gpt-test").await["ai_calls"], answered + 1, "refused calls are no calls");
}

#[tokio::test]
async fn what_has_no_bound_is_refused_under_a_budget() {
    let world = World::new().await;
    let file = json!({ "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBERi0=" } });
    let body = json!({ "model": "gpt-test", "messages": [{ "role": "user", "content": [file] }] });
    assert_eq!(world.chat(body.clone()).await.status, 200);
    world.set_budget("5").await;
    let refused = world.chat(body).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (400, &json!("field_not_allowed")));
    assert_eq!(world.provider.requests().len(), 1);
}

#[tokio::test]
async fn what_a_provider_bills_beyond_the_reservation_is_recorded_and_counts() {
    let world = World::new().await;
    world.set_budget("1").await;
    assert_eq!(world.chat(ask("overbills")).await.status, 200);
    assert_eq!(world.budget().await["spent"], "90.00001");
    let outcome = world.events().await.pop().unwrap();
    assert!(outcome["details"]["overrun_usd"].as_str().unwrap().starts_with("89.99"), "{outcome}");
    assert_eq!(world.chat(ask("gpt-test")).await.json()["code"], "budget_exceeded");
}

#[tokio::test]
async fn windows_refuse_with_a_time_survive_a_restart_and_follow_the_plan() {
    let mut world = World::with("", json!({ "ai_calls_per_hour": 2 })).await;
    for _ in 0..2 {
        assert_eq!(world.chat(ask("gpt-test")).await.status, 200);
    }
    world.server.crash_and_restart();
    world.client = world.tenant.owner_at(&world.server);
    let refused = world.chat(ask("gpt-test")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (429, &json!("rate_limited")));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3610).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit").map(|text| text.starts_with(r#""ai";r=0;"#)), Some(true));
    assert_eq!(refused.header("x-should-retry"), None);
    let limits = world.client.get("/v1/limits").await.unwrap();
    assert_eq!(
        (&limits["windows"][0]["name"], &limits["windows"][0]["remaining"]),
        (&json!("ai"), &json!(0))
    );

    let change = json!({ "limits": { "ai_calls_per_hour": 3 } });
    let patch = world.server.operator.call(Method::PATCH, &format!("/v1/tenants/{}", world.tenant.id));
    patch.json(&change).unwrap().send().await.unwrap().accepted().unwrap();
    assert_eq!(world.chat(ask("gpt-test")).await.status, 200, "the next call has the new limit");
}

#[tokio::test]
async fn requests_have_a_rate_and_calls_at_once_a_number() {
    let world =
        World::with("[limits]\nparallel_model_calls = 1\n", json!({ "requests_per_second": 5 })).await;
    let mut refused = 0;
    for _ in 0..12 {
        let answer = world.client.call(Method::GET, "/v1/me").send().await.unwrap();
        if answer.status == 429 {
            assert_eq!(
                (&answer.json()["code"], answer.header("retry-after")),
                (&json!("rate_limited"), Some("1"))
            );
            refused += 1;
        }
    }
    assert!(refused > 0);

    let world = World::with("[limits]\nparallel_model_calls = 1\n", json!({})).await;
    let client = world.client.clone();
    let held = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask_stream("slow")).unwrap();
        call.listen(std::time::Duration::from_secs(5)).await.unwrap();
    });
    let asked = async || (!world.provider.requests().is_empty()).then_some(());
    super::eventually("the one place is taken", asked).await;
    let limited = world.chat(ask("gpt-test")).await;
    assert_eq!(
        (&limited.json()["code"], limited.header("retry-after")),
        (&json!("concurrency_limited"), Some("1"))
    );
    held.abort();
    super::eventually("the place is free again", async || {
        (world.chat(ask("gpt-test")).await.status == 200).then_some(())
    })
    .await;
}
