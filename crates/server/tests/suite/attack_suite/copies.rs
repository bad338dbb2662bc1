//! What there is of all tenants together: definitions that were read, objects that nodes and versions are compared
//! with, and backups of everything.

use super::plant::Plant;
use super::proxy::{Asked, Inner};
use bytes::Bytes;
use client::Answer;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

const WORKFLOWS: &str = "/v1/workflows";
const BACKUP: &str = "/v1/operator/backup";

/// The workflow that a request starts a run of.
fn started(asked: &Asked) -> Option<&str> {
    let rest = asked.path.strip_prefix("/v1/workflows/").filter(|_| asked.method == Method::POST)?;
    rest.strip_suffix("/runs")
}

/// What the definition in this body is found by.
fn place(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let definition = body.get("definition")?.to_string();
    Some(format!("definition of {} bytes", definition.len()))
}

fn request(method: Method, path: &str, body: Bytes) -> Asked {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    Asked { method, path: path.to_owned(), headers, body }
}

impl Inner {
    /// The answer where what is of all tenants takes the place of the caller's own.
    pub(super) async fn of_all(&self, asked: &Asked, own: Option<&str>) -> Option<Answer> {
        if self.plant == Plant::AnyKeyTakesBackups {
            let by_tenant = own?.starts_with("tk_") && asked.is(Method::POST, BACKUP);
            return if by_tenant { Some(self.pass(asked, Some(self.operator.expose())).await) } else { None };
        }
        let workflow = started(asked)?;
        let first = {
            let kept = self.kept.lock().unwrap();
            let body = &kept.get(workflow)?.body;
            kept.get(&place(body)?).filter(|first| first.body != *body)?.body.clone()
        };
        // The definition that was found, carried out for the caller.
        let made = self.pass(&request(Method::POST, WORKFLOWS, first), own).await.json();
        let path = format!("{WORKFLOWS}/{}/runs", made["id"].as_str()?);
        Some(self.pass(&request(Method::POST, &path, asked.body.clone()), own).await)
    }

    /// The server's answer, and what was kept of it or is found beside it.
    pub(super) async fn copied(&self, asked: &Asked, own: Option<&str>, mut answer: Answer) -> Answer {
        match self.plant {
            Plant::DefinitionsForgetTheTenant if asked.is(Method::POST, WORKFLOWS) => {
                if let (Some(id), Some(place)) = (answer.json()["id"].as_str(), place(&asked.body)) {
                    let mut kept = self.kept.lock().unwrap();
                    let made = Answer { body: asked.body.clone(), ..answer.clone() };
                    kept.insert(id.to_owned(), made.clone());
                    kept.entry(place).or_insert(made);
                }
            }
            Plant::NodesReachAnyRecord if asked.is(Method::GET, "/v1/runs/") => {
                let mut run = answer.json();
                let steps = run["steps"].as_array_mut().into_iter().flatten();
                for step in steps.filter(|step| step["input"]["record_id"].is_string()) {
                    let id = step["input"]["record_id"].as_str().unwrap_or_default();
                    let looking = request(Method::GET, &format!("/v1/records/contacts/{id}"), Bytes::new());
                    if let Some(theirs) = self.found(&looking, own).await {
                        step["output"] = theirs.json();
                    }
                }
                answer.body = run.to_string().into();
            }
            Plant::VersionsComeFirst
                if answer.status == StatusCode::NOT_FOUND && asked.text("if-match").is_some() =>
            {
                let path = asked.path.trim_end_matches("/hook");
                if self.found(&request(Method::GET, path, Bytes::new()), own).await.is_some() {
                    answer.status = StatusCode::PRECONDITION_FAILED;
                    answer.body = json!({"code": "precondition_failed"}).to_string().into();
                }
            }
            Plant::ErasuresStopOthers if started(asked).is_some() => {
                let (made, own) = (answer.json(), own.unwrap_or_default().to_owned());
                if let Some(id) = made["id"].as_str() {
                    let mut secrets = self.secrets.lock().unwrap();
                    secrets.insert(format!("/v1/runs/{id}/cancel"), own);
                }
            }
            Plant::ErasuresStopOthers if asked.is(Method::DELETE, "/v1/tenants/") => {
                let runs = self.secrets.lock().unwrap().clone();
                for (path, owner) in runs.iter().filter(|(path, _)| path.starts_with("/v1/runs/")) {
                    self.pass(&request(Method::POST, path, Bytes::new()), Some(owner)).await;
                }
            }
            Plant::BackupsAreReadable | Plant::ExportsAreReadable
                if asked.is(Method::POST, "/v1/records/") =>
            {
                self.kept.lock().unwrap().insert("written".to_owned(), answer.clone());
            }
            Plant::BackupsAreReadable | Plant::ExportsAreReadable
                if answer.status.is_success()
                    && (asked.is(Method::POST, BACKUP)
                        || asked.is(Method::POST, "/v1/tenants/") && asked.path.ends_with("/export")) =>
            {
                let written = self.kept.lock().unwrap().get("written").map(|kept| kept.body.clone());
                answer.body = [written.unwrap_or_default(), answer.body].concat().into();
            }
            _ => {}
        }
        answer
    }
}
