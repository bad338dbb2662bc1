//! The server with its messages over NATS.

use super::{EAR, heard, listen, tell};
use crate::harness::{Server, Tenant, assert_refused};
use nats_instance::{JETSTREAM, NatsServer};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const AUTHORIZATION: &str = "authorization: { user: anna, password: hunter2 }\n";

/// A NATS that wants a password, and a server that has it.
fn start() -> (NatsServer, Server) {
    let nats = NatsServer::start_with(&format!("{JETSTREAM}{AUTHORIZATION}"), &[("user", "anna\nhunter2\n")]);
    let file = nats.folder().join("user");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let config =
        format!("[messages]\nnats_url = \"{}\"\ncredentials_file = \"{}\"\n", nats.url(), file.display());
    let server = Server::start_with(&config, &[]);
    (nats, server)
}

/// The files in which NATS keeps what a tenant was told.
fn kept(nats: &NatsServer, tenant: &Tenant) -> Vec<Vec<u8>> {
    let name = format!("TENANT_{}", tenant.id.strip_prefix("ten_").unwrap());
    let mut files = Vec::new();
    let streams = nats.folder().join("store/jetstream/$G/streams").join(name);
    read_all(&streams, &mut files);
    files
}

fn read_all(folder: &Path, files: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else {
            files.push(fs::read(&path).unwrap_or_default());
        }
    }
}

fn words(events: &[(String, String, Value)]) -> Vec<&str> {
    events.iter().map(|(_, _, data)| data["data"]["word"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn what_is_told_goes_over_nats_and_outlives_the_server() {
    let (nats, mut server) = start();
    let (one, two) = (server.tenant("One").await, server.tenant("Two").await);
    let telling = async {
        tokio::time::sleep(EAR).await;
        for word in ["anna-was-here", "bert-was-here"] {
            let told = tell(&one.owner, "app.word", &json!({"word": word})).await;
            assert_eq!(told.status, 202, "{}", told.text());
        }
    };
    let (own, other, ()) =
        tokio::join!(listen(&one.owner, "app.%3E", None), listen(&two.owner, "app.%3E", None), telling);
    let events = heard(&own);
    assert_eq!(words(&events), ["anna-was-here", "bert-was-here"]);
    assert_eq!(heard(&other), []);

    // NATS keeps what is sealed.
    let files = kept(&nats, &one);
    let holds =
        |text: &str| files.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(holds("app.word") && !holds("was-here"));

    // Whoever comes back goes on, at a server that was started since.
    server.stop_and_restart().await;
    let owner = one.owner_at(&server);
    let again = heard(&listen(&owner, "app.%3E", Some(&events[0].0)).await);
    assert_eq!(again, events[1..]);
}

#[tokio::test]
async fn an_erased_tenant_leaves_nothing_in_nats() {
    let (nats, server) = start();
    let (one, two) = (server.tenant("One").await, server.tenant("Two").await);
    for tenant in [&one, &two] {
        tell(&tenant.owner, "app.word", &json!({"word": "anna"})).await;
        assert!(!kept(&nats, tenant).is_empty());
    }
    server.operator.delete(&format!("/v1/tenants/{}", one.id)).await.unwrap();
    assert!(kept(&nats, &one).is_empty());
    assert!(!kept(&nats, &two).is_empty());
}

#[tokio::test]
async fn without_nats_messages_alone_are_refused() {
    let (mut nats, server) = start();
    let tenant = server.tenant("Acme").await;
    assert_eq!(tell(&tenant.owner, "app.word", &json!({"word": "anna"})).await.status, 202);
    nats.stop();
    assert_refused(&tell(&tenant.owner, "app.word", &json!({"word": "bert"})).await, 503, "unavailable");
    tenant.record().await;
    nats.start_again(&format!("{JETSTREAM}{AUTHORIZATION}"));
    for _ in 0..100 {
        if tell(&tenant.owner, "app.word", &json!({"word": "carl"})).await.status == 202 {
            let events = heard(&listen(&tenant.owner, "app.%3E", Some("00000000000000ff.1")).await);
            assert_eq!(words(&events[1..]), ["anna", "carl"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("NATS does not come back");
}

#[test]
fn a_server_does_not_start_on_what_is_not_safe_or_not_right() {
    let (nats, server) = start();
    let (file, url) = (nats.folder().join("user"), nats.url());
    let file = file.display();
    let wrong = nats.folder().join("wrong");
    fs::write(&wrong, "anna\nhunter3\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    for (messages, why) in [
        ("nats_url = \"nats://nats.example:4222\"".to_owned(), "`tls://"),
        ("nats_url = \"tls://anna:hunter2@nats.example\"".to_owned(), "`credentials_file`"),
        (format!("nats_url = \"{url}\""), "NATS refuses"),
        (format!("nats_url = \"{url}\"\ncredentials_file = \"{}\"", wrong.display()), "NATS refuses"),
        (format!("nats_url = \"{url}\"\ncredentials_file = \"{file}x\""), "credentials file"),
        (format!("nats_url = \"{url}\"\n[messages.tls]\nkey_file = \"{file}\""), "`certificate_file`"),
        (format!("url = \"{url}\""), "unknown field"),
    ] {
        let config = nats.folder().join("tenantry.toml");
        fs::write(&config, format!("[messages]\n{messages}\n")).unwrap();
        let data = nats.folder().join("data");
        let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "error", "--data"])
            .arg(&data)
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{messages}: {said}");
        assert!(said.contains(why) && !said.contains("hunter"), "{messages}: {said}");
    }
    drop(server);
}
