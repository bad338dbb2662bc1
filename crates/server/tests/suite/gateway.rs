//! Calls to models: what is sent, answered, charged and written down, also when something breaks.

mod budgets;
mod chat;
mod crash;
mod endpoints;
mod limits;
mod official_clients;
mod repeated;
mod rude;
mod runs;
mod suspended;

use crate::harness::{Server, Tenant};
use crate::provider::Provider;
use client::{Answer, Client};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A server, a provider behind the endpoint `stand-in`, and a tenant.
struct World {
    server: Server,
    provider: Provider,
    tenant: Tenant,
    client: Client,
}

const MODELS: [&str; 11] = [
    "gpt-test",
    "takes-its-time",
    "times-out",
    "refuses",
    "breaks",
    "hangs",
    "slow",
    "silent",
    "overbills",
    "unpriced",
    "other",
];

impl World {
    async fn new() -> Self {
        Self::with("", json!({})).await
    }

    /// In the configuration, `PROVIDER` stands for the provider's host and port.
    async fn with(config: &str, limits: Value) -> Self {
        let provider = Provider::start().await;
        let server = Server::start_with(&config.replace("PROVIDER", provider.host()), &[]);
        let tenant = server.tenant_on("acme-plan", &limits, "acme").await;
        let client = tenant.owner.clone();
        let world = Self { server, provider, tenant, client };
        world.put_endpoint().await;
        world
    }

    async fn put_endpoint(&self) {
        let price = json!({ "input_per_million": "1", "output_per_million": "10" });
        let priced = MODELS.iter().filter(|model| **model != "unpriced");
        let prices: serde_json::Map<_, _> =
            priced.map(|model| ((*model).to_owned(), price.clone())).collect();
        let endpoint = json!({ "url": self.provider.url, "dialect": "openai", "models": MODELS,
            "api_key": "sk-of-the-operator", "prices": prices, "max_output_tokens": 100 });
        self.server.operator.put("/v1/endpoints/stand-in", &endpoint).await.unwrap();
    }

    async fn chat(&self, body: Value) -> Answer {
        self.call(&self.client, body, &[]).await
    }

    async fn call(&self, client: &Client, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut call = client.call(Method::POST, "/v1/chat/completions").json(&body).unwrap();
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.send().await.unwrap()
    }

    async fn set_budget(&self, usd: &str) -> Answer {
        let path = format!("/v1/budgets/tenant/{}", self.tenant.id);
        let put = self.client.call(Method::PUT, &path).json(&json!({ "per": "month", "usd": usd })).unwrap();
        put.send().await.unwrap()
    }

    async fn budget(&self) -> Value {
        self.client.get("/v1/budgets").await.unwrap()["data"][0].clone()
    }

    /// The one line of usage of a model.
    async fn usage(&self, model: &str) -> Value {
        let usage = self.client.get("/v1/usage").await.unwrap();
        let lines = usage["data"].as_array().unwrap().clone();
        lines.into_iter().find(|line| line["group"]["model"] == model).unwrap_or(Value::Null)
    }

    /// The audit events of calls to models, oldest first.
    async fn events(&self) -> Vec<Value> {
        let page = self.client.get("/v1/audit/events?action=model.call&limit=500").await.unwrap();
        let mut events = page["data"].as_array().unwrap().clone();
        events.reverse();
        events
    }
}

fn ask(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Say hello, please." }] })
}

fn ask_stream(model: &str) -> Value {
    let mut body = ask(model);
    body["stream"] = json!(true);
    body
}

/// Waits until something holds that the server does in its own time.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to this: {what}");
}
