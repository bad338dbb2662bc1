//! [`ChatRequest`]: a caller's request that passed the allow-list, and [`ChatCall`]: the same as it goes to
//! an endpoint.

use super::fields::REQUEST;
use super::quirks::Quirks;
use super::shape::{self, Findings, Place, Shape};
use crate::{KeyOwner, json};
use errors::{Code, Problem};
use metering::tokens::PromptSize;
use serde_json::{Map, Value};

/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// How many answers one request may ask for.
pub const MAX_CHOICES: u32 = 16;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body is not JSON as it is taken here.
    #[error("the body is not valid JSON: {0}")]
    NotJson(#[from] json::MalformedJson),
    /// The body is too large.
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// A member has a value that it may not have, or is missing.
    #[error("`{param}` {why}")]
    Invalid {
        /// The member, as `messages[0].content`.
        param: String,
        /// What is wrong with it.
        why: String,
    },
    /// A member may not be used here.
    #[error("`{param}` {why}")]
    NotAllowed {
        /// The member.
        param: String,
        /// Why not.
        why: &'static str,
    },
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = format!("{error}.");
        match error {
            RequestError::NotJson(_) => Self::new(Code::InvalidRequest, detail),
            RequestError::TooLarge => Self::new(Code::PayloadTooLarge, detail),
            RequestError::Invalid { param, .. } => {
                Self::new(Code::InvalidRequest, detail).with("param", param)
            }
            RequestError::NotAllowed { param, .. } => {
                Self::new(Code::FieldNotAllowed, detail).with("param", param)
            }
        }
    }
}

/// A request for a chat completion that passed the allow-list. Whether it may go out on a given key, only
/// [`into_call`](Self::into_call) decides.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    model: String,
    stream: bool,
    include_usage: bool,
    max_output_tokens: Option<u64>,
    choices: u32,
    found: Findings,
    body: Map<String, Value>,
}

