//! Following: notices as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), for as
//! long as the caller's credential is let in and may see them.

use crate::Api;
use crate::call::{TenantCall, presented};
use crate::respond::{Answer, note_read};
use crate::shares::Share;
use app::Notice;
use audit::event::Action;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use context::{Caller, Presented, Refusal, RequestFacts, Tenant};
use errors::{Code, Problem};
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use ids::TenantId;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often the credential is looked at: who is not let in any more follows nothing. A line without meaning shows
/// that the connection lives.
const STILL_HERE: Duration = Duration::from_secs(4);

/// Whether a visit may see what is followed.
type May = Box<dyn Fn(&Tenant<'_>) -> bool + Send + Sync>;

/// What a caller wants to follow.
pub(crate) struct Wanted<'h> {
    /// The call's headers, in which its credential is.
    pub(crate) headers: &'h HeaderMap,
    /// What is noted of it for the audit log.
    pub(crate) noted: (Action, &'static str, &'static str),
    /// Whether a visit may still see it.
    pub(crate) may: May,
}

/// Answers with what `begin` tells of.
pub(crate) async fn follow<F>(api: Api, call: TenantCall, wanted: Wanted<'_>, begin: F) -> Answer
where
    F: AsyncFnOnce(&Api, context::Admission) -> Result<Receiver<Notice>, Problem>,
{
    let Some(place) = api.followers.take(call.admission.tenant_id(), 1) else {
        let detail = "So many callers follow something of this tenant already. End one of them first.";
        return Err(Problem::new(Code::ConcurrencyLimited, detail).retry_after(5).into());
    };
    let notices = begin(&api, call.admission.clone()).await?;
    let (noted, (action, kind, what)) = (call.admission.clone(), wanted.noted);
    call.admission.enter(async |tenant| note_read(&api, &noted, &tenant, action, kind, what)).await;
    // The call itself was let in a moment ago, so the first look is due later.
    let mut look = tokio::time::interval_at(Instant::now() + STILL_HERE, STILL_HERE);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let presented = presented(wanted.headers);
    Ok(streamed(Following { api, presented, may: wanted.may, notices, look, _place: place }))
}

/// A caller that follows something.
struct Following {
    api: Api,
    presented: Presented,
    may: May,
    notices: Receiver<Notice>,
    look: Interval,
    _place: Share<TenantId>,
}

impl Following {
    /// What is sent next; nothing where there is no more, the server drains, or the credential holds no more.
    async fn next(&mut self) -> Option<String> {
        tokio::select! {
            // However much there is to tell: who may not hear it is not told.
            biased;
            () = self.api.draining() => None,
            _ = self.look.tick() => self.is_let_in().await.then(|| ":\n\n".to_owned()),
            notice = self.notices.recv() => {
                let Notice { id, name, data } = notice?;
                let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
                Some(format!("{id}event: {name}\ndata: {data}\n\n"))
            }
        }
    }

    async fn is_let_in(&self) -> bool {
        let facts = RequestFacts::internal(self.api.app.env.id());
        match self.api.app.authenticator.authenticate(&self.presented, facts).await {
            Ok(Caller::Tenant(admission)) => admission.enter(async |tenant| (self.may)(&tenant)).await,
            Err(Refusal::Unavailable) => true,
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
