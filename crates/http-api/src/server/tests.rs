//! Each bound, reached by a client that speaks bytes.

use super::{Bounds, serve};
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(200);
/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

fn bounds() -> Bounds {
    Bounds { header_timeout: SHORT, write_timeout: SHORT, ..Bounds::default() }
}

async fn running(bounds: Bounds) -> Running {
    let endless = || async {
        let piece = || Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 16]));
        Body::from_stream(stream::repeat_with(piece))
    };
    let waiting = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>().boxed()) };
    let router = Router::new()
        .route("/", get(async || "ok"))
        .route("/refuses", post(async || "ok"))
        .route("/endless", get(endless))
        .route("/waiting", get(waiting));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(listener, router, bounds, async { stopped.await.unwrap() }));
    Running { address, stop, served }
}

impl Running {
    async fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

/// All that comes until the server closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut read)).await.expect("it stays open");
    read
}

/// Reads until the answer's last bytes have come.
async fn answered(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    while !read.ends_with(b"ok") {
        match tokio::time::timeout(LONG, stream.read_buf(&mut read)).await.expect("no answer") {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_greeting_is_left() {
    let server = running(bounds()).await;
    for first in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"GET / HTTP/1.1\r\nhost"] {
        let mut stream = server.connect(first).await;
        rest(&mut stream).await;
    }
    assert!(answered(&mut server.connect(REQUEST).await).await);
}

#[tokio::test]
async fn whoever_sends_what_nobody_reads_gets_the_answer() {
    let server = running(Bounds { header_timeout: LONG, write_timeout: LONG, ..bounds() }).await;
    let large = vec![b'x'; 8 << 20];
    let announced = format!("POST /refuses HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", large.len());
    let chunked = format!(
        "POST /refuses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        large.len()
    );
    for (head, end) in [(announced, &b""[..]), (chunked, b"\r\n0\r\n\r\n")] {
        // A client that writes all before it reads a word, and then asks once more on the same connection.
        let mut stream = server.connect(head.as_bytes()).await;
        stream.write_all(&large).await.unwrap();
        stream.write_all(end).await.unwrap();
        assert!(answered(&mut stream).await);
        stream.write_all(REQUEST).await.unwrap();
        assert!(answered(&mut stream).await);
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_taken_in_for_ever() {
    let server = running(Bounds { header_timeout: LONG, write_timeout: LONG, ..bounds() }).await;
    let mut stream =
        server.connect(b"POST /refuses HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999\r\n\r\n").await;
    let piece = vec![b'x'; 1 << 20];
    let refused = async { while stream.write_all(&piece).await.is_ok() {} };
    tokio::time::timeout(LONG, refused).await.expect("it is taken in for ever");
}

#[tokio::test]
async fn what_asks_for_nothing_any_more_is_closed() {
    let server = running(bounds()).await;
    let mut kept = server.connect(REQUEST).await;
    assert!(answered(&mut kept).await);
    rest(&mut kept).await;
    // HTTP/2: the greeting, empty settings, and not a word more.
    let mut second =
        server.connect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
    assert!(!rest(&mut second).await.is_empty());
}

#[tokio::test]
async fn an_answer_that_takes_its_time_is_not_idle() {
    let server = running(bounds()).await;
    let mut stream = server.connect(b"GET /waiting HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut read = Vec::new();
    let ended = tokio::time::timeout(SHORT * 6, stream.read_to_end(&mut read)).await;
    assert!(ended.is_err() && read.starts_with(b"HTTP/1.1 200"), "{ended:?}");
}

#[tokio::test]
async fn whoever_takes_nothing_is_left() {
    let server = running(bounds()).await;
    let mut stream = server.connect(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // What is on its way fills up, and the server waits no longer than it may.
    tokio::time::sleep(SHORT * 10).await;
    rest(&mut stream).await;
}

#[tokio::test]
async fn whoever_leaves_one_answer_unread_over_http_2_is_left() {
    let server = running(Bounds { header_timeout: LONG, ..bounds() }).await;
    // The greeting, empty settings, and `GET /endless` whose answer is given no room beyond the first window.
    let headers = b"\x82\x86\x04\x08/endless\x01\x01x";
    let frame = [&[0, 0, headers.len() as u8, 1, 5, 0, 0, 0, 1][..], headers].concat();
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = server.connect(&[&greeting[..], &frame].concat()).await;
    let read = rest(&mut stream).await;
    assert!(read.len() > 60_000, "{}", read.len());
}

#[tokio::test]
async fn an_address_has_its_share_of_the_places() {
    let server = running(Bounds { per_address: 2, header_timeout: LONG, ..bounds() }).await;
    let (mut one, mut two) = (server.connect(REQUEST).await, server.connect(REQUEST).await);
    assert!(answered(&mut one).await && answered(&mut two).await);
    let mut three = server.connect(b"").await;
    assert!(rest(&mut three).await.is_empty());
    drop(one);
    // The place is free once the server has seen the end.
    for _ in 0..500 {
        let mut again = TcpStream::connect(server.address).await.unwrap();
        if again.write_all(REQUEST).await.is_ok() && answered(&mut again).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place was not given back");
}

#[tokio::test]
async fn beyond_all_places_callers_wait_for_one() {
    let server = running(Bounds { connections: 1, per_address: 9, header_timeout: LONG, ..bounds() }).await;
    let mut one = server.connect(REQUEST).await;
    assert!(answered(&mut one).await);
    let mut two = server.connect(REQUEST).await;
    assert!(tokio::time::timeout(SHORT, two.read(&mut [0; 1])).await.is_err());
    drop(one);
    assert!(answered(&mut two).await);
}

#[tokio::test]
async fn a_drain_waits_for_nobody_who_says_nothing_and_for_others_no_longer_than_it_may() {
    let long = Bounds { header_timeout: LONG, ..bounds() };
    let server = running(long).await;
    let (mut silent, mut idle) = (server.connect(b"").await, server.connect(REQUEST).await);
    assert!(answered(&mut idle).await);
    server.stop.send(()).unwrap();
    tokio::time::timeout(LONG / 2, server.served).await.expect("it waits").unwrap();
    rest(&mut silent).await;
    rest(&mut idle).await;

    let server = running(Bounds { drain: SHORT, ..long }).await;
    let mut stream = server.connect(b"GET /waiting HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.read_exact(&mut [0; 12]).await.unwrap();
    server.stop.send(()).unwrap();
    tokio::time::timeout(LONG / 2, server.served).await.expect("it waits").unwrap();
}
