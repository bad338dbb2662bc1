//! Calling a function: which one, and with what.

use crate::fill::fill;
use crate::prompt::Prompt;
use crate::source::{Source, words};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// A call of a function.
pub(crate) struct FunctionCall {
    /// The function.
    pub(crate) name: String,
    /// Its arguments, as JSON text.
    pub(crate) arguments: String,
}

/// Words that say nothing of what a function does.
const EMPTY_WORDS: &[&str] = &[
    "a", "an", "and", "by", "do", "for", "from", "get", "give", "in", "is", "it", "me", "of", "on", "or",
    "please", "set", "that", "the", "this", "to", "tool", "use", "what", "with", "you", "your",
];

/// The call that the request leads to, if functions may be called and one fits.
pub(crate) fn call(body: &Value, prompt: &Prompt) -> Option<FunctionCall> {
    let tools = body.get("tools").and_then(Value::as_array)?;
    let functions: Vec<&Map<String, Value>> =
        tools.iter().filter_map(|tool| tool.get("function").and_then(Value::as_object)).collect();
    let function = chosen(body.get("tool_choice"), &functions, prompt)?;
    let source = Source::new(&prompt.all_user);
    let arguments = match function.get("parameters") {
        Some(parameters) if parameters.is_object() => fill(parameters, "", &source),
        _ => Value::Object(Map::new()),
    };
    Some(FunctionCall { name: name(function).to_owned(), arguments: arguments.to_string() })
}

fn chosen<'f>(
    choice: Option<&Value>,
    functions: &[&'f Map<String, Value>],
    prompt: &Prompt,
) -> Option<&'f Map<String, Value>> {
    let named = |wanted: &str| functions.iter().copied().find(|function| name(function) == wanted);
    match choice {
        Some(Value::String(choice)) if choice == "none" => None,
        Some(Value::String(choice)) if choice == "required" => {
            best(functions, prompt).or(functions.first().copied())
        }
        Some(Value::Object(choice)) => match choice.get("allowed_tools") {
            None => named(choice.get("function")?.get("name")?.as_str()?),
            Some(allowed) => {
                let listed = allowed.get("tools").and_then(Value::as_array).into_iter().flatten();
                let names: HashSet<&str> =
                    listed.filter_map(|tool| tool.get("function")?.get("name")?.as_str()).collect();
                let of_these: Vec<_> =
                    functions.iter().copied().filter(|it| names.contains(name(it))).collect();
                let required = allowed.get("mode").and_then(Value::as_str) == Some("required");
                best(&of_these, prompt).or(of_these.first().copied().filter(|_| required))
            }
        },
        _ => best(functions, prompt),
    }
}

/// The function that shares most words with the last user message: two for a word of its name, one for a
/// word of its description. The earlier one on a tie; none where nothing is shared.
fn best<'f>(functions: &[&'f Map<String, Value>], prompt: &Prompt) -> Option<&'f Map<String, Value>> {
    let said: HashSet<String> = meaning(&prompt.last_user).collect();
    let shared = |text: &str| meaning(text).collect::<HashSet<_>>().intersection(&said).count();
    let score = |function: &Map<String, Value>| {
        let description = function.get("description").and_then(Value::as_str).unwrap_or_default();
        2 * shared(name(function)) + shared(description)
    };
    let mut best = None;
    for function in functions {
        let score = score(function);
        if score > best.map_or(0, |(_, most)| most) {
            best = Some((*function, score));
        }
    }
    best.map(|(function, _)| function)
}

fn name(function: &Map<String, Value>) -> &str {
    function.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The words that say something, without the ending of a plural.
fn meaning(text: &str) -> impl Iterator<Item = String> {
    let words = words(text).filter(|word| !EMPTY_WORDS.contains(&word.as_str()));
    words.map(|word| match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 => stem.to_owned(),
        _ => word,
    })
}

#[cfg(test)]
mod tests {
    use super::call;
    use crate::prompt::Prompt;
    use serde_json::{Value, json};

    fn check(text: &str, choice: Value, expected: Option<(&str, &str)>) {
        let function = |name: &str, description: &str, properties: Value| {
            let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
            json!({ "type": "function", "function": { "name": name, "description": description,
                "parameters": { "type": "object", "properties": properties, "required": required } } })
        };
        let body = json!({
            "messages": [{ "role": "user", "content": text }],
            "tool_choice": choice,
            "tools": [
                function("get_weather", "Current weather in a city", json!({ "city": { "type": "string" } })),
                function("send_email", "Sends an e-mail to somebody", json!({ "email": { "type": "string" }, "text": { "type": "string" } })),
            ],
        });
        let called = call(&body, &Prompt::read(&body));
        let called = called.as_ref().map(|call| (call.name.as_str(), call.arguments.as_str()));
        assert_eq!(called, expected, "{text}");
    }

    #[test]
    fn words_choose_the_function() {
        let weather = Some(("get_weather", r#"{"city":"Oslo"}"#));
        check("What is the weather? city: Oslo", json!("auto"), weather);
        check("What is the weather? city: Oslo", json!(null), weather);
        check("What is the weather? city: Oslo", json!("none"), None);
        check(
            "Send an email to a@b.example",
            json!("auto"),
            Some(("send_email", r#"{"email":"a@b.example","text":"Send an email to a@b.example"}"#)),
        );
        check("Tell a joke", json!("auto"), None);
    }

    #[test]
    fn a_choice_is_followed() {
        check("Tell a joke", json!("required"), Some(("get_weather", r#"{"city":""}"#)));
        let named = json!({ "type": "function", "function": { "name": "send_email" } });
        check("weather", named, Some(("send_email", r#"{"email":"","text":"weather"}"#)));
        let only = json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto",
            "tools": [{ "type": "function", "function": { "name": "send_email" } }] } });
        check("weather", only, None);
    }
}
