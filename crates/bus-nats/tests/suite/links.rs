//! Links across a network: both sides prove who they are, and nothing goes over the wire otherwise.

use bus_nats::{Connection, Credentials, Link, SetupError, Tls};
use nats_instance::NatsServer;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tls_authority::{Authority, pem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A NATS server with a certificate for this name, which wants to see one.
fn serve(authority: &Authority, name: &str) -> NatsServer {
    let (certificate, key) = authority.sign(name);
    let config = "tls: { cert_file: \"certificate.pem\", key_file: \"key.pem\", ca_file: \"authority.pem\", \
                  verify: true, timeout: 5 }\n";
    NatsServer::start_with(
        config,
        &[
            ("certificate.pem", &pem("CERTIFICATE", &certificate)),
            ("key.pem", &pem("PRIVATE KEY", key.secret_der())),
            ("authority.pem", &pem("CERTIFICATE", &authority.certificate)),
        ],
    )
}

async fn open(port: u16, tls: &Tls) -> Result<Connection, SetupError> {
    Connection::open(&Link::new(&format!("tls://127.0.0.1:{port}"), tls, None)?).await
}

#[tokio::test]
async fn a_link_across_a_network_is_verified_on_both_sides() {
    let authority = Authority::new();
    let nats = serve(&authority, "127.0.0.1");
    open(nats.port(), &authority.tls()).await.unwrap();

    let another = Authority::new();
    let check = async |tls: Tls, port: u16| {
        let refused = open(port, &tls).await.err();
        assert!(matches!(refused, Some(SetupError::Tls(_))), "{refused:?}");
    };
    check(Tls { authorities: vec![another.certificate.clone()], ..authority.tls() }, nats.port()).await;
    // The public authorities have not signed it.
    check(Tls { authorities: Vec::new(), ..authority.tls() }, nats.port()).await;
    check(Tls { identity: None, ..authority.tls() }, nats.port()).await;
    check(Tls { authorities: authority.tls().authorities, ..another.tls() }, nats.port()).await;
    let other_name = serve(&authority, "nats.test");
    check(authority.tls(), other_name.port()).await;
    open(nats.port(), &authority.tls()).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_hears_no_credentials() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,\
                    \"max_payload\":1048576,\"host\":\"x\",\"port\":1,\"go\":\"x\",\"client_id\":1}\r\n+OK\r\nPONG\r\n";
        stream.write_all(info.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut heard)).await;
        String::from_utf8_lossy(&heard).into_owned()
    });
    let (_folder, path) = file("anna\nhunter2\n", 0o600);
    let credentials = Credentials::read(&path).unwrap();
    let link = Link::new(&format!("tls://127.0.0.1:{port}"), &Tls::default(), Some(credentials)).unwrap();
    // It goes on trying, as what is there may be mended without it.
    let _connection = Connection::open(&link).await.unwrap();
    let heard = heard.await.unwrap();
    assert!(!heard.contains("CONNECT") && !heard.contains("hunter2") && !heard.is_empty(), "{heard}");
}

fn file(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nats.creds");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_user_comes_with_a_password() {
    let config = "authorization: { user: anna, password: hunter2 }\n";
    let nats = NatsServer::start_with(config, &[]);
    let open =
        async |credentials| Connection::open(&Link::new(&nats.url(), &Tls::default(), credentials)?).await;
    let (_folder, good) = file("anna\nhunter2\n", 0o600);
    open(Some(Credentials::read(&good).unwrap())).await.unwrap();
    let (_folder, bad) = file("anna\nhunter3\n", 0o400);
    for credentials in [Some(Credentials::read(&bad).unwrap()), None] {
        let refused = open(credentials).await.err();
        assert!(matches!(refused, Some(SetupError::Refused(_))), "{refused:?}");
    }
}

/// As NATS's own tools write it.
const CREDS: &str = "-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJqd3QiLCJhbGciOiJlZDI1NTE5In0.e30.c2ln
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM
------END USER NKEY SEED------
";

#[test]
fn a_credentials_file_is_read_by_its_owner_alone_and_does_not_print() {
    for text in ["anna\nhunter2", "anna\nhunter2\n", CREDS] {
        let (_folder, path) = file(text, 0o600);
        let credentials = format!("{:?}", Credentials::read(&path).unwrap());
        assert!(!credentials.contains("hunter2") && !credentials.contains("SUAIO"), "{credentials}");
    }
    for text in ["", "anna", "anna\n\n", "\nhunter2", "anna\nhunter2\nmore", &CREDS.replace("SUAIO", "XXAIO")]
    {
        let (_folder, path) = file(text, 0o600);
        let refused = Credentials::read(&path).unwrap_err();
        assert!(matches!(refused, SetupError::Credentials { .. }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
    for mode in [0o640, 0o604, 0o620] {
        let (_folder, path) = file("anna\nhunter2", mode);
        assert!(matches!(Credentials::read(&path), Err(SetupError::OpenToOthers { .. })), "{mode:o}");
    }
    let missing = Credentials::read("/nonexistent/nats.creds".as_ref()).unwrap_err();
    assert!(matches!(missing, SetupError::Credentials { .. }));
}
