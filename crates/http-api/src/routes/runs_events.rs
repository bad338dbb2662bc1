//! `GET /v1/runs/{id}/events`: what happens to a run, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): first what has happened, then what
//! happens, until the run is over. `Last-Event-ID` goes on after what was seen.

use crate::call::{TenantCall, named, presented};
use crate::query::Path;
use crate::respond::{Answer, note_read};
use crate::shares::Share;
use crate::{Api, Audited, Operation};
use app::runs::{self, Notice};
use audit::event::Action;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use context::{Caller, Presented, Read, Refusal, RequestFacts, on};
use errors::{Code, Problem};
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use ids::TenantId;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const FOLLOW: Action = Action::new("run.follow");
/// How often a line without meaning shows that the connection lives, where nothing happens. The credential is
/// looked at before: who is not let in any more follows nothing.
const STILL_HERE: Duration = Duration::from_secs(4);

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
    let Some(place) = api.followers.take(call.admission.tenant_id(), 1) else {
        let detail = "So many callers follow runs of this tenant already. End one of them first.";
        return Err(Problem::new(Code::ConcurrencyLimited, detail).retry_after(5).into());
    };
    let notices = runs::follow(&api.app, call.admission.clone(), id, from).await?;
    let noted = call.admission.clone();
    call.admission.enter(async |tenant| note_read(&api, &noted, &tenant, FOLLOW, "run", "events")).await;
    Ok(streamed(Following { api, presented: presented(&headers), notices, _place: place }))
}

/// A caller that follows a run.
struct Following {
    api: Api,
    presented: Presented,
    notices: Receiver<Notice>,
    _place: Share<TenantId>,
}

impl Following {
    /// What is sent next; nothing where the run is over, the server drains, or the credential holds no more.
    async fn next(&mut self) -> Option<String> {
        let noticed = tokio::select! {
            noticed = tokio::time::timeout(STILL_HERE, self.notices.recv()) => noticed,
            () = self.api.draining() => return None,
        };
        match noticed {
            Ok(notice) => {
                let Notice { number, name, data } = notice?;
                Some(format!("id: {number}\nevent: {name}\ndata: {data}\n\n"))
            }
            Err(_) => self.is_let_in().await.then(|| ":\n\n".to_owned()),
        }
    }

    async fn is_let_in(&self) -> bool {
        let facts = RequestFacts::internal(self.api.app.env.id());
        match self.api.app.authenticator.authenticate(&self.presented, facts).await {
            Ok(Caller::Tenant(_)) | Err(Refusal::Unavailable) => true,
            Ok(Caller::Operator(_) | Caller::Grant(_)) | Err(_) => false,
        }
    }
}

fn streamed(following: Following) -> Response {
    let lines = stream::unfold(following, |mut following| async move {
        let text = following.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), following))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // Proxies that gather an answer would hold back its pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
