//! A stand-in for a model's provider: it answers as OpenAI does, or fails, by the name of the model.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What the provider saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The bodies, with the `authorization` header as a member.
    requests: Mutex<Vec<Value>>,
    /// Streams whose reader went away.
    cancelled: AtomicUsize,
}

/// A provider on a port of its own, until the test ends.
pub(crate) struct Provider {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

type Body = BoxBody<Bytes, Infallible>;

/// Tokens that every answer is said to have used.
pub(crate) const USAGE: [u64; 2] = [11, 7];

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::<Seen>::default();
        let shared = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = shared.clone();
                let service = service_fn(move |request| answer(seen.clone(), request));
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, seen }
    }

    /// Its host and port.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches("/v1")
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.seen.cancelled.load(Ordering::SeqCst)
    }
}

async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let key = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    let mut body: Value = serde_json::from_slice(&bytes).unwrap();
    let model = body["model"].as_str().unwrap().to_owned();
    let stream = body["stream"].as_bool().unwrap_or(false);
    body["authorization"] = json!(key);
    seen.requests.lock().unwrap().push(body);
    Ok(match model.as_str() {
        "refuses" => refusal(StatusCode::BAD_REQUEST, "that is too long"),
        "times-out" => refusal(StatusCode::GATEWAY_TIMEOUT, "too slow"),
        "breaks" => refusal(StatusCode::INTERNAL_SERVER_ERROR, "sk-of-the-operator leaked"),
        "takes-its-time" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            whole(&model, usage())
        }
        "hangs" => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            refusal(StatusCode::GATEWAY_TIMEOUT, "late")
        }
        brief if brief.starts_with("brief") => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream {
                pieces(seen, &model, 3, Duration::from_millis(5), true)
            } else {
                whole(&model, usage())
            }
        }
        "slow" if stream => pieces(seen, &model, 1_000, Duration::from_millis(50), true),
        "silent" if stream => pieces(seen, &model, 3, Duration::ZERO, false),
        "overbills" => whole(&model, json!({ "prompt_tokens": 10, "completion_tokens": 9_000_000 })),
        "silent" => whole(&model, Value::Null),
        _ if stream => pieces(seen, &model, 3, Duration::ZERO, true),
        _ => whole(&model, usage()),
    })
}

fn usage() -> Value {
    let [input, output] = USAGE;
    json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
}

fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let body = json!({ "error": { "message": message, "type": "x", "param": "messages", "code": "y" } });
    let mut response = Response::new(Full::from(body.to_string()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn whole(model: &str, usage: Value) -> Response<Body> {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "usage": usage,
        "choices": [{ "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": { "role": "assistant", "content": "Hello from the provider.", "refusal": null } }],
    });
    let mut response = Response::new(Full::from(body.to_string()).boxed());
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn pieces(seen: Arc<Seen>, model: &str, count: usize, apart: Duration, usage_told: bool) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let model = model.to_owned();
    tokio::spawn(async move {
        let frame = |choices: Value, usage: Value| {
            let piece = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                "model": model, "choices": choices, "usage": usage });
            Ok(Frame::data(Bytes::from(format!("data: {piece}\n\n"))))
        };
        for number in 0..count {
            let delta = json!({ "role": "assistant", "content": format!("word{number} ") });
            let choices = json!([{ "index": 0, "delta": delta, "finish_reason": null }]);
            if sender.send(frame(choices, Value::Null)).await.is_err() {
                seen.cancelled.fetch_add(1, Ordering::SeqCst);
                return;
            }
            tokio::time::sleep(apart).await;
        }
        let end = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
        let _ = sender.send(frame(end, Value::Null)).await;
        if usage_told {
            let _ = sender.send(frame(json!([]), usage())).await;
        }
        let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"data: [DONE]\n\n")))).await;
    });
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}
