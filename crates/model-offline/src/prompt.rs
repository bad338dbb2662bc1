//! What a request says, as text.

use crate::tokens;
use serde_json::Value;

/// Tokens that count for each message beside its text.
const TOKENS_PER_MESSAGE: u64 = 3;

/// The messages of a request, as far as rules look at them.
pub(crate) struct Prompt {
    /// The last message of the user.
    pub(crate) last_user: String,
    /// All messages of the user, the last one first.
    pub(crate) all_user: String,
    /// The results of tools at the end, where the request ends with them.
    pub(crate) tool_result: Option<String>,
    /// How many tokens the request has.
    pub(crate) tokens: u64,
}

impl Prompt {
    /// Reads the messages of a request's body.
    pub(crate) fn read(body: &Value) -> Self {
        let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let role =
            |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_result = |message: &&Value| matches!(role(message).as_str(), "tool" | "function");
        let mut by_user: Vec<String> = messages.iter().filter(|it| role(it) == "user").map(text).collect();
        by_user.reverse();
        let mut results: Vec<String> = messages.iter().rev().take_while(is_result).map(text).collect();
        results.reverse();
        let said = messages
            .iter()
            .map(|message| TOKENS_PER_MESSAGE + tokens::count(&text(message)) + calls(message));
        let described = ["tools", "functions", "response_format"].iter().filter_map(|name| body.get(*name));
        let described = described.map(|it| tokens::count(&it.to_string()));
        Self {
            last_user: by_user.first().cloned().unwrap_or_default(),
            all_user: by_user.join("\n"),
            tool_result: (!results.is_empty()).then(|| results.join("\n")),
            tokens: said.chain(described).sum(),
        }
    }
}

/// The text of a message's content.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The tokens of the calls that an earlier answer made.
fn calls(message: &Value) -> u64 {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let functions = calls.filter_map(|call| call.get("function"));
    let part =
        |function: &Value, name: &str| function.get(name).and_then(Value::as_str).map_or(0, tokens::count);
    functions.map(|function| part(function, "name") + part(function, "arguments")).sum()
}
