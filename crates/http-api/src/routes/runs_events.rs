//! `GET /v1/runs/{id}/events`: what happens to a run, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): first what has happened, then what
//! happens, until the run is over. `Last-Event-ID` goes on after what was seen.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read};
use crate::{Api, Audited, Operation};
use app::runs::{self, Notice};
use audit::event::Action;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use context::{Read, on};
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const FOLLOW: Action = Action::new("run.follow");
/// How often a line without meaning shows that the connection lives.
const STILL_HERE: Duration = Duration::from_secs(15);

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
    let notices = runs::follow(&api.app, call.admission.clone(), id, from).await?;
    let noted = call.admission.clone();
    call.admission.enter(async |tenant| note_read(&api, &noted, &tenant, FOLLOW, "run", "events")).await;
    Ok(streamed(notices))
}

fn streamed(notices: Receiver<Notice>) -> Response {
    let lines = stream::unfold(notices, |mut notices| async move {
        let text = match tokio::time::timeout(STILL_HERE, notices.recv()).await {
            Ok(notice) => {
                let Notice { number, name, data } = notice?;
                format!("id: {number}\nevent: {name}\ndata: {data}\n\n")
            }
            Err(_) => ":\n\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), notices))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // Proxies that gather an answer would hold back its pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
