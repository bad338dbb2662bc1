//! Bad input to every operation that the server describes: a clear refusal or a closed connection, and never a
//! server error, a panic, or memory that is not given back.

use crate::description::sampled_operations;
use crate::harness::{Server, send};
use crate::rude::peak_kib;
use crate::samples::{By, Sample, World};
use futures::StreamExt as _;
use http::Method;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How much memory the server may come to use besides, in KiB.
const MEMORY_KIB: u64 = 96 << 10;

/// A request as it goes over the wire, with its parts as bytes.
#[derive(Clone)]
struct Wire {
    method: Method,
    path: Vec<u8>,
    headers: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl Wire {
    fn of(world: &World, sample: &Sample) -> Self {
        let key = match sample.by {
            By::Owner => Some(world.tenant.owner_key.expose().to_owned()),
            By::Operator => Some(world.server.operator_key().expose().to_owned()),
            By::Anyone => None,
        };
        let mut headers = String::new();
        if let Some(key) = key {
            headers += &format!("authorization: Bearer {key}\r\n");
        }
        if let Some((media_type, _)) = &sample.body {
            headers += &format!("content-type: {media_type}\r\n");
        }
        Self {
            method: sample.method.clone(),
            path: sample.path.clone().into(),
            headers: headers.into(),
            body: sample.body.as_ref().map(|(_, body)| body.to_vec()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut all = format!("{} ", self.method).into_bytes();
        all.extend(&self.path);
        all.extend(b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        all.extend(&self.headers);
        if let Some(body) = &self.body {
            all.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            all.extend(body);
        } else {
            all.extend(b"\r\n");
        }
        all
    }

    fn path(&self, path: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    fn header(&self, header: impl AsRef<[u8]>) -> Self {
        let mut headers = self.headers.clone();
        headers.extend(header.as_ref());
        headers.extend(b"\r\n");
        Self { headers, ..self.clone() }
    }

    fn body(&self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..self.clone() }
    }

    /// The path with its last part replaced.
    fn last_part(&self, part: &[u8]) -> Self {
        let end = self.path.iter().rposition(|byte| *byte == b'/').unwrap() + 1;
        self.path([&self.path[..end], part].concat())
    }

    fn query(&self, query: &[u8]) -> Self {
        let glue = if self.path.contains(&b'?') { b"&" } else { b"?" };
        self.path([&self.path[..], glue, query].concat())
    }
}

/// The body with every value of this kind replaced by `text`, which need not be JSON.
fn with_each(body: &Value, concerned: fn(&Value) -> bool, text: &[u8]) -> Vec<u8> {
    const MARK: &str = "\"\u{1}\"";
    fn mark(value: &mut Value, concerned: fn(&Value) -> bool) {
        match value {
            value if concerned(value) => *value = "here".into(),
            Value::Array(items) => items.iter_mut().for_each(|item| mark(item, concerned)),
            Value::Object(members) => members.values_mut().for_each(|member| mark(member, concerned)),
            _ => {}
        }
    }
    let mut marked = body.clone();
    mark(&mut marked, concerned);
    let rendered = marked.to_string().replace("\"here\"", MARK);
    let mut all = Vec::new();
    for (at, part) in rendered.split(MARK).enumerate() {
        if at > 0 {
            all.extend(text);
        }
        all.extend(part.bytes());
    }
    all
}

/// Every bad form of a good request, with what it is called.
fn bad(good: &Wire) -> Vec<(&'static str, Wire)> {
    let mut all = vec![
        ("a part that is over-long", good.last_part("a".repeat(20_000).as_bytes())),
        ("a path that is over-long", good.path(format!("/v1/{}", "a".repeat(200_000)))),
        ("a part that is no UTF-8", good.last_part(b"%ff%fe")),
        ("a part of raw bytes", good.last_part(b"\xff\xfe")),
        ("a part that is NUL", good.last_part(b"%00")),
        ("a raw NUL", good.last_part(b"\0")),
        ("a query that is over-long", good.query("a=b&".repeat(15_000).as_bytes())),
        ("a query that is no UTF-8", good.query(b"limit=%ff&cursor=%c0%80")),
        ("a huge limit", good.query(b"limit=99999999999999999999999999")),
        ("a negative limit", good.query(b"limit=-1&limit=1")),
        ("a cursor of anything", good.query(b"cursor=%00AAAA////")),
        ("a flood of headers", good.header("x-a: b\r\n".repeat(5000).trim_end())),
        ("a header that is over-long", good.header(format!("x-a: {}", "b".repeat(200_000)))),
        ("a header of raw bytes", good.header(b"x-a: \xff\xfe")),
        ("a header with NUL", good.header(b"x-a: a\0b")),
        ("an idempotency key of raw bytes", good.header(b"idempotency-key: \xff")),
        (
            "an idempotency key that is over-long",
            good.header(format!("idempotency-key: {}", "k".repeat(9000))),
        ),
        ("a precondition that is none", good.header("if-match: \"999999999999999999999999\", W/\"x")),
        ("a trace that is none", good.header("traceparent: 00-zz-zz-zz")),
        ("two lengths", good.header("content-length: 7")),
        ("a length that is none", good.header("content-length: -1")),
        ("a length and chunks", good.header("transfer-encoding: chunked")),
        (
            "a credential that is over-long",
            good.header(format!("authorization: Bearer {}", "k".repeat(30_000))),
        ),
        ("a type that is none", good.header("content-type: \"").body("{}")),
        ("a compressed body", good.header("content-encoding: gzip").body(b"\x1f\x8b\x08\x00".to_vec())),
        ("a body that nobody asked for", good.body("x".repeat(100_000))),
        ("a body that is no UTF-8", good.body(b"{\"name\": \"\xff\xfe\"}".to_vec())),
        ("deep arrays", good.body("[".repeat(200_000))),
        ("deep objects", good.body("{\"a\":".repeat(100_000))),
        ("nothing", good.body("")),
        ("NUL", good.body("\0")),
        ("half of an object", good.body("{\"name\": \"")),
        ("another kind", good.body("[]")),
        ("null", good.body("null")),
    ];
    if let Some(body) = &good.body
        && let Ok(json) = serde_json::from_slice::<Value>(body)
    {
        let text = |value: &Value| value.is_string();
        let number = |value: &Value| value.is_number();
        let any = |value: &Value| !value.is_object() && !value.is_array();
        for (name, concerned, put) in [
            ("texts that are no UTF-8", text as fn(&Value) -> bool, &b"\"\xff\xfe\""[..]),
            ("texts with NUL", text, b"\"a\\u0000b\""),
            ("texts with half a surrogate", text, b"\"\\ud800\""),
            ("texts that are empty", text, b"\"\""),
            ("texts that turn round", text, "\"\u{202e}\u{feff}\u{200d}\"".as_bytes()),
            ("numbers for texts", text, b"1e400"),
            ("huge numbers", number, b"1e999999"),
            ("numbers of many digits", number, &[b'9'; 5000]),
            ("negative numbers", number, b"-9223372036854775808"),
            ("numbers that are none", number, b"NaN"),
            ("deep values", any, "[".repeat(500).as_bytes()),
            ("long texts", text, format!("\"{}\"", "x".repeat(300_000)).as_bytes()),
        ] {
            all.push((name, good.body(with_each(&json, concerned, put))));
        }
        let once = json.to_string();
        let twice = format!("{},{}", once.trim_end_matches('}'), once.trim_start_matches('{'));
        all.push(("every member twice", good.body(twice)));
    }
    all
}

/// Sends a request; gives back the status, or `None` where the connection was closed without an answer.
async fn status(server: &Server, wire: &Wire) -> Option<u16> {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The server may have closed before all is sent.
    let _ = stream.write_all(&wire.bytes()).await;
    let mut head = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut head)).await;
    let read = read.expect("neither an answer nor a closed connection");
    read.is_ok().then(|| std::str::from_utf8(&head[9..]).unwrap().parse().unwrap())
}

#[tokio::test]
async fn bad_input_to_any_operation_is_refused_clearly() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("log");
    let world = World::with(&["--log", log.to_str().unwrap()]).await;
    let mut wires = Vec::new();
    for described in sampled_operations(&world.server).await {
        let Some(sample) = world.sample(described.id()).await else { panic!("{}", described.id()) };
        wires.push((described.id().to_owned(), Wire::of(&world, &sample)));
    }
    let before = peak_kib(&world.server);
    // Operations beside each other, and each one's requests after each other: some do few things at a time.
    let sent = futures::stream::iter(&wires).map(async |(id, good)| {
        let (mut tried, mut wrong) = (0, Vec::new());
        for (name, wire) in bad(good) {
            tried += 1;
            let status = status(&world.server, &wire).await;
            if status.is_some_and(|status| status >= 500) {
                wrong.push(format!("{id}: {name}: {status:?}"));
            }
        }
        (tried, wrong)
    });
    let sent: Vec<_> = sent.buffer_unordered(4).collect().await;
    let tried: usize = sent.iter().map(|(tried, _)| tried).sum();
    let wrong: Vec<_> = sent.into_iter().flat_map(|(_, wrong)| wrong).collect();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        wrong.is_empty(),
        "{wrong:#?}\n{}",
        said.lines().filter(|line| line.contains("ERROR")).collect::<Vec<_>>().join("\n")
    );
    assert!(tried > 34 * wires.len(), "{tried}");
    let grown = peak_kib(&world.server) - before;
    assert!(grown < MEMORY_KIB, "the server grew by {grown} KiB");
    assert!(!said.contains("panicked"), "{said}");
    assert!(send(&world.server.operator, Method::GET, "/healthz").await.status.is_success());
}

