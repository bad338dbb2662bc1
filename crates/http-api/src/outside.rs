//! What callers send beside a body, read as every route reads it: for tests that feed it anything.

use crate::call::{Conditions, credential, tenant_header, trace_link};
use crate::query::{self, Declared, Paging, place};
use axum::extract::Query;
use errors::Problem;
use http::request::Parts;
use ids::KeyId;

/// Reads credential, tenant, trace, conditions and page of a request to a list of the operator's. What has to
/// hold between them is for whoever calls this to look at.
pub fn read(mut parts: Parts) -> Result<Read, Problem> {
    parts.extensions.insert(Declared { query: vec!["limit", "cursor"], time: None });
    query::check(&parts)?;
    let Query(paging) =
        Query::<Paging>::try_from_uri(&parts.uri).map_err(|error| Problem::invalid(error.to_string()))?;
    let page = paging.page()?;
    let after: Option<KeyId> = place(&page)?;
    let Conditions { idempotency, expected, .. } = Conditions::read(&parts)?;
    Ok(Read {
        credential: credential(&parts.headers).is_some(),
        tenant: tenant_header(&parts.headers),
        trace: trace_link(&parts.headers).map(str::to_owned),
        idempotency,
        expected,
        limit: page.limit,
        after,
    })
}

/// What a request says beside its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whether there is a credential.
    pub credential: bool,
    /// The tenant that is meant.
    pub tenant: Option<String>,
    /// The caller's trace id.
    pub trace: Option<String>,
    /// The idempotency key with its place, hashed.
    pub idempotency: Option<[u8; 32]>,
    /// The version that the object must have.
    pub expected: Option<u64>,
    /// How many are asked for.
    pub limit: u32,
    /// After which.
    pub after: Option<KeyId>,
}
