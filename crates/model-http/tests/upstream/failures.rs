//! What goes wrong, what it is called, and what it costs. Whatever it is, the caller learns neither key nor
//! address.

use crate::ask::{KEY, ask, call, models, take, target};
use crate::provider::{Act, Provider, answer, completion, delta, done, end, finish, piece, stream_head};
use admission_fixture::{Fixture, somebody};
use context::{Origin, Private};
use errors::{Code, Problem};
use model::{Charge, ModelEndpoint, ModelError, Unsent, Waiting};
use std::time::Duration;

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

async fn check(script: Vec<Act>, stream: bool, expected: ModelError) {
    let provider = Provider::start(vec![script]).await;
    let came = ask(&models(), &target(provider.address), stream).await;
    let error = came.error.expect("a failure");
    assert_eq!(error, expected);
    assert_eq!(provider.requests().len(), 1, "sent again: {expected}");
    let problem = Problem::from(error.clone());
    for text in [format!("{problem:?}"), format!("{error:?} {error}")] {
        assert!(!text.contains(&KEY[..8]) && !text.contains("127.0.0.1"), "{text}");
    }
}

#[tokio::test]
async fn silence_is_ended() {
    check(vec![Act::Hang], true, ModelError::Timeout(Waiting::FirstByte)).await;
    check(vec![Act::Hang], false, ModelError::Timeout(Waiting::Total)).await;
    check(vec![stream_head(), Act::Hang], true, ModelError::Timeout(Waiting::FirstByte)).await;
    check(vec![stream_head(), delta("x"), Act::Hang], true, ModelError::Timeout(Waiting::Idle)).await;
    let half_a_body = vec![Act::Say(format!("{PLAIN}content-length: 9\r\n\r\n{{")), Act::Hang];
    check(half_a_body, false, ModelError::Timeout(Waiting::Idle)).await;
}

#[tokio::test]
async fn a_trickle_is_ended_with_the_whole() {
    let ping = [piece(": ping\n\n"), Act::Pause(Duration::from_millis(100))];
    let script = [vec![stream_head()], ping.iter().cycle().take(60).cloned().collect()].concat();
    check(script, true, ModelError::Timeout(Waiting::Total)).await;
}

#[tokio::test]
async fn what_breaks_off_is_broken() {
    check(vec![Act::Close], false, ModelError::Broken).await;
    check(vec![Act::Say("HTTP/1.1 200 OK\r\ncontent-".into()), Act::Close], false, ModelError::Broken).await;
    let too_short = vec![Act::Say(format!("{PLAIN}content-length: 900\r\n\r\n{{}}")), Act::Close];
    check(too_short, false, ModelError::Broken).await;
    check(vec![stream_head(), delta("x"), Act::Close], true, ModelError::Broken).await;
    check(vec![stream_head(), delta("x"), end()], true, ModelError::Broken).await;
    check(vec![stream_head(), end()], true, ModelError::Broken).await;
    let reported = piece("data: {\"error\":{\"message\":\"overloaded\"}}\n\n");
    check(vec![stream_head(), delta("x"), reported, done(), end()], true, ModelError::Broken).await;
}

#[tokio::test]
async fn what_is_no_answer_is_garbled() {
    let garbled = |what| ModelError::Garbled(what);
    check(answer(200, "application/json", "{\"choices\":"), false, garbled("not JSON")).await;
    check(answer(200, "text/html", "<html>"), false, garbled("not JSON")).await;
    check(answer(200, "application/json", "[]"), false, garbled("no `choices`")).await;
    check(answer(200, "application/json", "{}"), true, garbled("not a stream of events")).await;
    check(vec![stream_head(), piece("data: {\n\n"), end()], true, garbled("an event is not JSON")).await;
    check(vec![stream_head(), piece("data: {}\n\n"), end()], true, garbled("a piece has no `choices`")).await;
    let zipped = format!("{PLAIN}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}");
    check(vec![Act::Say(zipped)], false, garbled("not JSON")).await;
    let no_http = garbled("not an HTTP answer, or too long a head");
    check(vec![Act::Say("SSH-2.0-OpenSSH_9.2\r\n\r\n".into())], false, no_http.clone()).await;
    let endless_head =
        vec![Act::Say("HTTP/1.1 200 OK\r\n".into()), Act::Repeat(format!("x: {}\r\n", "y".repeat(500)))];
    check(endless_head, false, no_http).await;
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let declared = vec![Act::Say(format!("{PLAIN}content-length: 99999999999\r\n\r\n")), Act::Hang];
    check(declared, false, ModelError::TooLarge).await;
    let chunked = Act::Say(format!("{PLAIN}transfer-encoding: chunked\r\n\r\n"));
    let endless = Act::Repeat(format!("400\r\n{}\r\n", " ".repeat(1024)));
    check(vec![chunked, endless], false, ModelError::TooLarge).await;
    let event = format!("data: {{\"choices\":[],\"x\":\"{}\"}}\n\n", "x".repeat(10_000));
    check(
        vec![stream_head(), Act::Repeat(format!("{:x}\r\n{event}\r\n", event.len()))],
        true,
        ModelError::TooLarge,
    )
    .await;
}

