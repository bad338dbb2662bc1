//! Answers whole and in pieces, limits, tools and schemas.

use admission_fixture::{Fixture, somebody};
use context::{Private, door};
use futures::StreamExt;
use metering::tokens::Tokens;
use model::dialect::openai::{ChatRequest, Upstream};
use model::{ChatAnswer, ModelEndpoint, Target};
use model_offline::{MODEL, OfflineModel};
use serde_json::{Value, json};

/// What came of a request: the whole answer, or all pieces, with the usage.
async fn ask(more: Value) -> (Vec<Value>, Option<Tokens>, u64) {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "How are you?" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let request = ChatRequest::from_value(body).unwrap();
    let bound = request.prompt_size().upper_bound().unwrap();
    let target = Target::at("offline".parse().unwrap(), "http://offline.invalid".parse().unwrap());
    let upstream = Upstream {
        model: MODEL.into(),
        max_output_tokens: 1000,
        key_owner: target.key_owner,
        caller_name: None,
        quirks: target.quirks(),
    };
    let call = request.into_call(&upstream).unwrap();
    let env = Fixture::new(8).env();
    let model = OfflineModel::new(env.clone());
    let admission = somebody(None).await;
    let (bodies, usage, bytes) = admission
        .enter(async move |tenant| {
            let (mut bodies, mut usage, mut bytes) = (Vec::new(), None, 0);
            match model.chat(&tenant, &target, Private::sent(&tenant, call)).await.unwrap() {
                ChatAnswer::Whole(whole) => {
                    let whole = door::answer(&tenant, whole).unwrap();
                    (usage, bytes) = (whole.usage, whole.text_bytes);
                    bodies.push(whole.body);
                }
                ChatAnswer::Stream(mut pieces) => {
                    while let Some(piece) = pieces.next().await {
                        let piece = door::answer(&tenant, piece.unwrap()).unwrap();
                        usage = piece.usage.or(usage);
                        bytes += piece.emitted_bytes;
                        bodies.push(piece.body);
                    }
                }
            }
            (bodies, usage, bytes)
        })
        .await;
    assert!(usage.is_none_or(|usage| usage.input() <= bound), "the bound on prompts holds");
    (bodies, usage, bytes)
}

async fn message(more: Value) -> (Value, Value) {
    let (mut bodies, ..) = ask(more).await;
    let choice = bodies.remove(0)["choices"][0].take();
    (choice["message"].clone(), choice["finish_reason"].clone())
}

#[tokio::test]
async fn it_says_what_it_is_the_same_every_time() {
    let (bodies, usage, bytes) = ask(json!({})).await;
    let body = &bodies[0];
    assert_eq!((&body["model"], &body["object"]), (&json!("offline"), &json!("chat.completion")));
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("`offline`") && text.contains("“How are you?”"), "{text}");
    assert_eq!(bytes, text.len() as u64);
    assert_eq!(usage, Some(Tokens::plain(7, body["usage"]["completion_tokens"].as_u64().unwrap())));
    assert_eq!(ask(json!({})).await.0, bodies);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_says() {
    let (whole, usage, bytes) = ask(json!({ "n": 2 })).await;
    let (pieces, streamed, emitted) = ask(json!({ "n": 2, "stream": true })).await;
    for choice in whole[0]["choices"].as_array().unwrap() {
        let of_choice = |piece: &&Value| piece["choices"][0]["index"] == choice["index"];
        let deltas = pieces.iter().filter(of_choice).map(|piece| &piece["choices"][0]["delta"]["content"]);
        assert_eq!(json!(deltas.filter_map(Value::as_str).collect::<String>()), choice["message"]["content"]);
    }
    assert!(pieces.len() > 10 && pieces[0]["choices"][0]["delta"]["role"] == json!("assistant"));
    assert_eq!((streamed, emitted), (usage, bytes));
}

#[tokio::test]
async fn limits_and_stops_are_kept() {
    let (said, finish) = message(json!({ "max_tokens": 3 })).await;
    assert_eq!((said["content"].as_str(), finish), (Some("I am `"), json!("length")));
    let (said, finish) = message(json!({ "stop": ["network", " the"] })).await;
    assert_eq!((said["content"].as_str(), finish), (Some("I am `offline`,"), json!("stop")));
    let usage = ask(json!({ "max_tokens": 3, "n": 4 })).await.1.unwrap();
    assert_eq!(usage.output(), 12);
}

#[tokio::test]
async fn a_schema_is_filled_and_a_lead_classified() {
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["rating", "email"],
        "properties": { "rating": { "enum": ["hot", "warm", "cold"] }, "email": { "type": "string", "format": "email" } } });
    let (said, finish) = message(json!({
        "messages": [
            { "role": "system", "content": "Rate the lead as hot, warm or cold." },
            { "role": "user", "content": [{ "type": "text", "text": "We are evaluating tools. ann@acme.example" }] },
        ],
        "response_format": { "type": "json_schema", "json_schema": { "name": "lead", "schema": schema, "strict": true } },
    }))
    .await;
    let content: Value = serde_json::from_str(said["content"].as_str().unwrap()).unwrap();
    assert_eq!(content, json!({ "rating": "warm", "email": "ann@acme.example" }));
    assert_eq!(finish, json!("stop"));
    let (said, _) = message(json!({ "response_format": { "type": "json_object" } })).await;
    let content: Value = serde_json::from_str(said["content"].as_str().unwrap()).unwrap();
    assert_eq!(content["model"], json!("offline"));
}

#[tokio::test]
async fn a_tool_is_called_once_and_its_result_told() {
    let tools = json!([{ "type": "function", "function": { "name": "get_weather", "parameters": {
        "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } } } }]);
    let user = json!({ "role": "user", "content": "How is the weather? City: Oslo" });
    let (said, finish) = message(json!({ "messages": [user], "tools": tools })).await;
    let call = &said["tool_calls"][0];
    assert_eq!((&call["function"]["name"], &finish), (&json!("get_weather"), &json!("tool_calls")));
    assert_eq!(
        (&call["function"]["arguments"], &said["content"]),
        (&json!("{\"city\":\"Oslo\"}"), &Value::Null)
    );

    let (pieces, ..) = ask(json!({ "messages": [user], "tools": tools, "stream": true })).await;
    let deltas =
        pieces.iter().map(|piece| &piece["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]);
    assert_eq!(deltas.filter_map(Value::as_str).collect::<String>(), "{\"city\":\"Oslo\"}");

    let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "7 degrees" });
    let (said, finish) = message(json!({ "messages": [user, said, result], "tools": tools })).await;
    assert!(said["content"].as_str().unwrap().contains("“7 degrees”"), "{said}");
    assert_eq!(finish, json!("stop"));
}
