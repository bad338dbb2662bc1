//! A provider that behaves as real ones do, on a bad day too: each request it takes is answered by the next
//! script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the provider does with a request.
#[derive(Clone)]
pub enum Act {
    /// Sends these bytes.
    Say(String),
    /// Sends these, which need not be text.
    Raw(Vec<u8>),
    /// Sends them again and again until nobody listens.
    Repeat(String),
    /// Waits.
    Pause(Duration),
    /// Says nothing more until the caller hangs up.
    Hang,
    /// Ends the connection.
    Close,
}

/// What was seen of the caller.
#[derive(Default)]
pub struct Seen {
    /// Each request, head and body.
    pub requests: Mutex<Vec<String>>,
    /// How many connections were made.
    pub connections: Mutex<usize>,
    /// Told when a caller hangs up.
    pub hung_up: Notify,
}

/// A provider on a port of its own, for as long as the test runs.
pub struct Provider {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Provider {
    /// Answers the first request with the first script, and so on; the last script serves all further ones.
    pub async fn start(scripts: Vec<Vec<Act>>) -> Self {
        Self::start_with(scripts, None).await
    }

    pub async fn start_with(scripts: Vec<Vec<Act>>, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let witness = seen.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *witness.connections.lock().unwrap() += 1;
                let (witness, scripts, tls) = (witness.clone(), scripts.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, &witness, &scripts).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                serve(socket, &witness, &scripts).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.seen.connections.lock().unwrap()
    }
}

async fn serve(mut socket: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen, scripts: &[Vec<Act>]) {
    while let Some(request) = read_request(&mut socket).await {
        let number = {
            let mut requests = seen.requests.lock().unwrap();
            requests.push(request);
            requests.len()
        };
        for act in &scripts[(number - 1).min(scripts.len() - 1)] {
            match act {
                Act::Say(text) => {
                    if socket.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Act::Raw(bytes) => {
                    if socket.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                Act::Repeat(text) => while socket.write_all(text.as_bytes()).await.is_ok() {},
                Act::Pause(time) => tokio::time::sleep(*time).await,
                Act::Hang => {
                    let mut buffer = [0; 64];
                    while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                    seen.hung_up.notify_one();
                    return;
                }
                Act::Close => return,
            }
        }
    }
}

async fn read_request(socket: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                return Some(text);
            }
        }
        match socket.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

/// A whole answer with this status, media type and body.
pub fn answer(status: u16, media_type: &str, body: &str) -> Vec<Act> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n");
    vec![Act::Say(head + body)]
}

/// A good whole answer.
pub fn completion() -> Vec<Act> {
    let body = r#"{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12}}"#;
    answer(200, "application/json", body)
}

/// The head of a stream.
pub fn stream_head() -> Act {
    Act::Say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n".into())
}

/// One piece of a stream, as one HTTP chunk.
pub fn piece(text: &str) -> Act {
    Act::Say(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// The end of a stream's body.
pub fn end() -> Act {
    Act::Say("0\r\n\r\n".into())
}

/// An event whose delta is this text.
pub fn delta(text: &str) -> Act {
    piece(&format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    ))
}

/// The event that ends the answer.
pub fn finish() -> Act {
    piece("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
}

/// The event that ends the stream.
pub fn done() -> Act {
    piece("data: [DONE]\n\n")
}
