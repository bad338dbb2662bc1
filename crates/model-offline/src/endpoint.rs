//! [`OfflineModel`]: the rules behind the port.

use crate::answer::Answer;
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Env;
use model::dialect::openai::{ChatCall, Chunk};
use model::{ChatAnswer, ModelEndpoint, ModelError, Target};
use serde_json::Value;
use std::collections::VecDeque;

/// The model's name.
pub const MODEL: &str = "offline";

/// The built-in model. It serves any target; nothing of a request leaves its tenant.
pub struct OfflineModel {
    env: Env,
}

impl OfflineModel {
    /// The model, with the clock that dates its answers and the chance that names them.
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

#[async_trait]
impl ModelEndpoint for OfflineModel {
    async fn chat<'t>(
        &self,
        _: &Tenant<'t>,
        _: &Target,
        call: Private<'t, ChatCall>,
    ) -> Result<ChatAnswer<'t>, ModelError> {
        if !call.is(|call| call.stream) {
            return Ok(ChatAnswer::Whole(call.map(|call| Answer::to(&call, &self.env).whole())));
        }
        let pieces = call.map(|call| {
            let with_usage = call.body.pointer("/stream_options/include_usage").and_then(Value::as_bool);
            VecDeque::from(Answer::to(&call, &self.env).pieces(with_usage.unwrap_or(false)))
        });
        Ok(ChatAnswer::Stream(Box::pin(futures::stream::unfold(pieces, |pieces| async move {
            let (piece, rest) = split(pieces)?;
            Some((Ok(piece), rest))
        }))))
    }
}

type Pieces<'t> = Private<'t, VecDeque<Chunk>>;

/// The first piece and the others, all still the tenant's.
fn split(pieces: Pieces<'_>) -> Option<(Private<'_, Chunk>, Pieces<'_>)> {
    let first = pieces.as_ref().map(|pieces| pieces.front().cloned()).transpose()?;
    let rest = pieces.map(|mut pieces| {
        pieces.pop_front();
        pieces
    });
    Some((first, rest))
}
