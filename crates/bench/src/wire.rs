//! HTTP/1.1 over one kept connection, with as little work as can be: the load must not be what is measured.

use anyhow::{Context as _, bail};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What is asked over and over.
#[derive(Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn new(method: &str, path: &str, key: &str, body: &str) -> Self {
        let length = body.len();
        Self(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
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
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, read: Vec::with_capacity(1 << 16) })
    }

    pub(crate) fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        self.stream.write_all(&request.0)?;
        self.read.clear();
        let head = loop {
            self.more()?;
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.read[..head])?.to_ascii_lowercase();
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        while self.read.len() == head && length != Some("0") {
            self.more()?;
        }
        let first = begun.elapsed();
        match length {
            Some(length) => {
                let whole = head + length.parse::<usize>()?;
                while self.read.len() < whole {
                    self.more()?;
                }
            }
            None if text.contains("transfer-encoding: chunked") => {
                while !self.read.ends_with(b"\r\n0\r\n\r\n") {
                    self.more()?;
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

    fn more(&mut self) -> anyhow::Result<()> {
        let mut piece = [0; 1 << 14];
        let length = self.stream.read(&mut piece)?;
        if length == 0 {
            bail!("the connection was closed within an answer");
        }
        self.read.extend_from_slice(&piece[..length]);
        Ok(())
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
