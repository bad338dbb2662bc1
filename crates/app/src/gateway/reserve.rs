//! What a call may cost at most, and its admission with that reserved.

use super::fetched;
use super::resolve::{Resolved, resolve};
use super::settle::CALL;
use crate::App;
use context::{Invoke, Private, Tenant, on};
use errors::{Code, Problem};
use hmac::{Hmac, KeyInit, Mac};
use ids::{RunId, WorkflowId};
use limiter::{Held, LimitError, LimitStanding, PlannedCall};
use metering::prices::Price;
use metering::tokens::{Tokens, Usage, estimate};
use model::KeyOwner;
use model::dialect::openai::{ChatCall, ChatRequest, Upstream};
use money::Usd;
use sha2::Sha256;
use std::time::Duration;
use store::{Call, CallIntent, CallKind, IdempotencyClaim, KeyPurpose, Payer};

/// The most output tokens of an answer where neither the caller nor the endpoint says.
const DEFAULT_OUTPUT: u64 = 4096;
/// How much longer a lease is than the call may take: for the outcome to be written down.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Whom a call is charged to, and what it is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// Whose key and agent it is charged to.
    pub payer: Payer,
    /// The workflow that it is a step of.
    pub workflow: Option<WorkflowId>,
    /// The run that it is a step of.
    pub run: Option<RunId>,
}

/// A call that is ready to be admitted.
pub(super) struct Prepared<'t> {
    pub(super) resolved: Resolved,
    pub(super) chat: Private<'t, ChatCall>,
    pub(super) measure: Measure,
}

/// What is known of a call's size before it is made.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) price: Option<Price>,
    /// `None` where the prompt has no bound.
    prompt_bound: Option<u64>,
    prompt_estimate: u64,
    /// Of all choices together.
    output_bound: u64,
}

impl Measure {
    /// The most that the call can cost; `None` where it has no price, or there is no such amount.
    fn worst_case(&self) -> Option<Usd> {
        Some(self.price.as_ref()?.worst_case(self.prompt_bound?, self.output_bound))
    }

    /// The provider's counts where they came, else ours from what was emitted.
    pub(super) fn usage(&self, reported: Option<Tokens>, emitted_bytes: u64) -> Usage {
        Usage::reported_or(reported, || {
            // Three bytes a token leans high, as `estimate` does for prose.
            let output = emitted_bytes.div_ceil(3).min(self.output_bound);
            Tokens::plain(self.prompt_estimate, output)
        })
    }

    /// What these tokens cost; nothing where there is no price.
    pub(super) fn cost(&self, tokens: &Tokens) -> Usd {
        self.price.as_ref().map_or(Usd::ZERO, |price| price.cost(tokens))
    }
}

/// Checks a request, finds who serves it, and makes it ready to go out.
pub(super) async fn prepare<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    request: ChatRequest,
) -> Result<Prepared<'t>, Problem> {
    tenant.authorize::<Invoke<on::Model>>()?;
    let resolved = resolve(app, tenant, request.model()).await?;
    fetched::check(app, &resolved, &request).await?;
    let endpoint_limit = resolved.endpoint.max_output_tokens;
    let limit = endpoint_limit.or(request.max_output_tokens()).unwrap_or(DEFAULT_OUTPUT);
    let prompt = request.prompt_size();
    let prompt_bound = prompt.upper_bound();
    let body = serde_json::to_string(request.body()).map_err(|_| Problem::internal())?;
    let upstream = Upstream {
        model: resolved.model.clone(),
        max_output_tokens: limit,
        key_owner: resolved.target.key_owner,
        caller_name: caller_name(app, tenant, &request, resolved.target.key_owner).await?,
        quirks: resolved.target.quirks(),
    };
    let chat = request.into_call(&upstream)?;
    let measure = Measure {
        price: resolved.price.clone(),
        prompt_bound,
        prompt_estimate: estimate(&body).min(prompt_bound.unwrap_or(u64::MAX)),
        output_bound: chat.max_output_tokens.saturating_mul(u64::from(chat.choices)),
    };
    Ok(Prepared { resolved, chat: Private::sent(tenant, chat), measure })
}

/// A name for the principal that tells the provider nothing, where the request names its user.
async fn caller_name(
    app: &App,
    tenant: &Tenant<'_>,
    request: &ChatRequest,
    key_owner: KeyOwner,
) -> Result<Option<String>, Problem> {
    let named = ["user", "safety_identifier", "prompt_cache_key"];
    if key_owner == KeyOwner::Tenant || !named.iter().any(|name| request.body().contains_key(*name)) {
        return Ok(None);
    }
    let key = app.store.key(tenant, KeyPurpose::Cache).await?;
    let Ok(mut name) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return Ok(None) };
    name.update(b"tenantry caller name v1");
    name.update(tenant.principal().id.as_bytes());
    let digest = name.finalize().into_bytes();
    Ok(digest.get(..16).map(hex::encode))
}

/// A call that was admitted: its row as it will be written, what it holds until then, and where the limits
/// stand.
pub(super) struct Begun<'v, 't> {
    pub(super) call: Call,
    pub(super) held: Held<'v, 't>,
    pub(super) limits: LimitStanding,
    /// The caller's idempotency key, taken with the call's intent.
    pub(super) claim: Option<IdempotencyClaim>,
}

/// Admits the call, which may take so long.
pub(super) async fn admit<'v, 't>(
    app: &'v App,
    tenant: &'v Tenant<'t>,
    prepared: &Prepared<'_>,
    part_of: Attribution,
    time: Duration,
) -> Result<Begun<'v, 't>, Problem> {
    let worst_case = prepared.measure.worst_case();
    let mut call = row(app, &prepared.resolved, part_of, worst_case.unwrap_or_default());
    call.lease_until = call.started_at.plus(time).plus(LEASE_MARGIN);
    call.intent = Some(CallIntent { event: app.env.id(), action: CALL });
    // A call without a price reserves nothing, and is refused where a budget covers it.
    let planned = PlannedCall { worst_case, ..PlannedCall::from(&call) };
    let begun = Held::begin(app.limiter.as_ref(), tenant, &planned).await;
    let (held, admitted) = begun.map_err(|error| match error {
        LimitError::Unpriced if prepared.measure.price.is_some() => boundless(),
        error => error.into(),
    })?;
    Ok(Begun { call, held, limits: admitted.standing, claim: None })
}

fn boundless() -> Problem {
    let detail = "A money budget covers the call, and what a video, a file or a sound to be fetched costs has \
                  no bound that could be reserved. Send images or text.";
    Problem::new(Code::FieldNotAllowed, detail).with("param", "messages")
}

/// The row of a call that begins and ends now.
pub(super) fn row(app: &App, resolved: &Resolved, part_of: Attribution, reserved: Usd) -> Call {
    let now = app.env.now();
    Call {
        id: app.env.id(),
        kind: CallKind::Model,
        target: resolved.model.clone(),
        endpoint: Some(resolved.endpoint.name.to_string()),
        payer: part_of.payer,
        workflow: part_of.workflow,
        run: part_of.run,
        started_at: now,
        reserved,
        lease_until: now,
        intent: None,
    }
}
