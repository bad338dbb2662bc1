//! JSON bodies: bounded, in time, of the right type, with errors that name the place.

use crate::Api;
use crate::json::parse;
use crate::problem::Refused;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use errors::{Code, Problem};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The largest body of an ordinary call.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body, with the hash by which an idempotency key knows it again.
pub(crate) struct Json<T> {
    pub(crate) value: T,
    pub(crate) hash: [u8; 32],
}

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Refused> {
        check_media_type(request.headers())?;
        let bytes = read(request, MAX_BODY_BYTES).await?;
        // Every body is an object. A list would pass for one whose members come in the same order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'[') {
            return Err(Problem::invalid("The body must be a JSON object, not a list.").into());
        }
        let value = parse(&bytes)?;
        Ok(Self { value, hash: Sha256::digest(&bytes).into() })
    }
}

/// A JSON body that the use case reads itself, up to the size of a model's request.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<Api> for JsonBytes {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Refused> {
        check_media_type(request.headers())?;
        Ok(Self(read(request, model::dialect::openai::MAX_BODY_BYTES).await?))
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, "Send the body as `application/json`."))
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), limit).collect()).await;
    match collected {
        Err(_) => Err(Problem::invalid("The body did not arrive in time.")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::new(Code::PayloadTooLarge, format!("The body is larger than {limit} bytes.")))
        }
        Ok(Err(_)) => Err(Problem::invalid("The body could not be read to its end.")),
    }
}
