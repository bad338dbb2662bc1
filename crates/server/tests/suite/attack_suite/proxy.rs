//! A proxy in front of the real server that learns both tenants' keys as they are made, and uses them for
//! the one leak that it has.

use super::plant::Plant;
use bytes::Bytes;
use client::{Answer, BaseUrl, Client};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use secret::SecretText;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use verify::{OwnServer, Places};

/// A running proxy; it ends with this value.
pub(super) struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

pub(super) struct Inner {
    server: Client,
    pub(super) operator: SecretText,
    pub(super) places: Places,
    pub(super) plant: Plant,
    /// Owners' keys by tenant, in the order in which the tenants were made.
    pub(super) owners: Mutex<Vec<(String, String)>>,
    pub(super) kept: Mutex<HashMap<String, Answer>>,
    /// Credentials by service.
    pub(super) secrets: Mutex<HashMap<String, String>>,
}

/// A request as it came.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Proxy {
    pub(super) async fn start(server: &OwnServer, plant: Plant) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (places, operator) = (server.places(), server.operator_key.clone());
        let server = Client::new(server.url.clone());
        let (owners, kept, secrets) = (Mutex::default(), Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { server, operator, places, plant, owners, kept, secrets });
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (inner, last) = (inner.clone(), Arc::new(Mutex::default()));
                let service = service_fn(move |request| handle(inner.clone(), last.clone(), request));
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // Whoever breaks a connection off does so on purpose.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, task }
    }

    pub(super) fn url(&self) -> BaseUrl {
        format!("http://{}", self.address).parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(
    inner: Arc<Inner>,
    last: Arc<Mutex<Option<HeaderValue>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    if inner.plant == Plant::ConnectionsRemember {
        let mut last = last.lock().unwrap();
        match (parts.headers.get("authorization"), last.as_ref()) {
            (Some(key), _) => *last = Some(key.clone()),
            (None, Some(key)) => drop(parts.headers.insert("authorization", key.clone())),
            (None, None) => {}
        }
    }
    if inner.plant == Plant::StreamsAreTheFirstCallers && parts.version == Version::HTTP_2 {
        let mut first = last.lock().unwrap();
        match first.as_ref() {
            Some(key) => drop(parts.headers.insert("authorization", key.clone())),
            None => *first = parts.headers.get("authorization").cloned(),
        }
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked = Asked { method: parts.method, path, headers: parts.headers, body };
    let answer = inner.answer(&asked).await;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    for name in ["content-length", "transfer-encoding", "connection"] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

impl Asked {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn key(&self) -> Option<String> {
        self.text("authorization")?.strip_prefix("Bearer ").map(str::to_owned)
    }

    pub(super) fn streams(&self) -> bool {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        self.path == "/v1/chat/completions" && body["stream"] == true
    }

    /// Whether it is answered for as long as somebody listens.
    fn follows(&self) -> bool {
        let run = self.path.starts_with("/v1/runs/") && self.path.ends_with("/events");
        self.method == Method::GET && (run || self.path.starts_with("/v1/subjects/"))
    }

    pub(super) fn is(&self, method: Method, prefix: &str) -> bool {
        self.method == method && self.path.starts_with(prefix)
    }
}

fn is_grant(key: Option<&str>) -> bool {
    key.is_some_and(|key| key.starts_with("vg_"))
}

impl Inner {
    async fn answer(&self, asked: &Asked) -> Answer {
        self.write_down(asked);
        self.reach(asked).await;
        let own = asked.key();
        let answer = match self.instead(asked, own.as_deref()).await {
            Some(answer) => answer,
            None => self.pass(asked, own.as_deref()).await,
        };
        if asked.method == Method::POST && asked.path == "/v1/tenants" {
            let made = answer.json();
            if let (Some(id), Some(key)) = (made["id"].as_str(), made["api_key"]["key"].as_str()) {
                self.owners.lock().unwrap().push((id.to_owned(), key.to_owned()));
            }
        }
        self.afterwards(asked, own.as_deref(), answer).await
    }

    /// The request as it is, with this key.
    pub(super) async fn pass(&self, asked: &Asked, key: Option<&str>) -> Answer {
        let client = self.server.without_key();
        let mut call = client.call(asked.method.clone(), &asked.path);
        for (name, value) in &asked.headers {
            if !["host", "authorization", "content-length", "content-type"].contains(&name.as_str()) {
                call = call.header(name.as_str(), value.to_str().unwrap_or_default());
            }
        }
        if let Some(key) = key {
            call = call.key(SecretText::new(key.to_owned()));
        }
        if let Some(kind) = asked.text("content-type") {
            call = call.body(kind, asked.body.clone());
        }
        let answer = match asked.follows() {
            true => call.listen(Duration::from_millis(300)).await,
            false => call.send().await,
        };
        answer.unwrap_or_else(|_| Answer {
            status: StatusCode::BAD_GATEWAY,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    /// The owner's key of the first tenants' other one.
    pub(super) fn other(&self, own: Option<&str>) -> Option<String> {
        let owners = self.owners.lock().unwrap();
        let other = owners.iter().take(2).find(|(_, key)| Some(key.as_str()) != own);
        own.filter(|own| owners.iter().any(|(_, key)| key == own)).and(other).map(|(_, key)| key.clone())
    }

    pub(super) fn owner_of(&self, tenant: &str) -> Option<String> {
        let owners = self.owners.lock().unwrap();
        owners.iter().find(|(id, _)| id == tenant).map(|(_, key)| key.clone())
    }

    /// The key of whoever a subject is taken to be of.
    fn subject_of(&self, asked: &Asked, own: Option<&str>) -> Option<String> {
        if self.plant == Plant::SubjectsNameTheTenant {
            let (tenant, _) = asked.path.strip_prefix("/v1/subjects/tenant.")?.split_once('.')?;
            return self.owner_of(tenant);
        }
        let everything = match self.plant {
            Plant::HintsReachEverybody => "/v1/subjects/audit.%3E",
            _ => "/v1/subjects/app.%3E",
        };
        self.other(own).filter(|_| asked.is(Method::GET, everything))
    }

    /// What the answer is kept under, where it is.
    fn replayed<'a>(&self, asked: &'a Asked) -> Option<&'a str> {
        let by_token = asked.key()?.starts_with("ey");
        let kept = match self.plant {
            Plant::ReplaysToAnyKey => !by_token,
            Plant::ReplaysToAnyToken => by_token,
            Plant::ReplaysAtObjects => asked.path.starts_with("/v1/workflows/"),
            _ => true,
        };
        asked.text("idempotency-key").filter(|_| kept)
    }

    /// An answer in the place of the server's.
    async fn instead(&self, asked: &Asked, own: Option<&str>) -> Option<Answer> {
        match self.plant {
            plant if plant.replays() => {
                let mut kept = self.kept.lock().unwrap().get(self.replayed(asked)?).cloned()?;
                kept.headers.insert("idempotency-replayed", http::HeaderValue::from_static("true"));
                Some(kept)
            }
            Plant::HeaderChoosesTheTenant => {
                let owner = self.owner_of(asked.text("x-tenant-id")?)?;
                Some(self.pass(asked, Some(&owner)).await)
            }
            Plant::TruncatedKeysOpen => {
                let beginning = own?.get(..80)?;
                let owners = self.owners.lock().unwrap().clone();
                let (_, owner) = owners.iter().find(|(_, key)| key.starts_with(beginning))?;
                Some(self.pass(asked, Some(owner)).await)
            }
            Plant::CacheForgetsTheTenant => {
                asked.text("x-tenantry-cache")?;
                let mut kept = self
                    .kept
                    .lock()
                    .unwrap()
                    .get(&String::from_utf8_lossy(&asked.body).into_owned())
                    .cloned()?;
                kept.headers.insert("x-tenantry-cache", http::HeaderValue::from_static("hit"));
                Some(kept)
            }
            Plant::KeptAnswersOutliveTheTenant => {
                asked.text("x-tenantry-cache")?;
                let first_two =
                    self.owners.lock().unwrap().iter().take(2).any(|(_, key)| Some(key.as_str()) == own);
                let body = String::from_utf8_lossy(&asked.body).into_owned();
                let mut kept = self.kept.lock().unwrap().get(&body).cloned().filter(|_| !first_two)?;
                let by_another = kept.headers.get("x-kept-for")?.to_str().ok() != own;
                kept.headers.insert("x-tenantry-cache", http::HeaderValue::from_static("hit"));
                by_another.then_some(kept)
            }
            Plant::UnsignedTokensOpen | Plant::TokensNameTheTenant => {
                let owner = self.claimed(own)?;
                Some(self.pass(asked, Some(&owner)).await)
            }
            Plant::QueryNamesTheTenant | Plant::BodyNamesTheTenant | Plant::CursorsCarryTheTenant => {
                let owner = self.named(asked)?;
                Some(self.pass(&Self::without_the_tenant(asked), Some(&owner)).await)
            }
            Plant::AnybodySpeaksForTheServer if asked.is(Method::POST, "/v1/subjects/audit.") => {
                let path = asked.path.replace("/audit.", "/app.");
                Some(self.pass(&Asked { path, ..asked.clone() }, own).await)
            }
            Plant::SubjectsNameTheTenant | Plant::PatternsReachEverybody | Plant::HintsReachEverybody => {
                let whose = self.subject_of(asked, own)?;
                Some(self.pass(asked, Some(&whose)).await)
            }
            Plant::AnyKeyAdministers if asked.is(Method::GET, "/v1/tenants") => {
                own?;
                Some(self.pass(asked, Some(self.operator.expose())).await)
            }
            Plant::LimitsAreShared | Plant::BudgetsAreShared | Plant::LogsAreMixed => {
                self.of_another(asked, own).await
            }
            Plant::DefinitionsForgetTheTenant | Plant::AnyKeyTakesBackups => self.of_all(asked, own).await,
            Plant::RightsAreNotAsked => {
                let tenant = own?.strip_prefix("tk_")?.get(..26)?;
                let owner = self.owner_of(&format!("ten_{tenant}"))?;
                Some(self.pass(asked, Some(&owner)).await)
            }
            _ => None,
        }
    }

    /// The server's answer, spoiled.
    async fn afterwards(&self, asked: &Asked, own: Option<&str>, mut answer: Answer) -> Answer {
        let missed = answer.status == StatusCode::NOT_FOUND;
        match self.plant {
            Plant::IgnoresTenantOnRead if missed && asked.is(Method::GET, "/v1/records/") => {
                if let Some(theirs) = self.found(asked, own).await {
                    answer = theirs;
                }
            }
            Plant::TellsForeignFromMissing
                if missed
                    && asked.is(Method::GET, "/v1/records/")
                    && self.found(asked, own).await.is_some() =>
            {
                answer.status = StatusCode::FORBIDDEN;
            }
            Plant::NamesTheRow if missed && asked.is(Method::DELETE, "/v1/records/") => {
                if let Some(theirs) = self.found(asked, own).await {
                    let mut problem = answer.json();
                    problem["detail"] = json!(format!("there is no {}", theirs.json()));
                    answer.body = problem.to_string().into();
                }
            }
            Plant::ListForgetsTheFilter if asked.is(Method::GET, "/v1/agents?") => {
                if let Some(other) = self.other(own) {
                    let theirs = self.pass(asked, Some(&other)).await.json();
                    let mut page = answer.json();
                    if let (Some(data), Some(more)) = (page["data"].as_array_mut(), theirs["data"].as_array())
                    {
                        data.extend(more.iter().cloned());
                        answer.body = page.to_string().into();
                    }
                }
            }
            Plant::ForeignDeletes if missed && asked.is(Method::DELETE, "/v1/agents/") => {
                if let Some(other) = self.other(own) {
                    self.pass(asked, Some(&other)).await;
                }
            }
            Plant::GrantsReachAnyTenant
                if missed && asked.is(Method::DELETE, "/v1/tenants/") && is_grant(own) =>
            {
                answer = self.pass(asked, Some(self.operator.expose())).await;
            }
            Plant::EndedGrantsLive
                if answer.status == StatusCode::UNAUTHORIZED
                    && asked.is(Method::POST, "/v1/tenants")
                    && is_grant(own) =>
            {
                answer = self.pass(asked, Some(self.operator.expose())).await;
            }
            // Refused and done all the same: the answer says nothing of it.
            Plant::ViewersAdminister
                if answer.status == StatusCode::FORBIDDEN && asked.path.ends_with("/suspend") =>
            {
                self.pass(asked, Some(self.operator.expose())).await;
            }
            Plant::HookTrustsTheBody if asked.is(Method::POST, "/hooks/") => self.believe(asked).await,
            plant if plant.replays() => {
                if let Some(key) = self.replayed(asked).filter(|_| answer.status.is_success()) {
                    self.kept.lock().unwrap().insert(key.to_owned(), answer.clone());
                }
            }
            Plant::CacheForgetsTheTenant if asked.text("x-tenantry-cache").is_some() => {
                let body = String::from_utf8_lossy(&asked.body).into_owned();
                self.kept.lock().unwrap().insert(body, answer.clone());
            }
            _ => return self.within_and_after(asked, own, answer).await,
        }
        answer
    }

    /// The other tenant's object at this path.
    pub(super) async fn found(&self, asked: &Asked, own: Option<&str>) -> Option<Answer> {
        let other = self.other(own)?;
        let looking = Asked {
            method: Method::GET,
            path: asked.path.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let answer = self.pass(&looking, Some(&other)).await;
        answer.status.is_success().then_some(answer)
    }

    /// Lets a delivery take effect in the tenant that its body names.
    async fn believe(&self, asked: &Asked) {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if let Some(owner) = body["tenant"].as_str().and_then(|tenant| self.owner_of(tenant)) {
            let client = self.server.with_key(SecretText::new(owner));
            client.post("/v1/records/deliveries", &json!({"note": body["note"]})).await.unwrap();
        }
    }
}
