//! [`Completion`] and [`Chunk`]: an answer as it comes from an endpoint, whole or in pieces.

use metering::tokens::Tokens;
use serde_json::{Map, Value};

/// What came is not an answer in the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTheDialect(pub &'static str);

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The body, as it goes to the caller.
    pub body: Value,
    /// What it used, if the provider said so.
    pub usage: Option<Tokens>,
    /// Bytes of text that the model made, for an estimate where `usage` is missing.
    pub text_bytes: u64,
}

impl Completion {
    /// Reads a whole answer.
    pub fn read(body: Value) -> Result<Self, NotTheDialect> {
        let choices = body.get("choices").and_then(Value::as_array).ok_or(NotTheDialect("no `choices`"))?;
        if choices.is_empty() {
            return Err(NotTheDialect("`choices` is empty"));
        }
        let mut text_bytes = 0u64;
        for choice in choices {
            let message = choice.get("message").and_then(Value::as_object);
            text_bytes =
                text_bytes.saturating_add(made(message.ok_or(NotTheDialect("a choice has no `message`"))?));
        }
        let usage = body.get("usage").and_then(Tokens::from_openai);
        Ok(Self { body, usage, text_bytes })
    }
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The piece as it came; [`for_caller`](Self::for_caller) makes it fit to pass on.
    pub body: Value,
    /// What the whole call used, if this piece says so. The last piece that does is right.
    pub usage: Option<Tokens>,
    /// Bytes of text that the model made, in this piece.
    pub emitted_bytes: u64,
    /// The choices that end with this piece.
    pub finished: Vec<u64>,
}

impl Chunk {
    /// Reads a piece of an answer.
    pub fn read(body: Value) -> Result<Self, NotTheDialect> {
        let choices = body.get("choices").and_then(Value::as_array);
        let usage = body.get("usage").and_then(Tokens::from_openai);
        // The last piece of some servers has the usage and no choices at all.
        if choices.is_none() && usage.is_none() {
            return Err(NotTheDialect("a piece has no `choices`"));
        }
        let (mut emitted_bytes, mut finished) = (0u64, Vec::new());
        for choice in choices.into_iter().flatten() {
            let delta = choice.get("delta").and_then(Value::as_object);
            emitted_bytes = emitted_bytes.saturating_add(delta.map_or(0, made));
            if choice.get("finish_reason").is_some_and(Value::is_string) {
                finished.push(choice.get("index").and_then(Value::as_u64).unwrap_or(0));
            }
        }
        Ok(Self { body, usage, emitted_bytes, finished })
    }

    /// The piece as the caller asked for it: without the usage where it did not ask, and not at all where
    /// there is nothing else in it.
    pub fn for_caller(self, include_usage: bool) -> Option<Value> {
        let mut body = self.body;
        if include_usage {
            return Some(body);
        }
        let empty = body.get("choices").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let members = body.as_object_mut()?;
        let had_usage = members.shift_remove("usage").is_some_and(|usage| !usage.is_null());
        (!(empty && had_usage)).then_some(body)
    }
}

/// Bytes of text that the model made: content, refusals, reasoning, and the arguments of its calls.
fn made(message: &Map<String, Value>) -> u64 {
    const TEXTS: [&str; 4] = ["content", "refusal", "reasoning", "reasoning_content"];
    let length = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, |text| text.len() as u64);
    let called = |call: Option<&Value>| -> u64 {
        let of = |name: &str| length(call.and_then(|call| call.get(name)));
        of("name").saturating_add(of("arguments")).saturating_add(of("input"))
    };
    let texts = TEXTS.iter().map(|name| length(message.get(*name)));
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.map(|call| called(call.get("function")).saturating_add(called(call.get("custom"))));
    texts.chain(calls).fold(called(message.get("function_call")), u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::{Chunk, Completion};
    use metering::tokens::Tokens;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn a_whole_answer_tells_its_usage_and_its_text() {
        let body = json!({ "choices": [{ "message": { "content": "four", "tool_calls": [
            { "function": { "name": "f", "arguments": "{}" } },
        ] } }], "usage": { "prompt_tokens": 3, "completion_tokens": 0 } });
        let read = Completion::read(body).unwrap();
        assert_eq!((read.usage, read.text_bytes), (Some(Tokens::plain(3, 0)), 7));
        for body in [json!(null), json!([]), json!({}), json!({ "choices": [] }), json!({ "choices": [{}] })]
        {
            assert!(Completion::read(body).is_err());
        }
    }

    #[test]
    fn the_usage_is_kept_from_a_caller_who_did_not_ask() {
        let usage = json!({ "prompt_tokens": 3, "completion_tokens": 1 });
        let last = Chunk::read(json!({ "choices": [], "usage": usage })).unwrap();
        assert_eq!(last.usage, Some(Tokens::plain(3, 1)));
        assert_eq!(last.clone().for_caller(false), None);
        assert!(last.for_caller(true).is_some());
        let both =
            Chunk::read(json!({ "choices": [{ "delta": { "content": "x" } }], "usage": usage })).unwrap();
        assert_eq!(both.for_caller(false), Some(json!({ "choices": [{ "delta": { "content": "x" } }] })));
        let filters = Chunk::read(json!({ "choices": [], "prompt_filter_results": [] })).unwrap();
        assert!(filters.for_caller(false).is_some());
    }

    #[test]
    fn the_end_of_each_choice_is_noticed() {
        let chunk = Chunk::read(json!({ "choices": [
            { "index": 0, "delta": {}, "finish_reason": null },
            { "index": 1, "delta": { "reasoning_content": "hm" }, "finish_reason": "stop" },
        ] }));
        let chunk = chunk.unwrap();
        assert_eq!((chunk.finished, chunk.emitted_bytes), (vec![1], 2));
        assert!(Chunk::read(json!({ "object": "chunk" })).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_fall_over(text in "\\PC{0,200}") {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = (Completion::read(value.clone()), Chunk::read(value));
            }
        }
    }
}
