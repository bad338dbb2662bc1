//! `POST /v1/chat/completions`: a chat completion, in OpenAI's dialect, whole or as a stream of events.
//!
//! `x-tenantry-cache: on` takes an answer kept from an identical request where there is one, and has this
//! one kept; the answer's header of the same name says `hit` or `miss`. Streams are never kept.
//!
//! With an `Idempotency-Key`, which only whole answers take, a repeated call gets the first one's answer and
//! costs nothing; the first goes on to its end although its caller has gone. A call that fails gives its key
//! back.

use crate::body::JsonBytes;
use crate::call::TenantCall;
use crate::problem::{self, Refused};
use crate::respond::{Answer, claim, replayed};
use crate::{Api, Audited, Operation, metered};
use app::gateway::{self, ChatInput, Reply, StreamEvent};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use context::{Invoke, Tenant, on};
use errors::Problem;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ids::RequestId;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use tokio::sync::mpsc::Receiver;

const CACHE: HeaderName = HeaderName::from_static("x-tenantry-cache");

/// A request for a chat completion, as OpenAI defines it. Fields that name state kept at the provider are
/// refused on the operator's key.
#[derive(Serialize, JsonSchema)]
struct ChatBody {
    /// The model's name, one of `GET /v1/models`.
    model: String,
    /// The conversation so far.
    messages: Vec<Map<String, Value>>,
    /// Whether the answer is wanted as a stream of events.
    stream: Option<bool>,
    /// The most output tokens of each answer.
    max_completion_tokens: Option<u64>,
    /// Functions that the model may call.
    tools: Option<Vec<Map<String, Value>>>,
    /// The form of the answer, such as a JSON Schema.
    response_format: Option<Map<String, Value>>,
    /// The dialect's other fields.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A whole answer, as OpenAI defines it.
#[derive(Serialize, JsonSchema)]
struct ChatAnswer {
    /// The answer's id.
    id: String,
    /// `chat.completion`.
    object: String,
    /// When it was made, in seconds since 1970.
    created: i64,
    /// The model.
    model: String,
    /// The answers.
    choices: Vec<Map<String, Value>>,
    /// What it used.
    usage: Option<Map<String, Value>>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/chat/completions", handle)
        .about("ai", "A chat completion, in OpenAI's dialect")
        .for_tenants::<Invoke<on::Model>>()
        .audited(Audited::Event("model.call"))
        .ends_with_its_caller()
        .body::<ChatBody>()
        .answers::<ChatAnswer>(200)
}

async fn handle(
    State(api): State<Api>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    call: TenantCall,
    body: JsonBytes,
) -> Answer {
    let cache = wants_cache(&headers)?;
    let TenantCall { admission, conditions } = call;
    let hash = Sha256::digest(&body.0).into();
    let claimed = async |tenant: Tenant<'_>| claim(&api, &tenant, &conditions, hash);
    let claim = admission.clone().enter(claimed).await;
    let input = ChatInput { body: body.0, cache, claim };
    match gateway::chat(&api.app, admission, input).await {
        Err(refused) => {
            let mut response = Refused(refused.problem).into_response();
            if let Some(limits) = &refused.limits {
                metered::tell(&mut response, limits);
            }
            Ok(response)
        }
        Ok(Reply::Whole { body, limits, cached }) => {
            let mut response = axum::Json(body).into_response();
            metered::tell(&mut response, &limits);
            if let Some(cached) = cached {
                let value = HeaderValue::from_static(if cached { "hit" } else { "miss" });
                response.headers_mut().insert(CACHE, value);
            }
            Ok(response)
        }
        Ok(Reply::Remembered { found, claim, limits }) => {
            let mut response = replayed(found, &claim)?;
            metered::tell(&mut response, &limits);
            Ok(response)
        }
        Ok(Reply::Stream { events, limits }) => {
            let mut response = streamed(events, id, api.app.public_url.clone());
            metered::tell(&mut response, &limits);
            Ok(response)
        }
    }
}

fn wants_cache(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(CACHE).map(HeaderValue::as_bytes) {
        None | Some(b"off") => Ok(false),
        Some(b"on") => Ok(true),
        Some(_) => Err(Problem::invalid("`x-tenantry-cache` is `on` or `off`.")),
    }
}

/// An answer of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), as
/// OpenAI's clients read them: the end is `[DONE]`, and a failure is an event with an `error`.
fn streamed(events: Receiver<StreamEvent>, id: RequestId, public_url: String) -> Response {
    let lines = stream::unfold(events, move |mut events| {
        let public_url = public_url.clone();
        async move {
            let text = match events.recv().await? {
                StreamEvent::Piece(piece) => format!("data: {piece}\n\n"),
                StreamEvent::Done => "data: [DONE]\n\n".to_owned(),
                StreamEvent::Failed(problem) => {
                    format!("data: {}\n\n", problem::openai_body(&problem, id, &public_url))
                }
            };
            Some((Ok::<_, Infallible>(Bytes::from(text)), events))
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // Proxies that gather an answer would hold back its pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
