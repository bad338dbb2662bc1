//! A stand-in for a model's provider, which answers OpenAI's dialect at once or after a while, whole or in 22
//! events.

use crate::wire::find;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Events of a streamed answer that carry text; a first one, one with the usage and the end come on top.
const DELTAS: usize = 19;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    delay_micros: Arc<AtomicU64>,
}

impl Upstream {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let delay_micros = Arc::<AtomicU64>::default();
        let delay = delay_micros.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("upstream".into()).spawn(move || {
            let ended = runtime.block_on(accept(listener, delay));
            ended.map_err(|error| println!("the upstream has ended: {error}"))
        })?;
        Ok(Self { address, delay_micros })
    }

    /// How long every answer takes from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_micros.store(delay.as_micros() as u64, Ordering::Relaxed);
    }
}

async fn accept(listener: std::net::TcpListener, delay: Arc<AtomicU64>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that ends is no news.
        tokio::spawn(answer(stream, delay.clone()));
    }
}

async fn answer(mut stream: TcpStream, delay: Arc<AtomicU64>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (whole, streamed) = (whole(), streamed());
    let mut read = Vec::new();
    loop {
        let body = loop {
            if let Some(body) = request(&read) {
                break body;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let streams = find(&read[body.clone()], b"\"stream\":true").is_some();
        read.drain(..body.end);
        let delay = Duration::from_micros(delay.load(Ordering::Relaxed));
        if !delay.is_zero() {
            // The event loop's own timers are a millisecond coarse.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(delay)).await;
        }
        stream.write_all(if streams { &streamed } else { &whole }).await?;
    }
}

/// Where the body of the first whole request is.
fn request(read: &[u8]) -> Option<std::ops::Range<usize>> {
    let head = find(read, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
    (read.len() >= head + length).then_some(head..head + length)
}

const STAMP: &str = "\"id\":\"chatcmpl-1\",\"created\":1790000000,\"model\":\"gpt-4o-mini\"";
const USAGE: &str = "\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":19,\"total_tokens\":44}";

fn whole() -> Vec<u8> {
    let words = "word ".repeat(DELTAS);
    let body = format!(
        "{{{STAMP},\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":\"{words}\"}},\"finish_reason\":\"stop\"}}],{USAGE}}}"
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn streamed() -> Vec<u8> {
    let mut events = Vec::new();
    let mut event = |choices: &str, rest: &str| {
        let text = format!(
            "data: {{{STAMP},\"object\":\"chat.completion.chunk\",\"choices\":[{choices}]{rest}}}\n\n"
        );
        events.push(text);
    };
    event("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}", "");
    for _ in 0..DELTAS - 1 {
        event("{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}", "");
    }
    event("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
    event("", &format!(",{USAGE}"));
    events.push("data: [DONE]\n\n".to_owned());
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for text in events {
        bytes.extend(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}
