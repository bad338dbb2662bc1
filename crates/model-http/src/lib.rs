//! Models behind any OpenAI-compatible URL: OpenAI, Azure OpenAI, vLLM, llama.cpp, Ollama and their like.
//!
//! HTTP/1.1 only: a connection serves one call at a time, so that a tenant who reads slowly holds up nobody
//! else's answer (calls that share an HTTP/2 connection share its window), and dropping a call closes its
//! connection, which is how a provider learns that nobody listens.

mod bulkhead;
mod connect;
mod exchange;
mod models;
mod receive;
mod sse;
mod stream;
mod wire;

pub use bulkhead::BulkheadLimits;
pub use models::{HttpModels, HttpSettings, UnfitRoots};
pub use sse::{SseReader, TooLong};
