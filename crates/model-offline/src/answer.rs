//! Answers in the dialect, whole and in pieces.

use crate::fill::fill;
use crate::prompt::Prompt;
use crate::source::{Source, excerpt};
use crate::{MODEL, tokens, tool};
use env::Env;
use model::dialect::openai::{ChatCall, Chunk, Completion};
use serde_json::{Value, json};

/// Says which rules answered; it changes whenever they do.
const FINGERPRINT: &str = "tenantry-offline-rules-1";
const WHO: &str = "I am `offline`, the model built into Tenantry: fixed rules, no network, no understanding.";
const TOKENS_PER_PIECE: usize = 4;

/// What the model says: one text, or one call of a function.
enum Said {
    Text(String),
    Call { name: String, arguments: String },
}

/// An answer before it takes a form.
pub(crate) struct Answer {
    id: String,
    created: i64,
    choices: u32,
    said: Said,
    finish: &'static str,
    prompt_tokens: u64,
    /// Of all choices.
    answer_tokens: u64,
}

impl Answer {
    /// What the rules say to this call: always the same, but for its date and its id, which is its own as every
    /// provider's is.
    pub(crate) fn to(call: &ChatCall, env: &Env) -> Self {
        let prompt = Prompt::read(&call.body);
        let (said, finish, tokens) = limited(decide(&call.body, &prompt), &call.body, call.max_output_tokens);
        Self {
            id: hex::encode(env.random::<12>()),
            created: env.now().seconds(),
            choices: call.choices.max(1),
            said,
            finish,
            prompt_tokens: prompt.tokens,
            answer_tokens: tokens.saturating_mul(u64::from(call.choices.max(1))),
        }
    }

    /// The whole answer.
    pub(crate) fn whole(&self) -> Completion {
        let message = match &self.said {
            Said::Text(text) => json!({ "role": "assistant", "content": text, "refusal": null }),
            Said::Call { name, arguments } => {
                let call = json!({ "id": self.call_id(), "type": "function",
                    "function": { "name": name, "arguments": arguments } });
                json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": [call] })
            }
        };
        let choice = |index| json!({ "index": index, "message": message, "logprobs": null, "finish_reason": self.finish });
        let choices: Vec<Value> = (0..self.choices).map(choice).collect();
        let mut body = self.frame("chat.completion", choices.into());
        body["usage"] = self.usage();
        let (usage, text_bytes) = (metering::tokens::Tokens::from_openai(&body["usage"]), self.text_bytes());
        Completion { body, usage, text_bytes: text_bytes * u64::from(self.choices) }
    }

    /// The answer in pieces.
    pub(crate) fn pieces(&self, with_usage: bool) -> Vec<Chunk> {
        let mut bodies = Vec::new();
        for index in 0..self.choices {
            let mut deltas = self.deltas();
            deltas.push(json!({}));
            let last = deltas.len() - 1;
            for (at, delta) in deltas.into_iter().enumerate() {
                let finish = (at == last).then_some(self.finish);
                let choice =
                    json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": finish });
                let mut body = self.frame("chat.completion.chunk", json!([choice]));
                if with_usage {
                    body["usage"] = Value::Null;
                }
                bodies.push(body);
            }
        }
        if with_usage {
            let mut body = self.frame("chat.completion.chunk", json!([]));
            body["usage"] = self.usage();
            bodies.push(body);
        }
        // Every one of them has choices, so all are pieces.
        bodies.into_iter().filter_map(|body| Chunk::read(body).ok()).collect()
    }

    fn deltas(&self) -> Vec<Value> {
        match &self.said {
            Said::Text(text) => {
                let begin = json!({ "role": "assistant", "content": "", "refusal": null });
                let pieces = tokens::pieces(text, TOKENS_PER_PIECE).into_iter();
                std::iter::once(begin).chain(pieces.map(|piece| json!({ "content": piece }))).collect()
            }
            Said::Call { name, arguments } => {
                let begin = json!({ "role": "assistant", "content": null, "tool_calls": [
                    { "index": 0, "id": self.call_id(), "type": "function", "function": { "name": name, "arguments": "" } },
                ] });
                let pieces = tokens::pieces(arguments, TOKENS_PER_PIECE).into_iter();
                let piece =
                    |piece| json!({ "tool_calls": [{ "index": 0, "function": { "arguments": piece } }] });
                std::iter::once(begin).chain(pieces.map(piece)).collect()
            }
        }
    }

    fn frame(&self, object: &str, choices: Value) -> Value {
        json!({ "id": format!("chatcmpl-offline-{}", self.id), "object": object, "created": self.created,
            "model": MODEL, "system_fingerprint": FINGERPRINT, "choices": choices })
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.answer_tokens,
            "total_tokens": self.prompt_tokens.saturating_add(self.answer_tokens),
            "prompt_tokens_details": { "cached_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0 },
        })
    }

    fn text_bytes(&self) -> u64 {
        match &self.said {
            Said::Text(text) => text.len() as u64,
            Said::Call { name, arguments } => (name.len() + arguments.len()) as u64,
        }
    }

    fn call_id(&self) -> String {
        format!("call_offline_{}", self.id)
    }
}

fn decide(body: &Value, prompt: &Prompt) -> Said {
    let format = body.pointer("/response_format/type").and_then(Value::as_str).unwrap_or_default();
    let called = if prompt.tool_result.is_none() { tool::call(body, prompt) } else { None };
    if let Some(call) = called {
        return Said::Call { name: call.name, arguments: call.arguments };
    }
    let material = match &prompt.tool_result {
        Some(result) => format!("{result}\n{}", prompt.all_user),
        None => prompt.all_user.clone(),
    };
    match format {
        "json_schema" => {
            let schema = body
                .pointer("/response_format/json_schema/schema")
                .cloned()
                .unwrap_or_else(|| json!({ "type": "object" }));
            Said::Text(fill(&schema, "", &Source::new(&material)).to_string())
        }
        "json_object" => Said::Text(json!({ "model": MODEL, "answer": in_words(prompt) }).to_string()),
        _ => Said::Text(in_words(prompt)),
    }
}

fn in_words(prompt: &Prompt) -> String {
    match &prompt.tool_result {
        Some(result) => format!("{WHO} The tool answered: “{}”", excerpt(result, 400)),
        None => format!("{WHO} You wrote: “{}”", excerpt(&prompt.last_user, 200)),
    }
}

/// What is said within the caller's `stop` and the limit on tokens, why it ends, and how many tokens it has.
fn limited(said: Said, body: &Value, most: u64) -> (Said, &'static str, u64) {
    match said {
        Said::Text(text) => {
            let stops = match body.get("stop") {
                Some(Value::String(stop)) => vec![stop.as_str()],
                Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            let ends = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min();
            let text = &text[..ends.unwrap_or(text.len())];
            let kept = tokens::cut(text, most);
            let finish = if kept.len() < text.len() { "length" } else { "stop" };
            (Said::Text(kept.to_owned()), finish, tokens::count(kept))
        }
        Said::Call { name, arguments } => {
            let of_name = tokens::count(&name);
            let kept = tokens::cut(&arguments, most.saturating_sub(of_name));
            let finish = if kept.len() < arguments.len() { "length" } else { "tool_calls" };
            let count = of_name.saturating_add(tokens::count(kept)).min(most);
            (Said::Call { name, arguments: kept.to_owned() }, finish, count)
        }
    }
}
