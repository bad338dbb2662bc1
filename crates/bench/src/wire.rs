//! HTTP/1.1 over one kept connection, with as little work as can be: the load must not be what is measured.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked over and over.
#[derive(Clone)]
pub(crate) struct Request(Bytes);

impl Request {
    pub(crate) fn new(method: &str, path: &str, key: &str, body: &str) -> Self {
        Self::with_headers(method, path, key, "", body)
    }

    /// With further headers, each with its line's end.
    pub(crate) fn with_headers(method: &str, path: &str, key: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            )
            .into(),
        )
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Until the first byte of the body.
    pub(crate) first: Duration,
    /// Until the last.
    pub(crate) whole: Duration,
}

pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1 << 16) })
    }

    pub(crate) async fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        self.stream.write_all(&request.0).await?;
        self.read.clear();
        let head = loop {
            self.more().await?;
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.read[..head])?.to_ascii_lowercase();
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        while self.read.len() == head && length != Some("0") {
            self.more().await?;
        }
        let first = begun.elapsed();
        match length {
            Some(length) => {
                let whole = head + length.parse::<usize>()?;
                while self.read.len() < whole {
                    self.more().await?;
                }
            }
            None if text.contains("transfer-encoding: chunked") => {
                while !self.read.ends_with(b"\r\n0\r\n\r\n") {
                    self.more().await?;
                }
            }
            None => bail!("an answer without a length"),
        }
        Ok(Answer { status, first, whole: begun.elapsed() })
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        find(&self.read, b"\r\n\r\n").and_then(|end| self.read.get(end + 4..)).unwrap_or_default()
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            bail!("the connection was closed within an answer");
        }
        Ok(())
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
