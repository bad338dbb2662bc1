//! The port to language models, and what passes through it.
//!
//! A caller's request is read by an allow-list ([`dialect::openai::ChatRequest`]), becomes a
//! [`ChatCall`](dialect::openai::ChatCall) once it is known whose key it will travel on, and goes through
//! [`ModelEndpoint`] to an adapter. Nothing in here does I/O: the adapters are `model-http` and
//! `model-offline`.

pub mod breaker;
pub mod dialect;
mod endpoint;
mod error;
mod json;
mod provider_error;
mod url;

pub use endpoint::{ChatAnswer, ChunkStream, KeyHeader, KeyOwner, ModelEndpoint, Target, Timeouts};
pub use error::{Charge, ModelError, Unsent, Waiting};
pub use json::{MAX_DEPTH, MAX_NODES, MalformedJson};
pub use provider_error::ProviderError;
pub use url::{EndpointUrl, ParseEndpointUrlError};
