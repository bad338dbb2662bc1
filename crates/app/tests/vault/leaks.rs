//! Canaries in every value: none shows in an answer, a problem, an event, a row or a log line.

use crate::provider::Fault;
use crate::world::{World, slug};
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_value_shows_anywhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let world = World::new().await;
    let mut seen = Vec::new();
    let hosts = ["api.test"];
    for (service, body) in [
        ("key", json!({"kind": "api_key", "key": "key-s3cret", "hosts": hosts})),
        (
            "login",
            json!({"kind": "basic", "username": "name-s3cret", "password": "word-s3cret", "hosts": hosts}),
        ),
        ("hook", json!({"kind": "webhook_secret", "secret": "hook-s3cret"})),
        ("client", world.oauth("client_credentials", None)),
        ("crm", world.oauth("refresh_token", Some(1))),
    ] {
        seen.push(format!("{:?}", world.put(service, body).await));
        seen.push(format!("{:?}", world.attach(service).await.err()));
        seen.push(format!("{:?}", world.refresh_now(service).await.err()));
    }
    for fault in [
        Fault::Says(503, r#"{"error":"s3cret"}"#),
        Fault::Says(400, r#"{"error":"odd-s3cret","error_description":"s3cret"}"#),
    ] {
        world.pass(1000);
        world.provider.fail(fault);
        seen.push(format!("{:?}", world.attach("crm").await.err()));
    }
    let token = world.attach("client").await.unwrap();
    seen.push(format!("{:?}", world.call("evil.test", token).await));
    for service in ["key", "login", "hook", "client", "crm"] {
        let view = world.view(service).await.unwrap();
        seen.push(format!("{view:?} {}", serde_json::to_string(&view).unwrap()));
        seen.push(format!("{:?}", world.row(world.one, service).await));
    }
    let removed =
        world.visit(world.one, async |tenant| world.vault.delete(&tenant, &slug("crm"), None, None).await);
    seen.push(format!("{:?}", removed.await));
    seen.push(serde_json::to_string(&world.events().await).unwrap());
    seen.push(String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    // base64 of the client's id and secret, and of the name and password.
    for value in ["s3cret", "cl1ent", "Y2wxZW50", "bmFtZS1z"] {
        for text in &seen {
            assert!(!text.contains(value), "{value} in {text}");
        }
    }
    let sent = world.provider.state.lock().unwrap().requests.join("\n");
    assert!(sent.contains("Y2wxZW50") && sent.contains("refresh-0-s3cret"), "the canaries were there");
    assert!(seen.iter().any(|text| text.contains("credential.refresh")));
}
