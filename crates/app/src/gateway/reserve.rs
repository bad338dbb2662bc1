//! What a call may cost at most, and its admission with that reserved.

use super::resolve::{Resolved, resolve};
use crate::App;
use context::{Invoke, Private, Tenant, on};
use egress::Destination;
use errors::{Code, Problem};
use hmac::{Hmac, KeyInit, Mac};
use ids::{RunId, WorkflowId};
use limiter::{Kind, LimitStanding, PlannedCall};
use metering::budget::BudgetScope;
use metering::prices::Price;
use metering::tokens::{Tokens, Usage, estimate};
use model::KeyOwner;
use model::dialect::openai::{ChatCall, ChatRequest, Upstream};
use money::Usd;
use sha2::Sha256;
use std::time::Duration;
use store::{Call, CallKind, KeyPurpose};

/// The most output tokens of an answer where neither the caller nor the endpoint says.
const DEFAULT_OUTPUT: u64 = 4096;
/// How much longer a lease is than the call may take: for the outcome to be written down.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// What a call is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
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
    prompt_bound: u64,
    prompt_estimate: u64,
    /// Of all choices together.
    output_bound: u64,
}

impl Measure {
    /// The most that the call can cost; `None` where it has no price.
    fn worst_case(&self) -> Option<Usd> {
        self.price.as_ref().map(|price| price.worst_case(self.prompt_bound, self.output_bound))
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
    check_urls(app, &request)?;
    let resolved = resolve(app, tenant, request.model()).await?;
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
        prompt_estimate: estimate(&body).min(prompt_bound),
        output_bound: chat.max_output_tokens.saturating_mul(u64::from(chat.choices)),
    };
    Ok(Prepared { resolved, chat: Private::sent(tenant, chat), measure })
}

/// Every address that the provider would fetch must be one that the tenant could reach itself.
fn check_urls(app: &App, request: &ChatRequest) -> Result<(), Problem> {
    for url in request.fetched_urls() {
        let destination = Destination::parse(url).map_err(|error| {
            let detail = format!("An address in the request cannot be used: {error}.");
            Problem::new(Code::FieldNotAllowed, detail).with("param", "messages")
        })?;
        app.gateway.policy.permits_unresolved(&destination).map_err(|_| {
            let detail = "An address in the request is not one of the open internet.";
            Problem::new(Code::EgressDenied, detail).with("param", "messages")
        })?;
    }
    Ok(())
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

/// Admits the call: its row as it will be written, and where the limits stand.
pub(super) async fn admit(
    app: &App,
    tenant: &Tenant<'_>,
    prepared: &Prepared<'_>,
    part_of: Attribution,
) -> Result<(Call, LimitStanding), Problem> {
    let worst_case = prepared.measure.worst_case();
    let call = row(app, tenant, &prepared.resolved, part_of, worst_case.unwrap_or_default());
    let planned = PlannedCall {
        id: call.id,
        kind: Kind::Ai,
        scopes: scopes(&call),
        worst_case,
        at: call.started_at,
        lease_until: call.lease_until,
    };
    let admitted = app.limiter.begin(tenant, &planned).await?;
    Ok((call, admitted.standing))
}

/// The row of a call that begins now.
pub(super) fn row(
    app: &App,
    tenant: &Tenant<'_>,
    resolved: &Resolved,
    part_of: Attribution,
    reserved: Usd,
) -> Call {
    let now = app.env.now();
    Call {
        id: app.env.id(),
        kind: CallKind::Model,
        target: resolved.model.clone(),
        endpoint: Some(resolved.endpoint.name.to_string()),
        key: tenant.principal().key,
        agent: tenant.principal().agent,
        workflow: part_of.workflow,
        run: part_of.run,
        started_at: now,
        reserved,
        lease_until: now.plus(app.gateway.call_time).plus(LEASE_MARGIN),
    }
}

fn scopes(call: &Call) -> Vec<BudgetScope> {
    let key = call.key.map(BudgetScope::Key);
    let agent = call.agent.map(BudgetScope::Agent);
    let workflow = call.workflow.map(BudgetScope::Workflow);
    [Some(BudgetScope::Tenant), key, agent, workflow].into_iter().flatten().collect()
}
