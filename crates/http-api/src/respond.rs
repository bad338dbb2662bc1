//! The way of a call through the API: enter, authorize and work in the use case, leave by the door.

use crate::Api;
use crate::call::{Conditions, OperatorCall, TenantCall};
use crate::problem::Refused;
use audit::event::Action;
use axum::response::{IntoResponse, Response};
use context::{Admission, Operator, Private, Tenant, door};
use errors::{Code, Problem};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use store::{IdempotencyClaim, PlannedAnswer, Remembered, StoreError, Versioned};

/// What a handler gives back.
pub(crate) type Answer = Result<Response, Refused>;

/// Stands for the hash of a body where there is none.
pub(crate) const NO_BODY: [u8; 32] = [0; 32];

/// How long idempotency keys are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a write answers with.
pub(crate) struct Written {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// The body that a repeated request is answered with, where it is another: secrets are shown once.
    pub(crate) remembered: Option<Value>,
    /// The version for `ETag`.
    pub(crate) version: Option<u64>,
}

impl Written {
    /// An answer with this status and body.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_value(body).map_err(|_| Problem::internal())?;
        Ok(Self { status, body, remembered: None, version: None })
    }

    /// An answer without a body.
    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Value::Null, remembered: None, version: None }
    }

    /// The same with a version for `ETag`.
    pub(crate) fn tagged(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The same, but a repeated request is answered with `body`.
    pub(crate) fn remembered_as(mut self, body: Value) -> Self {
        self.remembered = Some(body);
        self
    }
}

/// Carries out a read: `use_case` gives what is to be answered.
pub(crate) async fn read<T, F>(call: TenantCall, use_case: F) -> Answer
where
    T: Serialize,
    F: for<'t> AsyncFnOnce(Tenant<'t>) -> Result<Private<'t, T>, Problem>,
{
    call.admission
        .enter(async |tenant| {
            let private = use_case(tenant.clone()).await?;
            let value = door::answer(&tenant, private).map_err(StoreError::from)?;
            Ok(axum::Json(value).into_response())
        })
        .await
}

/// Carries out a read of one object, whose version stands in `ETag`.
pub(crate) async fn read_versioned<T, F>(call: TenantCall, use_case: F) -> Answer
where
    T: Serialize,
    F: for<'t> AsyncFnOnce(Tenant<'t>) -> Result<Private<'t, Versioned<T>>, Problem>,
{
    call.admission
        .enter(async |tenant| {
            let private = use_case(tenant.clone()).await?;
            let (value, version) = door::answer(&tenant, private).map_err(StoreError::from)?;
            Ok(rendered(&Written::json(StatusCode::OK, &value)?.tagged(version)))
        })
        .await
}

/// Carries out a read whose answer is plain text.
pub(crate) async fn read_text<F>(call: TenantCall, use_case: F) -> Answer
where
    F: for<'t> AsyncFnOnce(Tenant<'t>) -> Result<Private<'t, String>, Problem>,
{
    call.admission
        .enter(async |tenant| {
            let private = use_case(tenant.clone()).await?;
            Ok(door::answer(&tenant, private).map_err(StoreError::from)?.into_response())
        })
        .await
}

/// Answers an operator's read.
pub(crate) fn answer(value: &impl Serialize) -> Answer {
    Ok(rendered(&Written::json(StatusCode::OK, value)?))
}

/// Notes a read for the audit log, aggregated.
pub(crate) fn note_read(
    api: &Api,
    admission: &Admission,
    tenant: &Tenant<'_>,
    action: Action,
    kind: &'static str,
    what: &str,
) {
    api.app.reads.note(admission, tenant, action, kind, what, api.app.env.now());
}

/// Carries out a write, once per idempotency key.
pub(crate) async fn write<F>(api: &Api, call: TenantCall, body_hash: [u8; 32], use_case: F) -> Answer
where
    F: for<'t> AsyncFnOnce(
        Tenant<'t>,
        Option<IdempotencyClaim>,
        Conditions,
    ) -> Result<Private<'t, Written>, Problem>,
{
    let TenantCall { admission, conditions } = call;
    admission
        .enter(async |tenant| {
            let claim = claim(api, &tenant, &conditions, body_hash);
            if let Some(claim) = &claim
                && let Some(replay) = replay(api, &tenant, claim).await?
            {
                return Ok(replay);
            }
            let outcome = use_case(tenant.clone(), claim.clone(), conditions).await;
            let written = match (outcome, &claim) {
                (Err(problem), Some(claim)) if problem.code == Code::IdempotencyConflict => {
                    // Another request with the same key was faster; its answer may be there by now.
                    return replay(api, &tenant, claim).await?.ok_or_else(|| problem.into());
                }
                (outcome, _) => outcome?,
            };
            let written = door::answer(&tenant, written).map_err(StoreError::from)?;
            // Where the answer's form was known before, it was committed with the write.
            if let Some(claim) = &claim
                && claim.answer == PlannedAnswer::Later
            {
                remember(api, &tenant, claim, &written).await?;
            }
            Ok(rendered(&written))
        })
        .await
}

