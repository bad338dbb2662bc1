//! What passes the allow-list, what does not, and what becomes of it on which key.

use super::super::quirks::{OutputLimit, Quirks};
use super::{ChatCall, ChatRequest, RequestError, Upstream};
use crate::KeyOwner;
use errors::{Code, Problem};
use proptest::prelude::*;
use serde_json::{Value, json};

const OPENAI: Quirks =
    Quirks { output_limit: OutputLimit::MaxCompletionTokens, knows_store: true, knows_stream_options: true };

fn request(more: Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn saying(parts: Value) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": parts }] })
}

fn upstream(key_owner: KeyOwner) -> Upstream {
    Upstream { model: "up".into(), max_output_tokens: 1000, key_owner, caller_name: None, quirks: OPENAI }
}

fn call(body: Value, key_owner: KeyOwner) -> Result<ChatCall, RequestError> {
    ChatRequest::parse(body.to_string().as_bytes())?.into_call(&upstream(key_owner))
}

fn refusal(body: Value) -> (Code, Option<String>) {
    let problem = Problem::from(call(body, KeyOwner::Operator).unwrap_err());
    (problem.code, problem.members.get("param").and_then(Value::as_str).map(str::to_owned))
}

fn check_refused(body: Value, code: Code, param: &str) {
    assert_eq!(refusal(body.clone()), (code, Some(param.to_owned())), "{body}");
}

#[test]
fn a_full_request_passes_unchanged_but_for_what_is_ours() {
    let body = json!({
        "model": "m",
        "messages": [
            { "role": "developer", "content": "be brief" },
            { "role": "user", "content": [
                { "type": "text", "text": "what is this?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA", "detail": "low" } },
                { "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } },
                { "type": "file", "file": { "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf" } },
            ] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } },
            ] },
            { "role": "tool", "tool_call_id": "call_1", "content": "42" },
        ],
        "temperature": 0.7, "top_p": 1, "n": 2, "stop": ["a"], "presence_penalty": 0, "frequency_penalty": -1.5,
        "logit_bias": { "50256": -100 }, "logprobs": true, "top_logprobs": 3, "seed": -7,
        "tools": [{ "type": "function", "function": { "name": "f", "strict": true, "parameters": {
            "type": "object", "properties": { "z": { "$ref": "#/$defs/d" }, "a": { "type": "string" } },
        } } }],
        "tool_choice": { "type": "function", "function": { "name": "f" } }, "parallel_tool_calls": false,
        "response_format": { "type": "json_schema", "json_schema": { "name": "r", "schema": { "type": "object" } } },
        "reasoning_effort": "low", "verbosity": "low", "modalities": ["text"], "service_tier": "default",
    });
    let sent = call(body.clone(), KeyOwner::Operator).unwrap();
    let mut expected = body;
    let expected = expected.as_object_mut().unwrap();
    expected.insert("model".into(), "up".into());
    expected.insert("store".into(), false.into());
    expected.insert("max_completion_tokens".into(), 1000.into());
    assert_eq!(sent.body.as_object().unwrap(), expected);
    assert_eq!((sent.choices, sent.stream, sent.max_output_tokens), (2, false, 1000));
}

#[test]
fn the_order_of_a_schemas_members_is_kept() {
    let schema =
        r#"{"type":"object","properties":{"reasoning":{"type":"string"},"answer":{"type":"string"}}}"#;
    let text = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":""}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}}}"#
    );
    let call = ChatRequest::parse(text.as_bytes()).unwrap().into_call(&upstream(KeyOwner::Operator)).unwrap();
    assert!(call.body.to_string().contains(schema));
}

#[test]
fn unknown_members_are_refused_wherever_they_are() {
    for (body, param) in [
        (request(json!({ "previous_response_id": "resp_1" })), "previous_response_id"),
        (request(json!({ "conversation": "conv_1" })), "conversation"),
        (request(json!({ "container": {} })), "container"),
        (request(json!({ "cached_content": "c" })), "cached_content"),
        (request(json!({ "extra_body": { "file_id": "f" } })), "extra_body"),
        (request(json!({ "audio": { "voice": "alloy", "format": "wav" } })), "audio"),
        (request(json!({ "prompt": { "id": "pmpt_1" } })), "prompt"),
        (request(json!({ "guided_json": {} })), "guided_json"),
        (
            saying(json!([{ "type": "text", "text": "", "file_id": "file-1" }])),
            "messages[0].content[0].file_id",
        ),
        (
            request(
                json!({ "tools": [{ "type": "function", "function": { "name": "f", "vector_store_ids": [] } }] }),
            ),
            "tools[0].function.vector_store_ids",
        ),
        (
            json!({ "model": "m", "messages": [{ "role": "user", "content": "", "id": "msg_1" }] }),
            "messages[0].id",
        ),
        (request(json!({ "stream": true, "stream_options": { "x": 1 } })), "stream_options.x"),
    ] {
        check_refused(body, Code::FieldNotAllowed, param);
    }
}

