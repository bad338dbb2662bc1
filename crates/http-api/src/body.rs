//! JSON bodies: bounded, in time, of the right type, with errors that name the place.

use crate::Api;
use crate::bodies::Payer;
use crate::json::parse_body;
use crate::problem::Refused;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use errors::{Code, Problem};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as _;
use schemars::JsonSchema;
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
    /// Kept so that the body stays accounted for until the call is over.
    _bytes: Bytes,
}

impl<T: DeserializeOwned + JsonSchema> FromRequest<Api> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        check_media_type(request.headers())?;
        let bytes = read(request, api, MAX_BODY_BYTES).await?;
        let value = parse_body(&bytes)?;
        Ok(Self { value, hash: Sha256::digest(&bytes).into(), _bytes: bytes })
    }
}

/// A JSON body that the use case reads itself, up to the size of a model's request.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<Api> for JsonBytes {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        check_media_type(request.headers())?;
        Ok(Self(read(request, api, model::dialect::openai::MAX_BODY_BYTES).await?))
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

/// Reads a whole body of at most `limit` bytes, on the account of whoever was let in before.
pub(crate) async fn read(request: Request, api: &Api, limit: usize) -> Result<Bytes, Problem> {
    let payer = request.extensions().get::<Payer>().copied().ok_or_else(Problem::internal)?;
    let too_large = || Problem::new(Code::PayloadTooLarge, format!("The body is larger than {limit} bytes."));
    let body = request.into_body();
    let announced = body.size_hint().exact().map_or(Ok(0), usize::try_from).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut held = api.bodies.hold(payer, announced)?;
    let collect = async {
        let (mut body, mut whole) = (Limited::new(body, limit), BytesMut::with_capacity(announced));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => too_large(),
                false => Problem::invalid("The body could not be read to its end."),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if announced == 0 {
                api.bodies.hold_more(&mut held, payer, data.len())?;
            }
            whole.extend_from_slice(&data);
        }
        Ok::<_, Problem>(whole.freeze())
    };
    let collected = tokio::time::timeout(BODY_TIMEOUT, collect).await;
    let whole = collected.map_err(|_| Problem::invalid("The body did not arrive in time."))??;
    Ok(held.bytes(whole))
}
