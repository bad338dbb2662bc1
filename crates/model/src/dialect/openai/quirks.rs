//! In what servers differ from the dialect.

use crate::EndpointUrl;

/// The member that carries the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimit {
    /// `max_tokens`, which every imitator knows.
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

impl OutputLimit {
    /// The member's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// In what a server differs from the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The member that carries the output limit.
    pub output_limit: OutputLimit,
    /// Whether it knows `store`. Servers that keep nothing do not, and some refuse what they do not know.
    pub knows_store: bool,
    /// Whether it gives the usage of a stream when `stream_options.include_usage` asks for it.
    pub knows_stream_options: bool,
}

impl Quirks {
    /// What is known of the server at this address.
    pub fn of(url: &EndpointUrl) -> Self {
        let openai = url.is_openai() || url.is_azure();
        let output_limit = if openai { OutputLimit::MaxCompletionTokens } else { OutputLimit::MaxTokens };
        Self { output_limit, knows_store: openai, knows_stream_options: true }
    }
}
