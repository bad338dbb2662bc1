//! A model's provider with a memory: files, answers, conversations and the like, each kept for the account
//! whose key made it, and shown to whoever calls on that account's key and names it.

use super::FAILS;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What the accounts hold.
#[derive(Default)]
pub(crate) struct Provider {
    /// What is kept under an id, by the account's key.
    kept: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

impl Provider {
    /// Keeps something for the account with this key.
    pub(crate) fn keep(&self, key: &str, id: &str, content: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(key.to_owned()).or_default().insert(id.to_owned(), content.to_owned());
    }

    /// Answers a chat request with all that the account holds of what it names, wherever it names it.
    pub(crate) fn chat(&self, key: &str, request: &Value) -> (StatusCode, Value) {
        let asked = request.to_string();
        if asked.contains(FAILS) {
            return (StatusCode::SERVICE_UNAVAILABLE, json!({"error": {"message": "It fails."}}));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let account = kept.get(key).into_iter().flatten();
        let named = account.filter(|(id, _)| asked.contains(id.as_str()));
        let content: Vec<_> = named.map(|(_, content)| content.as_str()).collect();
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000},
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null, "message": {
                "role": "assistant", "refusal": null, "content": format!("I found: {}", content.join(" ")),
            }}],
        });
        (StatusCode::OK, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::Provider;
    use serde_json::json;

    #[test]
    fn an_account_is_shown_its_own_alone() {
        let provider = Provider::default();
        provider.keep("a", "file-1", "the canary");
        let asked = json!({"model": "m", "messages": [{"file_id": "file-1"}]});
        assert!(provider.chat("a", &asked).1.to_string().contains("the canary"));
        assert!(!provider.chat("b", &asked).1.to_string().contains("the canary"));
        assert!(!provider.chat("a", &json!({"model": "m"})).1.to_string().contains("the canary"));
    }
}
