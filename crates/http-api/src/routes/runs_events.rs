//! `GET /v1/runs/{id}/events`: what happens to a run, as server-sent events: first what has happened, then what
//! happens, until the run is over. `Last-Event-ID` goes on after what was seen.

use crate::call::{TenantCall, named};
use crate::follow::{Wanted, follow};
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::runs;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::{HeaderMap, Method};

const FOLLOW: Action = Action::new("run.follow");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/runs/{id}/events", handle)
        .about("work", "Follow a run: what has happened, then what happens, until it is over")
        .for_tenants::<Read<on::Run>>()
        .audited(Audited::Aggregated("run.follow"))
        .answers_with(200, "text/event-stream")
}

async fn handle(
    State(api): State<Api>,
    headers: HeaderMap,
    call: TenantCall,
    Path(id): Path<String>,
) -> Answer {
    let id = named(&id)?;
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let from = seen.map_or(0, |seen| seen.saturating_add(1));
    let wanted = Wanted {
        headers: &headers,
        noted: (FOLLOW, "run", "events"),
        may: Box::new(|tenant| tenant.authorize::<Read<on::Run>>().is_ok()),
    };
    follow(api, call, wanted, async |api, admission| runs::follow(&api.app, admission, id, from).await).await
}
