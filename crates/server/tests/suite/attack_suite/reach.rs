//! What a careless way out would reach for tenants: an address inside, written as IPv6; where a redirect leads;
//! any host with any credential; what a provider keeps, on the key that all tenants share; and
//! what is another's in limits and logs.

use super::plant::Plant;
use super::proxy::{Asked, Inner};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::{Answer, Client};
use http::Method;
use secret::SecretText;
use serde_json::Value;

impl Inner {
    /// Calls what an `http` node or a token endpoint names, as a server with this leak would.
    pub(super) async fn reach(&self, asked: &Asked) {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if self.plant == Plant::CredentialsGoAnywhere
            && let Some(service) = asked.path.strip_prefix("/v1/credentials/")
            && let Some(key) = body["key"].as_str()
        {
            let mut secrets = self.secrets.lock().unwrap();
            secrets.insert(service.to_owned(), key.to_owned());
        }
        if asked.is(Method::PUT, "/v1/endpoints/") {
            let mut secrets = self.secrets.lock().unwrap();
            for name in ["url", "api_key"] {
                secrets.insert(name.to_owned(), body[name].as_str().unwrap_or_default().to_owned());
            }
        }
        let nodes = body["definition"]["nodes"].as_array().into_iter().flatten();
        let Some(node) = nodes.into_iter().find(|node| node["type"] == "http") else { return };
        let Some(url) = node["url"].as_str() else { return };
        match self.plant {
            Plant::MappedAddressesAreOpen if url.contains("[::ffff:127.") => {
                fetch(&url.replace("[::ffff:127.0.0.1]", "127.0.0.1"), None).await;
            }
            Plant::RedirectsAreFollowed => {
                let Some(to) = url.split("/to/").nth(1) else { return };
                let Ok(to) = URL_SAFE_NO_PAD.decode(to) else { return };
                fetch(&String::from_utf8_lossy(&to), None).await;
            }
            Plant::CredentialsGoAnywhere => {
                let service = node["credential"].as_str().unwrap_or_default();
                let secret = self.secrets.lock().unwrap().get(service).cloned();
                fetch(url, secret).await;
            }
            _ => {}
        }
    }
}

impl Inner {
    /// What another tenant has used up, or has in its log.
    pub(super) async fn of_another(&self, asked: &Asked, own: Option<&str>) -> Option<Answer> {
        let logs = ["/v1/audit/proof", "/v1/audit/checkpoint", "/v1/audit/export"];
        let kept = match self.plant {
            Plant::LogsAreMixed if logs.iter().any(|path| asked.is(Method::GET, path)) => {
                return Some(self.pass(asked, Some(&self.other(own)?)).await);
            }
            Plant::LimitsAreShared if asked.path == "/v1/me" => "refused",
            Plant::BudgetsAreShared if asked.path == "/v1/chat/completions" => "spent",
            _ => return None,
        };
        // The two sides go on, so that the leak is found where it is looked for.
        let owners = self.owners.lock().unwrap().clone();
        let refused = self.kept.lock().unwrap().get(kept).cloned();
        refused.filter(|_| owners.iter().skip(2).any(|(_, key)| Some(key.as_str()) == own))
    }

    /// What the provider answers to a request that the server refused, on the key that all share.
    pub(super) async fn pass_through(&self, asked: &Asked) -> Option<Answer> {
        let secrets = self.secrets.lock().unwrap().clone();
        let client = Client::new(secrets.get("url")?.parse().ok()?);
        let body: Value = serde_json::from_slice(&asked.body).ok()?;
        let call = client.call(Method::POST, "/chat/completions").json(&body).ok()?;
        call.key(SecretText::new(secrets.get("api_key")?.clone())).send().await.ok()
    }
}

async fn fetch(url: &str, key: Option<String>) -> Option<Answer> {
    let (authority, path) = url.strip_prefix("http://")?.split_once('/')?;
    let client = Client::new(format!("http://{authority}").parse().ok()?);
    let call = client.call(Method::GET, &format!("/{path}"));
    let call = key.into_iter().fold(call, |call, key| call.key(SecretText::new(key)));
    call.send().await.ok()
}