#[test]
fn state_at_the_provider_needs_a_key_of_ones_own() {
    for (body, param) in [
        (
            saying(json!([{ "type": "file", "file": { "file_id": "file-1" } }])),
            "messages[0].content[0].file.file_id",
        ),
        (
            saying(json!([{ "type": "input_audio", "input_audio": { "id": "a" } }])),
            "messages[0].content[0].input_audio.id",
        ),
        (
            json!({ "model": "m", "messages": [{ "role": "assistant", "audio": { "id": "audio_1" } }] }),
            "messages[0].audio",
        ),
        (request(json!({ "model": "ft:gpt-4o:acme::1" })), "model"),
        (request(json!({ "web_search_options": {} })), "web_search_options"),
        (request(json!({ "prompt_cache_retention": "24h" })), "prompt_cache_retention"),
        (request(json!({ "service_tier": "priority" })), "service_tier"),
    ] {
        check_refused(body.clone(), Code::FieldNotAllowed, param);
        assert!(call(body, KeyOwner::Tenant).is_ok(), "{param}");
    }
}

#[test]
fn wrong_values_are_named() {
    for (more, param) in [
        (json!({ "messages": [] }), "messages"),
        (json!({ "messages": "hi" }), "messages"),
        (json!({ "messages": [{ "role": "robot", "content": "" }] }), "messages[0].role"),
        (json!({ "messages": [{ "role": "user" }] }), "messages[0].content"),
        (json!({ "messages": [{ "role": "user", "content": null }] }), "messages[0].content"),
        (json!({ "model": null }), "model"),
        (json!({ "temperature": 2.1 }), "temperature"),
        (json!({ "temperature": "hot" }), "temperature"),
        (json!({ "n": 0 }), "n"),
        (json!({ "n": 17 }), "n"),
        (json!({ "max_tokens": 0 }), "max_tokens"),
        (json!({ "max_tokens": 1, "max_completion_tokens": 1 }), "max_tokens"),
        (json!({ "stream_options": {} }), "stream_options"),
        (json!({ "modalities": ["text", "audio"] }), "modalities"),
        (json!({ "modalities": ["audio"] }), "modalities[0]"),
        (json!({ "stop": [1] }), "stop[0]"),
        (json!({ "tool_choice": "maybe" }), "tool_choice"),
        (json!({ "tools": [{ "type": "file_search" }] }), "tools[0].type"),
        (json!({ "tools": [{ "type": "mcp", "server_url": "https://x" }] }), "tools[0].type"),
        (json!({ "logit_bias": { "1": 101 } }), "logit_bias.1"),
        (json!({ "metadata": { "a": 1 } }), "metadata.a"),
    ] {
        check_refused(request(more), Code::InvalidRequest, param);
    }
}

