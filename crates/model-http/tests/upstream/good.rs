//! What works: whole answers, streams, forms of usage, headers, TLS, connections that serve again.

use crate::ask::{KEY, ask, models, models_with, target};
use crate::provider::{Act, Provider, answer, completion, delta, done, end, finish, piece, stream_head};
use metering::tokens::Tokens;
use model::{EndpointUrl, ModelError, Target, Unsent};
use secret::SecretText;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}\n\n";

#[tokio::test]
async fn a_whole_answer_comes_with_its_usage() {
    let provider = Provider::start(vec![completion()]).await;
    let came = ask(&models(), &target(provider.address), false).await;
    let whole = came.whole.expect("an answer");
    assert_eq!((whole.usage, whole.text_bytes), (Some(Tokens::plain(11, 1)), 4));
    let request = provider.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    for line in [
        &format!("authorization: Bearer {KEY}"),
        "accept-encoding: identity",
        "content-type: application/json",
    ] {
        assert!(head.lines().any(|it| it == line), "{line} in {head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        json!({ "model": "m", "stream": false, "max_tokens": 64,
        "messages": [{ "role": "user", "content": "2+2?" }] })
    );
}

#[tokio::test]
async fn a_stream_comes_piece_by_piece_and_its_connection_serves_again() {
    let script = vec![
        stream_head(),
        piece(": ping\n\n"),
        delta("fo"),
        delta("ur"),
        finish(),
        piece(USAGE),
        done(),
        end(),
    ];
    let provider = Provider::start(vec![script]).await;
    let (models, target) = (models(), target(provider.address));
    for _ in 0..3 {
        let came = ask(&models, &target, true).await;
        assert_eq!((came.text().as_str(), came.error), ("four", None));
        let usage: Vec<_> = came.pieces.iter().filter_map(|piece| piece.usage).collect();
        assert_eq!(usage, [Tokens::plain(11, 2)]);
        assert_eq!(came.pieces.iter().map(|piece| piece.emitted_bytes).sum::<u64>(), 4);
    }
    assert_eq!((provider.requests().len(), provider.connections()), (3, 1));
    assert!(provider.requests()[0].contains("\"include_usage\":true"));
}

#[tokio::test]
async fn every_form_of_usage_is_read_and_none_is_made_up() {
    for (usage, expected) in [
        ("", None),
        (",\"usage\":null", None),
        (",\"usage\":{}", None),
        (",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}", Some(Tokens::plain(0, 0))),
        (",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}", Some(Tokens::plain(5, 1))),
        (",\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1}", None),
    ] {
        let last = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]{usage}}}\n\n"
        );
        let provider =
            Provider::start(vec![vec![stream_head(), delta("x"), piece(&last), done(), end()]]).await;
        let came = ask(&models(), &target(provider.address), true).await;
        assert_eq!(came.pieces.iter().filter_map(|piece| piece.usage).next_back(), expected, "{usage}");
    }
}

#[tokio::test]
async fn a_stream_may_end_without_saying_done_if_the_answer_did() {
    let unfinished_line =
        piece("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    for last in [finish(), unfinished_line] {
        let provider = Provider::start(vec![vec![stream_head(), delta("x"), last, end()]]).await;
        let came = ask(&models(), &target(provider.address), true).await;
        assert_eq!((came.text().as_str(), came.error), ("x", None));
    }
}

#[tokio::test]
async fn azure_gets_its_key_and_path_in_its_own_form() {
    let provider = Provider::start(vec![completion()]).await;
    let url = format!("http://{}/openai/deployments/{{model}}?api-version=2024-10-21", provider.address);
    let url: EndpointUrl = url.parse().unwrap();
    let target = Target { url, key_header: model::KeyHeader::ApiKey, ..target(provider.address) };
    assert!(ask(&models(), &target, false).await.whole.is_some());
    let request = provider.requests().remove(0);
    assert!(
        request
            .starts_with("POST /openai/deployments/m/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n")
    );
    assert!(request.contains(&format!("api-key: {KEY}\r\n")) && !request.contains("authorization"));
}

#[tokio::test]
async fn a_key_that_is_no_header_is_our_fault_and_nothing_leaves() {
    let provider = Provider::start(vec![completion()]).await;
    let target = Target { key: Some(SecretText::new("a\r\nb".into())), ..target(provider.address) };
    let came = ask(&models(), &target, false).await;
    assert_eq!(came.error, Some(ModelError::Unsent(Unsent::BadTarget)));
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn tls_is_spoken_with_those_whose_root_is_trusted() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let root = signed.cert.der().to_vec();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let provider = Provider::start_with(vec![completion()], Some(acceptor)).await;
    let url = format!("https://localhost:{}/v1", provider.address.port()).parse().unwrap();
    let target = Target { url, ..target(provider.address) };
    assert_eq!(ask(&models(), &target, false).await.error, Some(ModelError::Unsent(Unsent::Tls)));
    assert!(provider.requests().is_empty(), "the key went nowhere");
    assert!(ask(&models_with(vec![root]), &target, false).await.whole.is_some());
}

#[tokio::test]
async fn an_answer_of_many_pieces_of_any_size_is_put_together() {
    let text =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ä\"},\"finish_reason\":null}]}\r\n\r\n"
            .repeat(20);
    let mut script = vec![stream_head()];
    for bytes in text.as_bytes().chunks(7) {
        // A piece may end within a character, so it is given as raw bytes of one HTTP chunk each.
        script.push(Act::Say(format!("{:x}\r\n", bytes.len())));
        script.push(Act::Raw(bytes.to_vec()));
        script.push(Act::Say("\r\n".into()));
    }
    script.extend([finish(), done(), end()]);
    let provider = Provider::start(vec![script]).await;
    let came = ask(&models(), &target(provider.address), true).await;
    assert_eq!((came.text(), came.error), ("ä".repeat(20), None));
}

#[tokio::test]
async fn an_answer_in_json_with_an_error_in_it_is_none() {
    let provider =
        Provider::start(vec![answer(200, "application/json", r#"{"error":{"message":"no"}}"#)]).await;
    let came = ask(&models(), &target(provider.address), false).await;
    assert_eq!(came.error, Some(ModelError::Garbled("no `choices`")));
}
