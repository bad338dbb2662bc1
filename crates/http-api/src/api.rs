//! [`Api`]: what every route works with, and the router made of all routes.

use crate::query::Declared;
use crate::{problem, routes};
use app::App;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware;
use axum::{Extension, Router};
use errors::{Code, Problem};
use ids::RequestId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What every route works with.
#[derive(Clone)]
pub struct Api {
    /// The use cases' ports.
    pub app: Arc<App>,
    /// Whether the server takes work: false while it starts and while it drains.
    ready: Arc<AtomicBool>,
    /// The interface description, rendered once.
    pub(crate) document: Arc<str>,
}

impl Api {
    /// The API over these ports. It is not ready until it is told so.
    pub fn new(app: Arc<App>) -> Self {
        let document = crate::openapi::document(&routes::operations(), &app.public_url).to_string();
        Self { app, ready: Arc::default(), document: document.into() }
    }

    /// Says whether the server takes work.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    /// Whether the server takes work.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

/// The router made of all operations.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    for operation in routes::operations() {
        let declared = operation.query.iter().map(|parameter| parameter.name).collect();
        let handler = operation.handler.layer(Extension(Declared(declared)));
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

/// What stands around every request: its id, the problem's form, the headers that every answer carries.
async fn around(
    axum::extract::State(api): axum::extract::State<Api>,
    mut request: axum::extract::Request,
    next: middleware::Next,
) -> axum::response::Response {
    let id: RequestId = api.app.env.id();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(id);
    let response = next.run(request).await;
    let mut response = problem::render(response, id, &path, &api.app.public_url);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
