//! Answers that are spoiled by what goes on within a tenant, beside it, or after its end.

use super::plant::Plant;
use super::proxy::{Asked, Inner};
use client::Answer;
use http::{Method, StatusCode};
use std::time::Duration;

impl Inner {
    /// The server's answer, spoiled by what goes on within a tenant, beside it, or after its end.
    pub(super) async fn within_and_after(
        &self,
        asked: &Asked,
        own: Option<&str>,
        mut answer: Answer,
    ) -> Answer {
        let missed = answer.status == StatusCode::NOT_FOUND;
        match self.plant {
            Plant::OwnReachIsForgotten if missed && asked.is(Method::GET, "/v1/api-keys/") => {
                let tenant = own.and_then(|own| own.strip_prefix("tk_")?.get(..26));
                if let Some(owner) = tenant.and_then(|tenant| self.owner_of(&format!("ten_{tenant}"))) {
                    answer = self.pass(asked, Some(&owner)).await;
                }
            }
            Plant::StreamsAreMixed if asked.streams() => {
                let mut kept = self.kept.lock().unwrap();
                let mine = answer.body.clone();
                let others = kept.iter().filter(|(key, _)| Some(key.as_str()) != own);
                let mixed: Vec<u8> = others.flat_map(|(_, answer)| answer.body.to_vec()).collect();
                kept.insert(own.unwrap_or_default().to_owned(), answer.clone());
                answer.body = [mine.to_vec(), mixed].concat().into();
            }
            Plant::KeptAnswersOutliveTheTenant if asked.text("x-tenantry-cache").is_some() => {
                let body = String::from_utf8_lossy(&asked.body).into_owned();
                let mut kept = answer.clone();
                if let Ok(key) = own.unwrap_or_default().parse() {
                    kept.headers.insert("x-kept-for", key);
                }
                self.kept.lock().unwrap().entry(body).or_insert(kept);
            }
            Plant::CursorsCarryTheTenant => {
                if let (Some(cursor), Some(own)) = (answer.json()["next_cursor"].as_str(), own) {
                    let mut kept = answer.clone();
                    kept.headers.insert("x-kept-for", own.parse().unwrap());
                    self.kept.lock().unwrap().entry(cursor.to_owned()).or_insert(kept);
                }
            }
            Plant::ForeignTakesLonger
                if missed
                    && asked.is(Method::GET, "/v1/records/")
                    && self.found(asked, own).await.is_some() =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Plant::LimitsAreShared if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                self.kept.lock().unwrap().insert("refused".to_owned(), answer.clone());
            }
            Plant::TemplatesAreCarriedOut if asked.is(Method::POST, "/v1/agents") => {
                answer.body = answer.text().replace("{{ 1234 * 4321 }}", "5332114").into_bytes().into();
            }
            _ => return self.beside_and_after(asked, own, answer).await,
        }
        answer
    }

    /// The server's answer, spoiled by what goes on at a provider, or after a tenant's end.
    async fn beside_and_after(&self, asked: &Asked, own: Option<&str>, mut answer: Answer) -> Answer {
        match self.plant {
            Plant::ProviderIdsPassThrough
                if asked.path == "/v1/chat/completions" && answer.status.is_client_error() =>
            {
                if let Some(passed) = self.pass_through(asked).await {
                    answer = passed;
                }
            }
            Plant::BudgetsAreShared if answer.json()["code"] == "budget_exceeded" => {
                self.kept.lock().unwrap().insert("spent".to_owned(), answer.clone());
            }
            Plant::DeletedHooksLive if asked.is(Method::POST, "/hooks/") => {
                let mut kept = self.kept.lock().unwrap();
                match kept.get(&asked.path) {
                    Some(before) if !answer.status.is_success() => answer = before.clone(),
                    _ if answer.status.is_success() => {
                        kept.insert(asked.path.clone(), answer.clone());
                    }
                    _ => {}
                }
            }
            Plant::DefinitionsForgetTheTenant
            | Plant::NodesReachAnyRecord
            | Plant::VersionsComeFirst
            | Plant::ErasuresStopOthers
            | Plant::BackupsAreReadable
            | Plant::ExportsAreReadable => answer = self.copied(asked, own, answer).await,
            Plant::RestoresAnyBackup
                if asked.path.ends_with("/restore")
                    && asked.text("content-type") == Some("application/octet-stream")
                    && answer.status == StatusCode::CONFLICT =>
            {
                answer.status = StatusCode::OK;
            }
            Plant::ImportsAnyExport
                if asked.path.ends_with("/import")
                    && asked.text("content-type") == Some("application/octet-stream")
                    && answer.status == StatusCode::CONFLICT =>
            {
                answer.status = StatusCode::CREATED;
            }
            _ => {}
        }
        answer
    }
}