#[tokio::test]
async fn refusals_are_told_by_whose_fault_they_are() {
    let body = format!(r#"{{"error":{{"message":"key {KEY} at http://10.0.0.1 is bad","code":"c"}}}}"#);
    for (status, code) in [
        (400, Code::InvalidRequest),
        (401, Code::UpstreamFailed),
        (403, Code::UpstreamFailed),
        (429, Code::UpstreamFailed),
        (500, Code::UpstreamFailed),
        (503, Code::UpstreamFailed),
        (302, Code::UpstreamFailed),
    ] {
        for stream in [false, true] {
            let provider = Provider::start(vec![answer(status, "application/json", &body)]).await;
            let came = ask(&models(), &target(provider.address), stream).await;
            let error = came.error.expect("a failure");
            assert_eq!(error.charge(), Charge::Nothing);
            let problem = Problem::from(error);
            assert_eq!(problem.code, code, "{status}");
            assert!(!problem.detail.contains("sk-") && !problem.detail.contains("10.0.0.1"), "{problem}");
            assert_eq!(provider.requests().len(), 1, "{status} is sent once");
        }
    }
    let event = piece("data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n");
    let provider = Provider::start(vec![vec![stream_head(), event, end()]]).await;
    let error = ask(&models(), &target(provider.address), true).await.error.unwrap();
    assert_eq!(Problem::from(error).code, Code::InvalidRequest);
}

#[tokio::test]
async fn a_refusal_without_an_end_is_still_a_refusal() {
    let head =
        "HTTP/1.1 503 X\r\ncontent-type: text/plain\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n";
    let provider =
        Provider::start(vec![vec![Act::Say(head.into()), Act::Repeat("4\r\nbusy\r\n".into())]]).await;
    let error = ask(&models(), &target(provider.address), false).await.error.unwrap();
    assert!(matches!(&error, ModelError::Refused(refusal) if refusal.status == 503), "{error}");
    assert_eq!(Problem::from(error).retry_after, Some(7));
}

#[tokio::test]
async fn where_nobody_listens_nothing_leaves_and_the_circuit_opens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = target(listener.local_addr().unwrap());
    drop(listener);
    let models = models();
    somebody(None)
        .await
        .enter(async |tenant| {
            for _ in 0..5 {
                let error = take(&models, &tenant, &nowhere, false).await.error.unwrap();
                assert_eq!((error.charge(), &error), (Charge::Nothing, &ModelError::Unsent(Unsent::Connect)));
            }
            let error = take(&models, &tenant, &nowhere, true).await.error;
            assert_eq!(error, Some(ModelError::CircuitOpen { retry_after: 10 }));
        })
        .await;
}

#[tokio::test]
async fn the_callers_deadline_shortens_the_whole() {
    let provider = Provider::start(vec![vec![Act::Hang]]).await;
    let env = Fixture::new(8).env();
    let deadline = env::Timestamp::from_millis(env.now().millis() + 50);
    let (models, target) = (models(), target(provider.address));
    let begun = tokio::time::Instant::now();
    let admission = somebody(Some(deadline)).await;
    let came = admission.enter(async |tenant| take(&models, &tenant, &target, false).await).await;
    assert_eq!(came.error, Some(ModelError::Timeout(Waiting::Total)));
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn another_tenants_request_does_not_leave() {
    let provider = Provider::start(vec![completion(), vec![stream_head(), finish(), done(), end()]]).await;
    let (models, target, env) = (models(), target(provider.address), Fixture::new(8).env());
    let stranger: ids::TenantId = env.id();
    somebody(None)
        .await
        .enter(async |tenant| {
            assert_ne!(tenant.id(), stranger);
            let call = context::door::answer(&tenant, call(&tenant, &target, false)).unwrap();
            let foreign = Private::arrived(&tenant, Origin::authenticated(stranger), call);
            let outcome = models.chat(&tenant, &target, foreign).await;
            assert!(matches!(outcome, Err(ModelError::Crossing(_))));
        })
        .await;
    assert!(provider.requests().is_empty());
}
