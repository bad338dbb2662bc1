//! `http` steps: a call to an outside service. That it will be made is durable before its first byte
//! leaves, and how it went is written down after.

use super::{Scene, Turn, call_id, outcome, put_off};
use crate::open::open;
use crate::worker::Shared;
use audit::event::{Action, Draft, Outcome as Ending};
use context::{Invoke, Private, Tenant, on};
use egress::{
    AttachedCredential, Destination, EgressError, Headers, Method, OutboundRequest, OutboundResponse,
};
use errors::Problem;
use ids::Slug;
use limiter::Held;
use metering::tokens::Tokens;
use money::Usd;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Call, CallIntent, CallKind, CallOutcome, CallStatus, Commit};
use workflow::definition::OnUnknown;
use workflow::engine::{StepError, StepErrorCode};
use workflow::{Outcome, Request};

/// What a service answers that does not take the credential.
const UNAUTHORIZED: u16 = 401;
const CALL: Action = Action::new("http.call");
/// How much longer a lease is than the call may take.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

pub(super) async fn perform(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    request: Request,
) -> Outcome {
    match carry_out(shared, tenant, scene, &request).await {
        Ok(answer) => Outcome::Succeeded { output: output(&answer), cost: None },
        Err(outcome) => outcome,
    }
}

/// Makes the call. Where the service refuses an access token, it is renewed once and the call is made once
/// more: a call of its own, with the same idempotency key, within the attempt's time.
async fn carry_out(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    request: &Request,
) -> Result<OutboundResponse, Outcome> {
    let refused = |problem: Problem| outcome::of(problem, shared.app.env.now());
    let credential = match service(request) {
        None => None,
        Some(service) => Some(shared.app.credentials.attach(tenant, service).await.map_err(refused)?),
    };
    let outbound = prepare(shared, tenant, scene, request, credential.clone()).map_err(refused)?;
    let answer = call(shared, tenant, scene, outbound, Turn::First).await?;
    let (Some(service), Some(sent), UNAUTHORIZED) = (service(request), credential, answer.status) else {
        return Ok(answer);
    };
    match shared.app.credentials.refresh_now(tenant, service).await {
        // What cannot be renewed is what it was, and would be refused again.
        Ok(renewed) if renewed.differs_from(&sent) => {
            let outbound = prepare(shared, tenant, scene, request, Some(renewed)).map_err(refused)?;
            call(shared, tenant, scene, outbound, Turn::Renewed).await
        }
        Ok(_) => Ok(answer),
        Err(problem) => {
            tracing::info!(tenant.id = %tenant.id(), %service, %problem, "a refused credential is not renewed");
            Ok(answer)
        }
    }
}

fn service(request: &Request) -> Option<&Slug> {
    match request {
        Request::Http { credential, .. } => credential.as_ref(),
        _ => None,
    }
}

/// One call, with what is durable before it and after it.
async fn call(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    outbound: OutboundRequest,
    turn: Turn,
) -> Result<OutboundResponse, Outcome> {
    let now = shared.app.env.now();
    let call = row(shared, scene, &outbound, turn);
    let held = match Held::begin(shared.app.limiter.as_ref(), tenant, &(&call).into()).await {
        Ok((held, _)) => held,
        Err(error) => return Err(outcome::of(error.into(), now)),
    };
    let about = about(tenant, scene, &call, (outbound.method.as_str(), turn));
    let event = call.intent.as_ref().map(|intent| intent.event);
    let intent = Draft { id: event, result: Ending::Intent, ..about.clone() };
    let written = shared.app.store.begin_call(tenant, &call, Commit::event(intent));
    held.written();
    if let Err(error) = written.await {
        // It has not left, and it does not.
        let _ = shared.app.limiter.release(tenant, call.id).await;
        return Err(outcome::of(error.into(), now));
    }
    if !super::holds(shared, tenant) {
        return Err(Outcome::Unknown);
    }
    let answer = shared.egress.send(tenant, Private::sent(tenant, outbound)).await;
    let ended = end(shared, tenant, &call, Draft { intent: event, ..about }, &answer).await;
    match (answer, ended) {
        // An effect whose outcome is not durable is as unknown as after a stop.
        (_, Err(_)) => Err(Outcome::Unknown),
        (Ok(answer), Ok(())) => open(tenant, answer).map_err(|problem| outcome::of(problem, now)),
        (Err(error), Ok(())) => Err(failed(scene, error, shared)),
    }
}

/// The request as it will leave, with its credential.
fn prepare(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    request: &Request,
    credential: Option<AttachedCredential>,
) -> Result<OutboundRequest, Problem> {
    tenant.authorize::<Invoke<on::Egress>>()?;
    let Request::Http { method, url, headers, query, body, max_response_bytes, .. } = request else {
        return Err(Problem::invalid("The step is not an `http` step."));
    };
    let url = Destination::parse(&addressed(url, query))
        .map_err(|error| Problem::invalid(format!("The URL cannot be used: {error}.")))?;
    let mut fields: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let has = |name: &str| headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    if body.is_some() && !has("content-type") {
        fields.push(("content-type", "application/json"));
    }
    if !has("accept") {
        fields.push(("accept", "application/json"));
    }
    fields.push(("idempotency-key", &scene.idempotency_key));
    let headers = Headers::parse(fields)
        .map_err(|error| Problem::invalid(format!("A header cannot be sent: {error}.")))?;
    let mut outbound = OutboundRequest::new(spoken(*method), url);
    outbound.headers = headers;
    outbound.body = body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
    outbound.credential = credential;
    outbound.max_response_bytes = usize::try_from(*max_response_bytes).unwrap_or(usize::MAX);
    outbound.timeout = scene.time_left(shared);
    Ok(outbound)
}

