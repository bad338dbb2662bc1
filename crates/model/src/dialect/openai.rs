//! Chat Completions as OpenAI defines them (<https://platform.openai.com/docs/api-reference/chat>), and as
//! the servers that imitate it take them.

mod answer;
mod fields;
mod quirks;
mod request;
mod shape;

pub use answer::{Chunk, Completion, NotTheDialect};
pub use quirks::{OutputLimit, Quirks};
pub use request::{ChatCall, ChatRequest, MAX_BODY_BYTES, MAX_CHOICES, RequestError, Upstream};
