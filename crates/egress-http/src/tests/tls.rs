//! TLS: the name that is proved is the URL's, whatever address it was resolved to.

use super::server::{Server, ok, read_request};
use super::world::{World, get};
use crate::Settings;
use egress::{AttachedCredential, EgressError, OutboundRequest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secret::SecretText;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

/// A root of our own, and a server's certificate for `name` under it.
fn certified(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(root, root_key);
    let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (root_certificate.der().clone(), TlsAcceptor::from(Arc::new(config)))
}

/// Answers over TLS with the name that the client asked for.
async fn secure(acceptor: TlsAcceptor) -> Server {
    Server::running(move |stream, log| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let request = read_request(&mut stream).await;
            log.lock().unwrap().push(request);
            let asked_for = stream.get_ref().1.server_name().unwrap_or("nobody").to_owned();
            let _ = stream.write_all(ok(&asked_for).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn trusting(root: CertificateDer<'static>) -> Settings {
    Settings { own_roots: vec![root], ..Settings::default() }
}

#[tokio::test]
async fn the_name_of_the_url_is_asked_for_and_proved() {
    let (root, acceptor) = certified("crm.test");
    let server = secure(acceptor).await;
    let world = World::with(&[server.at("crm.test")], trusting(root)).await;
    let value = SecretText::new("Bearer s3cret".into());
    let credential = AttachedCredential::new(vec!["crm.test".parse().unwrap()], "authorization", value).ok();
    let request = get(&format!("https://{}/", server.at("CRM.test.")));
    let answer = world.send(OutboundRequest { credential, ..request }).await;
    assert_eq!(answer.map(|answer| answer.body).ok(), Some(b"crm.test".to_vec()));
    let sent = &server.requests()[0];
    assert!(sent.contains(&format!("host: crm.test:{}\r\n", server.port)) && sent.contains("Bearer s3cret"));
}

#[tokio::test]
async fn an_unproved_name_gets_no_byte() {
    let (root, acceptor) = certified("crm.test");
    let server = secure(acceptor).await;
    let cases = [
        (trusting(root.clone()), "other.test"),
        (Settings::default(), "crm.test"),
        (trusting(root), "127.0.0.1"),
    ];
    for (settings, host) in cases {
        let world = World::with(&[server.at(host)], settings).await;
        let error = world.send(get(&format!("https://{}/", server.at(host)))).await.err();
        assert!(matches!(&error, Some(error @ EgressError::Tls) if !error.sent()), "{error:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_handshake_that_never_ends_has_sent_nothing() {
    let silent = Server::silent().await;
    let world = World::allowing(&[silent.at("crm.test")]).await;
    let request = get(&format!("https://{}/", silent.at("crm.test")));
    let error = world.send(OutboundRequest { timeout: Duration::from_millis(150), ..request }).await.err();
    assert!(matches!(error, Some(EgressError::Timeout { sent: false })), "{error:?}");
}

#[tokio::test]
async fn a_server_in_the_clear_is_no_tls_server() {
    let plain = Server::running(|mut stream, _| async move {
        let _ = stream.write_all(ok("hello").as_bytes()).await;
        let _ = stream.shutdown().await;
        std::future::pending().await
    })
    .await;
    let world = World::allowing(&[plain.at("crm.test")]).await;
    let error = world.send(get(&format!("https://{}/", plain.at("crm.test")))).await.err();
    assert!(matches!(&error, Some(error @ EgressError::Tls) if !error.sent()), "{error:?}");
}
