//! [`ModelEndpoint`]: the port, what a call is aimed at, and what comes back.

use crate::dialect::openai::{ChatCall, Chunk, Completion, Quirks};
use crate::{EndpointUrl, ModelError};
use async_trait::async_trait;
use context::{Private, Tenant};
use futures::stream::BoxStream;
use ids::Slug;
use secret::SecretText;
use std::time::Duration;

/// Where calls to models go.
#[async_trait]
pub trait ModelEndpoint: Send + Sync {
    /// Carries out one chat completion.
    ///
    /// Dropping the future, or the stream that it gave, cancels the call at the provider.
    async fn chat<'t>(
        &self,
        tenant: &Tenant<'t>,
        target: &Target,
        call: Private<'t, ChatCall>,
    ) -> Result<ChatAnswer<'t>, ModelError>;
}

/// An answer: all at once, or piece by piece, as the call asked.
pub enum ChatAnswer<'t> {
    /// The whole answer.
    Whole(Private<'t, Completion>),
    /// The answer in pieces. An error is the last item.
    Stream(ChunkStream<'t>),
}

/// The pieces of an answer, in order.
pub type ChunkStream<'t> = BoxStream<'t, Result<Private<'t, Chunk>, ModelError>>;

/// What a call is aimed at: an endpoint, with the key and the patience for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint's name; bulkheads and circuit breakers go by it.
    pub endpoint: Slug,
    /// Its address.
    pub url: EndpointUrl,
    /// The key, where the endpoint wants one.
    pub key: Option<SecretText>,
    /// How the key is sent.
    pub key_header: KeyHeader,
    /// Whose key it is.
    pub key_owner: KeyOwner,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Target {
    /// A target at this address, without a key, with what is usual there.
    pub fn at(endpoint: Slug, url: EndpointUrl) -> Self {
        let key_header = if url.is_azure() { KeyHeader::ApiKey } else { KeyHeader::Bearer };
        let timeouts = Timeouts::default();
        Self { endpoint, url, key: None, key_header, key_owner: KeyOwner::Operator, timeouts }
    }

    /// In what the server behind the address differs from the dialect.
    pub fn quirks(&self) -> Quirks {
        Quirks::of(&self.url)
    }
}

/// The header that carries the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`, as Azure OpenAI has it.
    ApiKey,
}

/// Whose key a call travels on. What is kept at the provider under the operator's key is every tenant's
/// at once, so a call on it may neither name such state nor leave any behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The operator's, shared by tenants.
    Operator,
    /// The tenant's own, from its vault.
    Tenant,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request to the first piece of a stream. An answer that comes whole has until `total`:
    /// providers send nothing before all of it is made.
    pub first_byte: Duration,
    /// Between two bytes.
    pub idle: Duration,
    /// For the whole call. The caller's own deadline shortens it.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(90),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}
