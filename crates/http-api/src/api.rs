//! [`Api`]: what every route works with, and the router made of all routes.

use crate::bodies::Bodies;
use crate::call::{self, LetIn};
use crate::query::Declared;
use crate::shares::Shares;
use crate::writes::Writes;
use crate::{problem, routes};
use app::App;
use axum::extract::MatchedPath;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware;
use axum::{Extension, Router};
use context::Admission;
use errors::{Code, Problem};
use ids::{RequestId, TenantId};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::Instrument as _;

/// How far the server is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

/// The most callers that follow runs of one tenant.
const MAX_FOLLOWERS: usize = 100;

/// What every route works with.
#[derive(Clone)]
pub struct Api {
    /// The use cases' ports.
    pub app: Arc<App>,
    /// Whether the server takes work.
    phase: Arc<watch::Sender<Phase>>,
    /// The interface description, rendered once.
    pub(crate) document: Arc<str>,
    /// The writes that are under way.
    writes: Writes,
    /// The bodies that are in memory.
    pub(crate) bodies: Bodies,
    /// Who follows runs.
    pub(crate) followers: Shares<TenantId>,
}

impl Api {
    /// The API over these ports. It is not ready until it is told so.
    pub fn new(app: Arc<App>) -> Self {
        let document = crate::openapi::document(&routes::operations(), &app.public_url).to_string();
        let phase = Arc::new(watch::Sender::new(Phase::Starting));
        Self {
            app,
            phase,
            document: document.into(),
            writes: Writes::default(),
            bodies: Bodies::default(),
            followers: Shares::new(MAX_FOLLOWERS),
        }
    }

    /// Says that the server takes work from now on.
    pub fn set_ready(&self) {
        self.phase.send_replace(Phase::Serving);
    }

    /// Says that the server takes no work any more. Whatever follows something for long ends.
    pub fn set_draining(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Whether the server takes work.
    pub(crate) fn is_ready(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Waits until the server drains.
    pub(crate) async fn draining(&self) {
        let mut phase = self.phase.subscribe();
        // The sender is this value's own.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }

    /// Waits for the writes whose callers may be gone, and takes no other.
    pub async fn drained(&self) {
        self.writes.drained().await;
    }
}

/// The router made of all operations.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    for operation in routes::operations() {
        let query = operation.query.iter().map(|parameter| parameter.name).collect();
        let declared = Declared { query, time: operation.time };
        let mut handler = operation.handler.layer(Extension(declared));
        if operation.is_carried_out_to_its_end {
            handler = handler.layer(middleware::from_fn_with_state(api.clone(), to_its_end));
        }
        router = router.route(operation.path, handler);
    }
    router
        .fallback(async || -> Result<(), problem::Refused> { Err(Problem::not_found().into()) })
        .method_not_allowed_fallback(async |method: Method| -> Result<(), problem::Refused> {
            let detail =
                format!("This path does not take {method}. `GET /openapi.json` lists the operations.");
            Err(Problem::new(Code::MethodNotAllowed, detail).into())
        })
        .layer(middleware::from_fn_with_state(api.clone(), around))
        .with_state(api)
}

/// Carries a write out whether or not its caller waits.
async fn to_its_end(
    axum::extract::State(api): axum::extract::State<Api>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> axum::response::Response {
    api.writes.carry_out(next.run(request)).await
}

/// What stands around every request: its id, its lines' place in the log, the problem's form, the headers that
/// every answer carries.
async fn around(
    axum::extract::State(api): axum::extract::State<Api>,
    mut request: axum::extract::Request,
    next: middleware::Next,
) -> axum::response::Response {
    let id: RequestId = api.app.env.id();
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let visitor = LetIn::default();
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(visitor.clone());
    // No path as it was asked for, no query: they may hold what belongs into no log.
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        http.method = method_name(&method),
        http.route = %route,
        trace.link = call::trace_link(request.headers()),
        tenant.id = tracing::field::Empty,
        principal.kind = tracing::field::Empty,
    );
    let response = async {
        let response = next.run(request).await;
        let refused = response.extensions().get::<Problem>().map(|problem| problem.code);
        if let (Some(code @ (Code::Forbidden | Code::TenantMismatch)), Some(admission)) =
            (refused, visitor.admission())
        {
            note_refusal(&api, admission.clone(), format!("{} {route}", method_name(&method)), code).await;
        }
        let response = problem::render(response, id, &path, &api.app.public_url);
        tracing::debug!(http.status = response.status().as_u16(), "answered");
        response
    };
    let mut response = response.instrument(span).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The method's name, if it is one of those that there are: callers may make up others.
fn method_name(method: &Method) -> &'static str {
    let known = [&Method::GET, &Method::POST, &Method::PUT, &Method::PATCH, &Method::DELETE, &Method::HEAD];
    let names = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
    known.iter().zip(names).find(|(one, _)| **one == method).map_or("other", |(_, name)| name)
}

/// Tells the tenant's log that a principal of its own was refused something.
async fn note_refusal(api: &Api, admission: Admission, operation: String, code: Code) {
    let (noted, now) = (admission.clone(), api.app.env.now());
    let note = async |tenant: context::Tenant<'_>| {
        api.app.reads.note_refusal(&noted, &tenant, &operation, code, now);
    };
    admission.enter(note).await;
}
