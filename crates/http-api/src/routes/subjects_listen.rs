//! `GET /v1/subjects/{subject}`: what is told under a subject, or under all that a pattern matches, as server-sent events.
//! `Last-Event-ID` goes on after what was heard, as far as that is kept; of what the server tells, as far as the log goes.

use crate::call::TenantCall;
use crate::follow::{Wanted, follow};
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::messages;
use audit::event::Action;
use axum::extract::State;
use bus::Place;
use context::{Read, on};
use errors::Problem;
use http::{HeaderMap, Method};

const LISTEN: Action = Action::new("message.listen");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/subjects/{subject}", handle)
        .about("messages", "Listen to what is told under a subject, or under all that a pattern matches")
        .for_tenants::<Read<on::Message>>()
        .audited(Audited::Aggregated("message.listen"))
        .answers_with(200, "text/event-stream")
}

async fn handle(
    State(api): State<Api>,
    headers: HeaderMap,
    call: TenantCall,
    Path(pattern): Path<String>,
) -> Answer {
    let after = heard(&headers)?;
    let named = pattern.clone();
    let wanted = Wanted {
        headers: &headers,
        noted: (LISTEN, "message", "subjects"),
        may: Box::new(move |tenant| messages::may_listen(tenant, &named).is_ok()),
    };
    follow(api, call, wanted, async |api, admission| {
        messages::listen(&api.app, admission, pattern, after).await
    })
    .await
}

/// The place after which the caller wants to go on.
fn heard(headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let place = value.to_str().ok().and_then(|text| text.parse().ok());
    place
        .map(Some)
        .ok_or_else(|| Problem::invalid("`Last-Event-ID` is the `id` of an event that was heard here."))
}
