//! The `RateLimit` headers of metered answers.

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use limiter::LimitStanding;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Says where the limits stand, where there are any.
pub(crate) fn tell(response: &mut Response, limits: &LimitStanding) {
    for (name, text) in [(RATE_LIMIT, limits.rate_limit()), (RATE_LIMIT_POLICY, limits.rate_limit_policy())] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
}