impl ChatRequest {
    /// Reads a request's body.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_BODY_BYTES {
            return Err(RequestError::TooLarge);
        }
        Self::from_value(json::parse(bytes)?)
    }

    /// Reads a request that the server made itself, for a step of a workflow say.
    pub fn from_value(mut value: Value) -> Result<Self, RequestError> {
        let mut found = Findings::default();
        shape::admit(&mut value, &Shape::Object(REQUEST), &Place::ROOT, &mut found)?;
        let Value::Object(body) = value else {
            return Err(Place::ROOT.invalid("The body must be an object"));
        };
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        let stream = flag("stream");
        let options = body.get("stream_options");
        if options.is_some() && !stream {
            return Err(Place::ROOT
                .member("stream_options")
                .invalid("may be given only where `stream` is true"));
        }
        if body.contains_key("max_tokens") && body.contains_key("max_completion_tokens") {
            let why = "and `max_completion_tokens` are the same limit: give one of them";
            return Err(Place::ROOT.member("max_tokens").invalid(why));
        }
        if model.starts_with("ft:") {
            found.own_key_only.push("model".to_owned());
        }
        // Other tiers have other prices.
        let tier = body.get("service_tier").and_then(Value::as_str);
        if tier.is_some_and(|tier| !matches!(tier, "auto" | "default")) {
            found.own_key_only.push("service_tier".to_owned());
        }
        let include_usage = options.and_then(|it| it.get("include_usage")).and_then(Value::as_bool);
        let limit =
            body.get("max_completion_tokens").or_else(|| body.get("max_tokens")).and_then(Value::as_u64);
        let choices = body.get("n").and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or(1);
        Ok(Self {
            model,
            stream,
            include_usage: include_usage.unwrap_or(false),
            max_output_tokens: limit,
            choices,
            found,
            body,
        })
    }

    /// The model that the caller named.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is wanted in pieces.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller wants the usage among the pieces. It is asked of the provider in any case.
    pub fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// How many tokens each answer may have at most, if the caller said so.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// How many answers are wanted.
    pub fn choices(&self) -> u32 {
        self.choices
    }

    /// The addresses that the provider would fetch: each must pass the egress rules before the call.
    pub fn fetched_urls(&self) -> &[String] {
        &self.found.addresses
    }

    /// The request as it was read, for the key of a cache.
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// How large the prompt is. Images in the body count by number, not by bytes: providers charge them by
    /// their size in pixels.
    pub fn prompt_size(&self) -> PromptSize {
        let length = |name: &str| self.body.get(name).and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let mut counted = Counted(0);
        // Writing to a counter does not fail.
        let _ = serde_json::to_writer(&mut counted, &self.body);
        PromptSize {
            bytes: counted.0.saturating_sub(self.found.image_bytes),
            items: length("messages") + length("tools") + length("functions"),
            media: self.found.media,
            boundless: self.found.boundless,
        }
    }

    /// The request as it goes to an endpoint.
    ///
    /// # Errors
    /// On the operator's key, a member that names state kept at the provider.
    pub fn into_call(self, upstream: &Upstream) -> Result<ChatCall, RequestError> {
        let Self { mut body, stream, choices, max_output_tokens, found, .. } = self;
        if upstream.key_owner == KeyOwner::Operator {
            if let Some(param) = found.own_key_only.into_iter().next() {
                let why =
                    "names state kept at the provider, or a service of its own, which needs a key of yours";
                return Err(RequestError::NotAllowed { param, why });
            }
            share_nothing(&mut body, upstream);
        }
        let limit = max_output_tokens.unwrap_or(u64::MAX).min(upstream.max_output_tokens);
        body.shift_remove("max_tokens");
        body.shift_remove("max_completion_tokens");
        body.insert(upstream.quirks.output_limit.as_str().to_owned(), limit.into());
        body.insert("model".to_owned(), upstream.model.as_str().into());
        if stream && upstream.quirks.knows_stream_options {
            let options = body.entry("stream_options").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(options) = options {
                options.insert("include_usage".to_owned(), true.into());
            }
        } else {
            body.shift_remove("stream_options");
        }
        let model = upstream.model.clone();
        Ok(ChatCall { model, stream, choices, max_output_tokens: limit, body: Value::Object(body) })
    }
}

/// On a shared key nothing is kept at the provider, and no tenant's names reach it: a name that two tenants
/// choose alike would let one see what the other has in the provider's prompt cache.
fn share_nothing(body: &mut Map<String, Value>, upstream: &Upstream) {
    for name in ["user", "safety_identifier", "prompt_cache_key"] {
        match (&upstream.caller_name, body.get_mut(name)) {
            (Some(caller), Some(value)) => *value = caller.as_str().into(),
            _ => {
                body.shift_remove(name);
            }
        }
    }
    // It describes what is stored, and is refused where nothing is.
    body.shift_remove("metadata");
    body.shift_remove("store");
    if upstream.quirks.knows_store {
        body.insert("store".to_owned(), false.into());
    }
}

/// What a request is made to fit when it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The model's name at the endpoint.
    pub model: String,
    /// The most output tokens for each answer: the endpoint's limit, and what was reserved for.
    pub max_output_tokens: u64,
    /// Whose key it goes out on.
    pub key_owner: KeyOwner,
    /// A name for the caller that tells nothing and is no other tenant's (a keyed hash, say). On the
    /// operator's key it stands in for the names that the caller gave, which are left out without it.
    pub caller_name: Option<String>,
    /// In what the server differs from the dialect.
    pub quirks: Quirks,
}

/// A request as it goes to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatCall {
    /// The model's name at the endpoint.
    pub model: String,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// How many answers are wanted.
    pub choices: u32,
    /// How many tokens each may have at most, as the endpoint is told.
    pub max_output_tokens: u64,
    /// The body.
    pub body: Value,
}

/// Counts what is written to it.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