fn addressed(url: &str, query: &BTreeMap<String, String>) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{encoded}")
}

fn spoken(method: workflow::definition::Method) -> Method {
    use workflow::definition::Method as Defined;
    match method {
        Defined::Get => Method::Get,
        Defined::Head => Method::Head,
        Defined::Post => Method::Post,
        Defined::Put => Method::Put,
        Defined::Patch => Method::Patch,
        Defined::Delete => Method::Delete,
    }
}

fn row(shared: &Shared, scene: &Scene, request: &OutboundRequest, turn: Turn) -> Call {
    let now = shared.app.env.now();
    Call {
        id: call_id(scene.run, scene.step, (scene.attempt, turn), scene.began),
        kind: CallKind::Service,
        target: request.url.authority(),
        endpoint: None,
        payer: scene.payer,
        workflow: Some(scene.workflow),
        run: Some(scene.run),
        started_at: now,
        reserved: Usd::ZERO,
        lease_until: now.plus(request.timeout).plus(LEASE_MARGIN),
        intent: Some(CallIntent { event: shared.app.env.id(), action: CALL }),
    }
}

fn about(tenant: &Tenant<'_>, scene: &Scene, call: &Call, (method, turn): (&str, Turn)) -> Draft {
    let mut draft = context::event::draft(tenant, CALL, "service", call.target.clone());
    let facts = [
        ("call", json!(call.id)),
        ("run", json!(scene.run)),
        ("workflow", json!(scene.workflow)),
        ("node", json!(scene.node)),
        ("attempt", json!(scene.attempt)),
        ("method", json!(method)),
    ];
    draft.details.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    if turn == Turn::Renewed {
        draft.details.insert("credential_renewed".into(), json!(true));
    }
    draft
}

/// Writes down how the call went.
async fn end(
    shared: &Shared,
    tenant: &Tenant<'_>,
    call: &Call,
    mut draft: Draft,
    answer: &Result<Private<'_, OutboundResponse>, EgressError>,
) -> Result<(), store::StoreError> {
    let status = match answer {
        Ok(answer) => {
            let mut status = 0;
            // A status is a fact about the call and no content.
            answer.as_ref().map(|answer| status = answer.status);
            draft.details.insert("status".into(), json!(status));
            CallStatus::Settled
        }
        Err(error) if error.sent() => {
            draft.result = Ending::OutcomeUnknown;
            CallStatus::Unknown
        }
        Err(
            EgressError::Denied(_) | EgressError::HostNotInCredential | EgressError::CredentialInTheClear,
        ) => {
            draft.result = Ending::Denied;
            CallStatus::Released
        }
        Err(_) => {
            draft.result = Ending::Failure;
            CallStatus::Released
        }
    };
    let outcome = CallOutcome {
        status,
        finished_at: shared.app.env.now(),
        tokens: Tokens::default(),
        cost: Usd::ZERO,
        unpriced: false,
        estimated: false,
        cached: false,
    };
    shared.app.store.end_call(tenant, call, outcome, Commit::event(draft)).await?;
    let closed = match status {
        CallStatus::Released => shared.app.limiter.release(tenant, call.id).await,
        _ => shared.app.limiter.settle(tenant, call.id, Usd::ZERO).await,
    };
    if let Err(error) = closed {
        // Its lease ends in the limiter's memory, too.
        tracing::warn!(tenant.id = %tenant.id(), %error, "a call was not settled");
    }
    Ok(())
}

fn failed(scene: &Scene, error: EgressError, shared: &Shared) -> Outcome {
    let sent = error.sent();
    if matches!(error, EgressError::Busy) {
        return put_off(shared, scene);
    }
    let problem = Problem::from(error);
    if !sent {
        return outcome::of(problem, shared.app.env.now());
    }
    let (code, message, retryable) = match scene.on_unknown {
        OnUnknown::Retry => (StepErrorCode::UpstreamFailed, problem.detail, true),
        OnUnknown::Stop => {
            let message = format!("{} It may have taken effect; check before you retry.", problem.detail);
            (StepErrorCode::OutcomeUnknown, message, false)
        }
    };
    Outcome::Failed { error: StepError::new(code, message), retryable, cost: None }
}

/// The answer as templates see it: JSON where it is JSON, else text.
fn output(answer: &OutboundResponse) -> Value {
    let body = match answer.body.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
    };
    json!({"status": answer.status, "body": body})
}

#[cfg(test)]
mod tests {
    use super::addressed;
    use std::collections::BTreeMap;

    #[test]
    fn parameters_are_encoded_behind_what_is_there() {
        let query = BTreeMap::from([("q".to_owned(), "a b&c".to_owned())]);
        assert_eq!(addressed("https://api.example/x", &query), "https://api.example/x?q=a+b%26c");
        assert_eq!(addressed("https://api.example/x?y=1", &query), "https://api.example/x?y=1&q=a+b%26c");
        assert_eq!(addressed("https://api.example/x", &BTreeMap::new()), "https://api.example/x");
    }
}
