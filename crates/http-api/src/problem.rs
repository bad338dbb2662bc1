//! Problems as answers: RFC 9457, and the dialect's own form on the wire-compatible routes.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use errors::{Code, Problem};
use http::{HeaderValue, StatusCode, header};
use ids::RequestId;
use serde_json::{Map, Value, json};

/// A problem on its way out of a handler. The layer around all routes gives it its form.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl<P: Into<Problem>> From<P> for Refused {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// Gives a problem its form; leaves every other answer as it is.
pub(crate) fn render(mut response: Response, id: RequestId, path: &str, public_url: &str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    if problem.code.status() >= 500 {
        tracing::warn!(request.id = %id, code = %problem.code, "a request failed");
    }
    let members = members(&problem, id, public_url);
    let body = if is_openai(path) { openai(&problem, members) } else { Value::Object(members) };
    let media_type = media_type(path);
    let mut rendered = Response::new(Body::from(body.to_string()));
    *rendered.status_mut() = response.status();
    *rendered.headers_mut() = std::mem::take(response.headers_mut());
    let headers = rendered.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code == Code::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if !problem.code.retry_helps() {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    rendered
}

/// How the problems of a path are marked. OpenAI's clients know their own form alone.
pub(crate) fn media_type(path: &str) -> &'static str {
    if is_openai(path) { "application/json" } else { "application/problem+json" }
}

fn members(problem: &Problem, id: RequestId, public_url: &str) -> Map<String, Value> {
    let mut members = problem.members.clone();
    members.insert("type".into(), json!(format!("{public_url}/errors/{}", problem.code)));
    members.insert("title".into(), json!(problem.code.title()));
    members.insert("status".into(), json!(problem.code.status()));
    members.insert("code".into(), json!(problem.code.as_str()));
    members.insert("detail".into(), json!(problem.detail));
    members.insert("request_id".into(), json!(id));
    members
}

/// Whether a path speaks OpenAI's dialect.
fn is_openai(path: &str) -> bool {
    ["/v1/chat/", "/v1/responses", "/v1/embeddings", "/v1/models"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

/// A problem as OpenAI's clients read it, for an event within a stream.
pub(crate) fn openai_body(problem: &Problem, id: RequestId, public_url: &str) -> Value {
    openai(problem, members(problem, id, public_url))
}

/// OpenAI's `error` object beside the problem's members.
fn openai(problem: &Problem, mut members: Map<String, Value>) -> Value {
    let kind = match problem.code.status() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = json!({
        "message": problem.detail,
        "type": kind,
        "param": problem.members.get("param").cloned().unwrap_or(Value::Null),
        "code": problem.code.as_str(),
    });
    members.insert("error".into(), error);
    Value::Object(members)
}
