//! What comes back, however badly, and what is known then of what was sent.

use super::server::{Server, ok, read_request};
use super::world::{World, get};
use egress::{EgressError, Headers, Method, OutboundRequest, OutboundResponse};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

async fn ask(server: &Server, request: OutboundRequest) -> Result<OutboundResponse, EgressError> {
    World::allowing(&[server.at("a.test")]).await.send(request).await
}

async fn answer_to(answer: impl Into<Vec<u8>>) -> Result<OutboundResponse, EgressError> {
    let server = Server::answering(answer).await;
    ask(&server, to(&server)).await
}

fn to(server: &Server) -> OutboundRequest {
    get(&format!("http://{}/", server.at("a.test")))
}

#[tokio::test]
async fn the_request_is_written_as_it_was_meant() {
    let server = Server::answering(ok("{}")).await;
    let headers = Headers::parse([("X-Note", "a\tb"), ("content-type", "application/json")]).unwrap();
    // A body that looks like a request must stay a body.
    let body = b"\r\n\r\nGET /admin HTTP/1.1\r\nhost: a.test\r\n\r\n".to_vec();
    let mut request = OutboundRequest { method: Method::Post, headers, body, ..to(&server) };
    request.url = request.url.join("/path?q=%0d%0aX:%20y").unwrap();
    assert_eq!(ask(&server, request).await.ok().map(|answer| answer.body), Some(b"{}".to_vec()));
    let expected = format!(
        "POST /path?q=%0d%0aX:%20y HTTP/1.1\r\nhost: a.test:{}\r\nx-note: a\tb\r\n\
         content-type: application/json\r\nuser-agent: tenantry\r\ncontent-length: 41\r\n\r\n\
         \r\n\r\nGET /admin HTTP/1.1\r\nhost: a.test\r\n\r\n",
        server.port
    );
    assert_eq!(server.requests(), [expected]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn answers_of_every_honest_kind_are_read() {
    let read = async |answer: &'static str| {
        answer_to(answer).await.map(|answer| (answer.status, String::from_utf8(answer.body).unwrap())).ok()
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(read(chunked).await, Some((200, "abc".into())));
    assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n").await, Some((204, String::new())));
    assert_eq!(read("HTTP/1.1 500 Oh\r\n\r\nuntil the end").await, Some((500, "until the end".into())));
    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(read(continued).await, Some((200, "ok".into())));

    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 99\r\nx-a: b\r\n\r\n").await;
    let head = ask(&server, OutboundRequest { method: Method::Head, ..to(&server) }).await.ok().unwrap();
    assert_eq!((head.body.len(), head.headers["x-a"].to_str().unwrap()), (0, "b"));
}

#[tokio::test]
async fn a_trickle_ends_at_the_deadline() {
    let trickles: [&'static [u8]; 3] =
        [b"HTTP/1.1 200 OK\r\nx-slow: ", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b""];
    for begin in trickles {
        let server = Server::running(move |mut stream, _| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(begin).await;
            while !begin.is_empty() && stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending().await
        })
        .await;
        let begun = Instant::now();
        let request = OutboundRequest { timeout: Duration::from_millis(250), ..to(&server) };
        let error = ask(&server, request).await.err();
        assert!(matches!(error, Some(EgressError::Timeout { sent: true })), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn heads_without_end_are_cut_off() {
    let floods: [&'static [u8]; 2] = [b"x-more: of the same\r\n", b"more-of-the-same-without-a-line-end"];
    for flood in floods {
        let server = Server::running(move |mut stream, _| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
            while stream.write_all(flood).await.is_ok() {}
        })
        .await;
        let error = ask(&server, to(&server)).await.err();
        assert!(matches!(error, Some(EgressError::TooLarge)), "{error:?}");
    }
}

#[tokio::test]
async fn heads_are_bounded_in_fields_and_bytes() {
    let with = |fields: usize, length: usize| {
        let field = format!("a: {}\r\n", "b".repeat(length));
        answer_to(format!("HTTP/1.1 200 OK\r\n{}\r\n", field.repeat(fields)))
    };
    assert!(with(128, 10).await.is_ok() && with(1, 60_000).await.is_ok());
    for (fields, length) in [(129, 10), (1, 70_000)] {
        let error = with(fields, length).await.err();
        assert!(matches!(&error, Some(error @ EgressError::TooLarge) if error.sent()), "{error:?}");
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let server = Server::running(|mut stream, _| async move {
        read_request(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let request = OutboundRequest { timeout: Duration::from_millis(300), ..to(&server) };
    let begun = Instant::now();
    assert!(ask(&server, request).await.is_err_and(|error| error.sent()));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn bodies_are_bounded_to_the_byte() {
    let asking = async |answer: String, max_response_bytes| {
        let server = Server::answering(answer).await;
        ask(&server, OutboundRequest { max_response_bytes, ..to(&server) }).await
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for answer in [ok("abcde"), chunked.into(), "HTTP/1.1 200 OK\r\n\r\nabcde".into()] {
        assert_eq!(asking(answer.clone(), 5).await.ok().map(|answer| answer.body.len()), Some(5));
        let error = asking(answer, 4).await.err();
        assert!(matches!(error, Some(EgressError::TooLarge)), "{error:?}");
    }
}

#[tokio::test]
async fn ten_gigabytes_are_not_read() {
    let announced = answer_to("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n").await.err();
    assert!(matches!(announced, Some(EgressError::TooLarge)), "{announced:?}");
    let (told, mut written) = mpsc::unbounded_channel();
    let server = Server::running(move |mut stream, _| {
        let told = told.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let (block, mut total) = (vec![b'a'; 1 << 16], 0_u64);
            while total < 10 << 30 && stream.write_all(&block).await.is_ok() {
                total += 1 << 16;
            }
            let _ = told.send(total);
        }
    })
    .await;
    let error = ask(&server, to(&server)).await.err();
    assert!(matches!(error, Some(EgressError::TooLarge)), "{error:?}");
    // One mebibyte was asked for; the rest is what the system's buffers took.
    assert!(written.recv().await.unwrap() < 64 << 20);
}

#[tokio::test]
async fn half_an_answer_is_a_broken_connection() {
    let halves = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ];
    for half in halves {
        let error = answer_to(half).await.err();
        assert!(matches!(error, Some(EgressError::Broken { sent: true })), "{half:?} {error:?}");
    }
}

#[tokio::test]
async fn garbage_is_not_http() {
    let garbage = [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "\0\x01\x02\x03 \r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ];
    for answer in garbage {
        let error = answer_to(answer).await.err();
        assert!(
            matches!(&error, Some(error @ EgressError::Protocol) if error.sent()),
            "{answer:?} {error:?}"
        );
    }
}

#[tokio::test]
async fn a_reset_after_the_request_leaves_the_outcome_unknown() {
    let server = Server::running(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = ask(&server, to(&server)).await.err();
    assert!(matches!(error, Some(EgressError::Broken { sent: true })), "{error:?}");
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("a.test:{}", listener.local_addr().unwrap().port());
    drop(listener);
    let world = World::allowing(std::slice::from_ref(&place)).await;
    let error = world.send(get(&format!("http://{place}/"))).await.err();
    assert!(matches!(&error, Some(error @ EgressError::Connect) if !error.sent()), "{error:?}");
}

#[tokio::test]
async fn dropping_the_call_ends_the_connection() {
    let (told, mut ended) = mpsc::unbounded_channel();
    let server = Server::running(move |mut stream, _| {
        let told = told.clone();
        async move {
            read_request(&mut stream).await;
            let _ = told.send(None);
            let _ = told.send(stream.read(&mut [0]).await.ok());
        }
    })
    .await;
    let world = World::allowing(&[server.at("a.test")]).await;
    tokio::select! {
        _ = world.send(to(&server)) => panic!("nothing was answered"),
        begun = ended.recv() => assert_eq!(begun, Some(None)),
    }
    let end = tokio::time::timeout(Duration::from_secs(1), ended.recv()).await;
    assert_eq!(end, Ok(Some(Some(0))));
}
