//! Model calls with an `Idempotency-Key`.

use super::{World, ask, ask_stream, eventually};
use client::Answer;
use serde_json::{Value, json};

impl World {
    async fn keyed(&self, key: &str, body: Value) -> Answer {
        self.call(&self.client, body, &[("idempotency-key", key)]).await
    }
}

#[tokio::test]
async fn a_repeated_call_has_the_first_ones_answer_and_costs_nothing() {
    let mut world = World::new().await;
    let first = world.keyed("one", ask("gpt-test")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, None));
    world.server.crash_and_restart();
    world.client = world.tenant.owner_at(&world.server);
    let again = world.keyed("one", ask("gpt-test")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.json(), first.json());
    let usage = world.usage("gpt-test").await;
    assert_eq!((&usage["ai_calls"], world.provider.requests().len()), (&json!(1), 1));

    let other = world.keyed("one", ask("other")).await;
    assert_eq!((other.status.as_u16(), &other.json()["code"]), (409, &json!("idempotency_conflict")));
    let stream = world.keyed("two", ask_stream("gpt-test")).await;
    assert_eq!((stream.status.as_u16(), &stream.json()["code"]), (400, &json!("invalid_request")));
    assert_eq!(world.keyed("three", ask("gpt-test")).await.status, 200, "another key is another call");
    assert_eq!(world.provider.requests().len(), 2);
}

#[tokio::test]
async fn a_call_that_failed_gives_its_key_back() {
    let world = World::new().await;
    assert_eq!(world.keyed("one", ask("breaks")).await.status, 502);
    assert_eq!(world.keyed("one", ask("gpt-test")).await.status, 200);
    world.set_budget("0.0001").await;
    assert_eq!(world.keyed("two", ask("gpt-test")).await.status, 429);
    world.set_budget("1").await;
    assert_eq!(world.keyed("two", ask("gpt-test")).await.status, 200);
}

#[tokio::test]
async fn a_call_with_a_key_outlives_its_caller_and_is_made_once() {
    let world = World::new().await;
    let client = world.client.clone();
    let leaving = tokio::spawn(async move {
        let call = client.call(http::Method::POST, "/v1/chat/completions").json(&ask("takes-its-time"));
        call.unwrap().header("idempotency-key", "one").send().await
    });
    eventually("the provider is asked", async || (!world.provider.requests().is_empty()).then_some(())).await;
    let meanwhile = world.keyed("one", ask("takes-its-time")).await;
    assert_eq!(meanwhile.json()["code"], "idempotency_conflict", "its answer is not known yet");
    leaving.abort();
    let answer = eventually("the answer is there", async || {
        let answer = world.keyed("one", ask("takes-its-time")).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(world.provider.requests().len(), 1);
}