/// Connections from an address of their own, so that they take no share of anybody else's.
async fn connect(server: &Server, from: &str) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(server.address().parse::<SocketAddr>().unwrap()).await.ok()
}

#[tokio::test]
async fn thousands_of_idle_and_slow_connections_keep_nobody_out() {
    let own = format!("--pid={}", std::process::id());
    let raised = std::process::Command::new("prlimit").args([&own, "--nofile=8192:"]).status().unwrap();
    assert!(raised.success());
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let before = peak_kib(&server);
    let mut idle = Vec::new();
    for number in 0..3000 {
        let from = ["127.0.0.2", "127.0.0.3"][number % 2];
        let Some(mut stream) = connect(&server, from).await else { continue };
        // Every third says a little and then no more.
        if number % 3 == 0 {
            let _ = stream.write_all(b"POST /v1/records/contacts HTTP/1.1\r\nhost: x\r\ncontent-le").await;
        }
        idle.push(stream);
    }
    assert!(idle.len() > 2500, "{}", idle.len());
    for _ in 0..20 {
        let made = tokio::time::timeout(Duration::from_secs(2), tenant.record()).await;
        made.expect("somebody else is kept out");
    }
    let grown = peak_kib(&server) - before;
    assert!(grown < MEMORY_KIB, "the server grew by {grown} KiB");
}
