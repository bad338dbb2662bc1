//! Making one call and taking all that comes of it.

use admission_fixture::{Fixture, somebody};
use context::{Private, Tenant};
use futures::StreamExt;
use model::dialect::openai::{ChatCall, ChatRequest, Chunk, Completion, Upstream};
use model::{ChatAnswer, ModelEndpoint, ModelError, Target, Timeouts};
use model_http::{HttpModels, HttpSettings};
use secret::SecretText;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

pub const KEY: &str = "sk-live-0123456789";

/// An adapter with small bounds.
pub fn models() -> HttpModels {
    models_with(Vec::new())
}

pub fn models_with(extra_roots: Vec<Vec<u8>>) -> HttpModels {
    let settings = HttpSettings { max_answer_bytes: 1024 * 1024, extra_roots, ..HttpSettings::default() };
    HttpModels::new(Fixture::new(8).env(), settings).unwrap()
}

/// A target with little patience.
pub fn target(address: SocketAddr) -> Target {
    let url = format!("http://{address}/v1").parse().unwrap();
    let timeouts = Timeouts {
        first_byte: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        total: Duration::from_millis(900),
    };
    Target { key: Some(SecretText::new(KEY.into())), timeouts, ..Target::at("test".parse().unwrap(), url) }
}

/// A call of this kind.
pub fn call<'t>(tenant: &Tenant<'t>, target: &Target, stream: bool) -> Private<'t, ChatCall> {
    let body = json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": "2+2?" }] });
    let upstream = Upstream {
        model: "m".into(),
        max_output_tokens: 64,
        key_owner: target.key_owner,
        caller_name: None,
        quirks: target.quirks(),
    };
    Private::sent(tenant, ChatRequest::from_value(body).unwrap().into_call(&upstream).unwrap())
}

/// What came of a call: the whole answer as one, or the pieces and how they ended.
#[derive(Debug, Default)]
pub struct Came {
    pub whole: Option<Completion>,
    pub pieces: Vec<Chunk>,
    pub error: Option<ModelError>,
}

impl Came {
    pub fn text(&self) -> String {
        self.pieces.iter().filter_map(|piece| piece.body["choices"][0]["delta"]["content"].as_str()).collect()
    }
}

/// Makes one call as a fresh tenant, and takes all that comes.
pub async fn ask(models: &HttpModels, target: &Target, stream: bool) -> Came {
    somebody(None).await.enter(async |tenant| take(models, &tenant, target, stream).await).await
}

pub async fn take<'t>(models: &HttpModels, tenant: &Tenant<'t>, target: &Target, stream: bool) -> Came {
    let mut came = Came::default();
    match models.chat(tenant, target, call(tenant, target, stream)).await {
        Ok(ChatAnswer::Whole(whole)) => came.whole = Some(context::door::answer(tenant, whole).unwrap()),
        Ok(ChatAnswer::Stream(mut pieces)) => {
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(piece) => came.pieces.push(context::door::answer(tenant, piece).unwrap()),
                    Err(error) => came.error = Some(error),
                }
            }
        }
        Err(error) => came.error = Some(error),
    }
    came
}
