//! Which endpoint serves a model, and on whose key.

use super::{World, ask};
use crate::harness::Server;
use crate::provider::Provider;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_tenants_own_key_carries_its_calls_and_nobody_elses() {
    let world = World::with("[egress]\nallow = [\"PROVIDER\"]\n", json!({})).await;
    let endpoint = json!({ "url": world.provider.url, "dialect": "openai", "models": ["theirs"],
        "tenant_credential": "provider" });
    world.server.operator.put("/v1/endpoints/bring-your-own", &endpoint).await.unwrap();
    let without = world.chat(ask("theirs")).await;
    assert_eq!((without.status.as_u16(), &without.json()["code"]), (409, &json!("needs_reauthorization")));

    let key = |hosts: &str| json!({ "kind": "api_key", "key": "sk-of-acme", "hosts": [hosts] });
    world.client.put("/v1/credentials/provider", &key("elsewhere.example")).await.unwrap();
    assert_eq!(world.chat(ask("theirs")).await.status, 409, "the key may not go to this host");
    world.client.put("/v1/credentials/provider", &key("127.0.0.1")).await.unwrap();
    assert_eq!(world.chat(ask("theirs")).await.status, 200);
    assert_eq!(world.provider.requests()[0]["authorization"], "Bearer sk-of-acme");

    let other = world.server.tenant("globex").await;
    let theirs = world.call(&other.owner, ask("theirs"), &[]).await;
    assert_eq!(theirs.status, 409, "another tenant has no key");
    assert_eq!(world.provider.requests().len(), 1);
}

#[tokio::test]
async fn a_tenants_own_key_does_not_go_in_the_clear() {
    let world = World::new().await;
    let endpoint = json!({ "url": world.provider.url, "dialect": "openai", "models": ["theirs"],
        "tenant_credential": "provider" });
    world.server.operator.put("/v1/endpoints/bring-your-own", &endpoint).await.unwrap();
    let key = json!({ "kind": "api_key", "key": "sk-of-acme", "hosts": ["127.0.0.1"] });
    world.client.put("/v1/credentials/provider", &key).await.unwrap();
    let refused = world.chat(ask("theirs")).await;
    assert_eq!(refused.json()["code"], "egress_denied", "{}", refused.text());
    assert!(world.provider.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_a_tenant_has_no_key_for_is_passed_over() {
    let world = World::new().await;
    let put = async |name: &str, models: serde_json::Value, own: serde_json::Value| {
        let endpoint = json!({ "url": world.provider.url, "dialect": "openai", "models": models,
            "tenant_credential": own });
        world.server.operator.put(&format!("/v1/endpoints/{name}"), &endpoint).await.unwrap();
    };
    put("a-first", json!(["both", "theirs"]), json!("provider")).await;
    put("b-second", json!(["both"]), json!(null)).await;
    assert_eq!(world.chat(ask("both")).await.status, 200);
    assert_eq!(world.chat(ask("theirs")).await.json()["code"], "needs_reauthorization");
    let models = world.client.get("/v1/models").await.unwrap();
    let listed = |id: &str| models["data"].as_array().unwrap().iter().find(|it| it["id"] == id).cloned();
    assert_eq!(listed("both").unwrap()["owned_by"], "b-second");
    assert_eq!(listed("theirs"), None, "it cannot be called without a key");
}

#[tokio::test]
async fn an_endpoint_that_binds_itself_to_a_region_serves_that_region_alone() {
    let world = World::new().await;
    for (name, region) in [("far", "mars"), ("near", "local")] {
        let endpoint =
            json!({ "url": world.provider.url, "dialect": "openai", "models": [name], "region": region });
        world.server.operator.put(&format!("/v1/endpoints/{name}"), &endpoint).await.unwrap();
    }
    assert_eq!(world.chat(ask("near")).await.status, 200);
    assert_eq!(world.chat(ask("far")).await.json()["code"], "model_not_found");
    let models = world.client.get("/v1/models").await.unwrap().to_string();
    assert!(models.contains("\"near\"") && !models.contains("\"far\""), "{models}");
}

#[tokio::test]
async fn the_command_line_names_a_model_and_production_has_no_offline_one() {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [key, master] = ["model.key", "master.key"].map(|name| folder.path().join(name));
    std::fs::write(&key, "sk-from-a-file\n").unwrap();
    std::fs::write(&master, format!("{}\n", "a1b2".repeat(16))).unwrap();
    std::fs::set_permissions(&master, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let [key, master] = [&key, &master].map(|path| path.to_str().unwrap());
    let arguments = ["--model-url", &provider.url, "--model", "gpt-test", "--model-key-file", key];
    let arguments = [&arguments[..], &["--production", "--master-key-file", master]].concat();
    let server = Server::start_with("", &arguments);
    let tenant = server.tenant("acme").await;
    let models = tenant.owner.get("/v1/models").await.unwrap();
    assert_eq!(models["data"].as_array().unwrap().len(), 1, "{models}");
    assert_eq!(models["data"][0]["owned_by"], "default");
    let call = |model| tenant.owner.call(Method::POST, "/v1/chat/completions").json(&ask(model)).unwrap();
    assert_eq!(call("gpt-test").send().await.unwrap().status, 200);
    assert_eq!(provider.requests()[0]["authorization"], "Bearer sk-from-a-file");
    assert_eq!(call("offline").send().await.unwrap().json()["code"], "model_not_found");
}