#[test]
fn addresses_are_collected_and_other_schemes_refused() {
    let body = saying(json!([
        { "type": "image_url", "image_url": { "url": "https://a.example/x.png" } },
        { "type": "image_url", "image_url": { "url": "DATA:image/png;base64,AA" } },
        { "type": "video_url", "video_url": { "url": "HTTP://b.example/" } },
        { "type": "file", "file": { "file_data": "https://c.example/a.pdf" } },
        { "type": "input_audio", "input_audio": { "data": "https://d.example/a.wav" } },
    ]));
    let request = ChatRequest::parse(body.to_string().as_bytes()).unwrap();
    let expected = [
        "https://a.example/x.png",
        "HTTP://b.example/",
        "https://c.example/a.pdf",
        "https://d.example/a.wav",
    ];
    assert_eq!(request.fetched_urls(), expected);
    assert_eq!(request.prompt_size().media, 5);
    for url in
        ["file:///etc/passwd", "//a/b", " https://a", "https://a\\@b", "https://a b", "gopher://a", "x"]
    {
        let part = json!([{ "type": "image_url", "image_url": { "url": url } }]);
        check_refused(saying(part), Code::InvalidRequest, "messages[0].content[0].image_url.url");
    }
    let elsewhere = json!({ "type": "object", "properties": { "a": { "$ref": "http://169.254.169.254/" } } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": elsewhere } });
    let param = "response_format.json_schema.schema.$ref";
    check_refused(request_with_format(format), Code::FieldNotAllowed, param);
}

fn request_with_format(format: Value) -> Value {
    request(json!({ "response_format": format }))
}

#[test]
fn a_shared_key_shares_nothing() {
    let names = json!({ "user": "ann@acme.example", "safety_identifier": "s", "prompt_cache_key": "k",
        "store": true, "metadata": { "a": "b" } });
    let sent = call(request(names.clone()), KeyOwner::Operator).unwrap().body;
    assert_eq!(sent["store"], json!(false));
    for name in ["user", "safety_identifier", "prompt_cache_key", "metadata"] {
        assert_eq!(sent.get(name), None, "{name}");
    }
    let named = Upstream { caller_name: Some("t-7f3a".into()), ..upstream(KeyOwner::Operator) };
    let sent = ChatRequest::from_value(request(names.clone())).unwrap().into_call(&named).unwrap().body;
    assert_eq!((&sent["user"], &sent["prompt_cache_key"]), (&json!("t-7f3a"), &json!("t-7f3a")));
    let own = call(request(names), KeyOwner::Tenant).unwrap().body;
    assert_eq!((&own["store"], &own["user"]), (&json!(true), &json!("ann@acme.example")));
    let plain = Upstream { quirks: Quirks { knows_store: false, ..OPENAI }, ..upstream(KeyOwner::Operator) };
    let sent = ChatRequest::from_value(request(json!({ "store": true }))).unwrap().into_call(&plain).unwrap();
    assert_eq!(sent.body.get("store"), None);
}

#[test]
fn the_output_limit_is_the_lower_one_in_the_endpoints_words() {
    for (more, limit) in
        [(json!({}), 1000), (json!({ "max_tokens": 5 }), 5), (json!({ "max_completion_tokens": 5000 }), 1000)]
    {
        let sent = call(request(more.clone()), KeyOwner::Operator).unwrap();
        assert_eq!((&sent.body["max_completion_tokens"], sent.max_output_tokens), (&json!(limit), limit));
        assert_eq!(sent.body.get("max_tokens"), None);
        let elsewhere = Quirks { output_limit: OutputLimit::MaxTokens, ..OPENAI };
        let upstream = Upstream { quirks: elsewhere, ..upstream(KeyOwner::Operator) };
        let sent = ChatRequest::from_value(request(more)).unwrap().into_call(&upstream).unwrap();
        assert_eq!((&sent.body["max_tokens"], sent.body.get("max_completion_tokens")), (&json!(limit), None));
    }
}

#[test]
fn usage_is_always_asked_of_a_stream() {
    for (options, wanted) in
        [(None, false), (Some(json!({ "include_usage": true })), true), (Some(json!(null)), false)]
    {
        let mut body = request(json!({ "stream": true }));
        if let Some(options) = options {
            body["stream_options"] = options;
        }
        let request = ChatRequest::from_value(body).unwrap();
        assert_eq!(request.include_usage(), wanted);
        let sent = request.into_call(&upstream(KeyOwner::Operator)).unwrap();
        assert_eq!(sent.body["stream_options"]["include_usage"], json!(true));
    }
}

#[test]
fn an_answer_can_be_sent_back_as_it_came() {
    let message = json!({ "role": "assistant", "content": "x", "refusal": null, "audio": null, "function_call": null,
        "tool_calls": [], "annotations": [], "reasoning_content": null });
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "" }, message] });
    let sent = call(body, KeyOwner::Operator).unwrap();
    assert_eq!(sent.body["messages"][1], json!({ "role": "assistant", "content": "x" }));
}

#[test]
fn the_prompts_size_counts_images_by_number() {
    let inline = format!("data:image/png;base64,{}", "A".repeat(100_000));
    let body = saying(json!([{ "type": "image_url", "image_url": { "url": inline } }]));
    let size = ChatRequest::from_value(body).unwrap().prompt_size();
    assert!(size.bytes < 200 && size.items == 1 && size.media == 1, "{size:?}");
    let body = request(json!({}));
    assert_eq!(
        ChatRequest::from_value(body.clone()).unwrap().prompt_size().bytes,
        body.to_string().len() as u64
    );
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    for text in ["", "[]", "null", "{\"model\":\"m\",\"model\":\"n\"}", "{\"messages\":1}"] {
        let problem = Problem::from(ChatRequest::parse(text.as_bytes()).unwrap_err());
        assert_eq!(problem.code, Code::InvalidRequest, "{text}");
    }
}

/// Any JSON, with names that the reader knows.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("messages"),
        Just("role"),
        Just("content"),
        Just("type"),
        Just("file"),
        Just("file_id"),
        Just("tools"),
        Just("function"),
        Just("image_url"),
        Just("url"),
        Just("model"),
        Just("stream"),
        Just("$ref"),
        Just("x")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop_oneof![Just("user"), Just("text"), Just("function"), Just("file")].prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fall_over(bytes: Vec<u8>) {
        let _ = ChatRequest::parse(&bytes);
    }

    #[test]
    fn no_json_makes_the_reader_fall_over(body in any_json()) {
        if let Ok(request) = ChatRequest::from_value(body) {
            let _ = request.into_call(&upstream(KeyOwner::Operator));
        }
    }

    #[test]
    fn nothing_from_inside_a_message_reaches_the_provider_unnamed(inner in any_json()) {
        let body = saying(json!([{ "type": "text", "text": "" , "x": inner.clone() }]));
        prop_assert!(inner.is_null() || ChatRequest::from_value(body).is_err());
    }
}