/// Carries out a write that answers without a body.
pub(crate) async fn write_silently<F>(api: &Api, mut call: TenantCall, use_case: F) -> Answer
where
    F: for<'t> AsyncFnOnce(Tenant<'t>, Option<IdempotencyClaim>, Conditions) -> Result<(), Problem>,
{
    call.conditions.answer = PlannedAnswer::Known(StatusCode::NO_CONTENT.as_u16(), Vec::new());
    write(api, call, NO_BODY, async |tenant, claim, conditions| {
        use_case(tenant.clone(), claim, conditions).await?;
        Ok(Private::sent(&tenant, Written::empty()))
    })
    .await
}

/// Carries out an operator's write, once per idempotency key. The key is claimed before and given back if
/// the request was refused; where a crash or a fault lost the answer, a repeated request is told so and does nothing.
pub(crate) async fn write_as_operator<F>(
    api: &Api,
    call: OperatorCall,
    body_hash: [u8; 32],
    use_case: F,
) -> Answer
where
    F: AsyncFnOnce(&Operator, Conditions) -> Result<Written, Problem>,
{
    let OperatorCall { operator, conditions } = call;
    operator.must_change()?;
    let platform = &api.app.platform;
    let Some(claim) = claim_by(api, &operator.key().to_string(), &conditions, body_hash) else {
        return Ok(rendered(&use_case(&operator, conditions).await?));
    };
    let now = api.app.env.now();
    match platform.claim_for_operator(&operator, &claim, now).await {
        Err(StoreError::Claimed) => {
            let found = platform.operator_remembered(&operator, &claim.key, now).await?;
            return replayed(found.ok_or(StoreError::Claimed)?, &claim);
        }
        claimed => claimed?,
    }
    match use_case(&operator, conditions).await {
        Ok(written) => {
            let (status, body) = remembered(&written);
            platform.remember_for_operator(&operator, &claim, status, body).await?;
            Ok(rendered(&written))
        }
        Err(problem) => {
            // After a fault of ours something may have been done all the same.
            if problem.code.status() < 500 {
                platform.release_for_operator(&operator, &claim).await?;
            }
            Err(problem.into())
        }
    }
}

/// The caller's idempotency key, bound to its principal, to what it sent and to all that its credential may do: a
/// token of the same user may hold less than the one that was answered.
pub(crate) fn claim(
    api: &Api,
    tenant: &Tenant<'_>,
    conditions: &Conditions,
    body: [u8; 32],
) -> Option<IdempotencyClaim> {
    conditions.idempotency.as_ref()?;
    let rights = tenant.rights().to_string();
    let request = Sha256::new().chain_update(rights).chain_update([0]).chain_update(body).finalize();
    claim_by(api, &tenant.principal().id, conditions, request.into())
}

/// The idempotency key of this principal, for this request and no other.
fn claim_by(
    api: &Api,
    principal: &str,
    conditions: &Conditions,
    request: [u8; 32],
) -> Option<IdempotencyClaim> {
    let key = conditions.idempotency?;
    let key = Sha256::new().chain_update(principal).chain_update([0]).chain_update(key).finalize();
    let (until, answer) = (api.app.env.now().plus(KEPT), conditions.answer.clone());
    Some(IdempotencyClaim { key: key.into(), request, until, answer })
}

/// The answer to an earlier request with the same key and the same body.
async fn replay(
    api: &Api,
    tenant: &Tenant<'_>,
    claim: &IdempotencyClaim,
) -> Result<Option<Response>, Refused> {
    let Some(found) = api.app.store.remembered(tenant, &claim.key, api.app.env.now()).await? else {
        return Ok(None);
    };
    replayed(door::answer(tenant, found).map_err(StoreError::from)?, claim).map(Some)
}

/// The answer that is remembered, if it is to the same request.
pub(crate) fn replayed(found: Remembered, claim: &IdempotencyClaim) -> Answer {
    if found.request != claim.request {
        let detail = "The `Idempotency-Key` was used with another body, or by a credential with other rights. \
                      Use a fresh key for another request.";
        return Err(Problem::new(Code::IdempotencyConflict, detail).into());
    }
    match found.answer {
        None => Err(StoreError::Claimed.into()),
        Some((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = (status, body).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
            Ok(response)
        }
    }
}

async fn remember(
    api: &Api,
    tenant: &Tenant<'_>,
    claim: &IdempotencyClaim,
    written: &Written,
) -> Result<(), Problem> {
    let (status, body) = remembered(written);
    Ok(api.app.store.remember(tenant, claim, status, body).await?)
}

/// What a repeated request is answered with.
fn remembered(written: &Written) -> (u16, Vec<u8>) {
    let body = match written.remembered.as_ref().unwrap_or(&written.body) {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    (written.status.as_u16(), body)
}

/// The response that a write's answer is.
pub(crate) fn rendered(written: &Written) -> Response {
    let mut response = match &written.body {
        Value::Null => written.status.into_response(),
        body => (written.status, axum::Json(body)).into_response(),
    };
    if let Some(version) = written.version
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\""))
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
