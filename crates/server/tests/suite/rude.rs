//! A server that breaks the rules of HTTP: it hangs, resets, trickles, sends half of it, garbage, wrong lengths,
//! endless heads or ten gigabytes.

use crate::harness::Server;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Behind this a path names what it does; under any other path it is the name of the model.
pub(crate) const WAY: &str = "/way/";
/// What it does to whoever asks for a model.
pub(crate) const WAYS: [&str; 18] = [
    "hang",
    "reset",
    "close",
    "trickle-head",
    "trickle-body",
    "half-answer",
    "half-stream",
    "garbage",
    "garbage-json",
    "garbage-events",
    "too-short-a-length",
    "two-lengths",
    "bad-chunk",
    "endless-head",
    "endless-body",
    "endless-event",
    "endless-stream",
    "endless-refusal",
];
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const PIECE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Starts it; gives back its host and port.
pub(crate) async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The server may close at any time.
                let _ = serve(stream).await;
            });
        }
    });
    host
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    let way = loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        // The beginning of a TLS handshake, which it does not speak and does not refuse.
        if read.first() == Some(&22) {
            return std::future::pending().await;
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            let target = head.split(' ').nth(1).unwrap();
            break match target.strip_prefix(WAY) {
                Some(way) => way.to_owned(),
                None => serde_json::from_str::<Value>(body).unwrap()["model"].as_str().unwrap().to_owned(),
            };
        }
    };
    let answer = match way.as_str() {
        "hang" => return std::future::pending().await,
        "reset" => {
            stream.set_zero_linger()?;
            return Ok(());
        }
        "close" => return Ok(()),
        "trickle-head" => return trickle(stream, JSON.to_owned() + &"x-a: b\r\n".repeat(1000)).await,
        "trickle-body" => {
            return trickle(stream, format!("{JSON}content-length: 9000\r\n\r\n") + &" ".repeat(9000)).await;
        }
        "half-answer" => {
            format!("{JSON}content-length: 1000\r\n\r\n{{\"id\": \"chatcmpl-1\", \"choices\": [")
        }
        "half-stream" => format!("{EVENTS}{}{}", chunk(PIECE), chunk(PIECE)),
        "garbage" => "\u{0}\u{1}\u{2} nothing that anybody knows \r\n\r\n\u{7f}".repeat(50),
        "garbage-json" => format!("{JSON}content-length: 9\r\n\r\n{{{{{{{{{{]]]]"),
        "garbage-events" => format!("{EVENTS}{}0\r\n\r\n", chunk("data: {nothing\n\ndata: \u{0}\n\n")),
        "too-short-a-length" => {
            format!("{JSON}content-length: 3\r\n\r\n{{\"id\": \"chatcmpl-1\", \"choices\": []}}")
        }
        "two-lengths" => format!("{JSON}content-length: 3\r\ncontent-length: 2\r\n\r\n{{}}"),
        "redirect" => format!("HTTP/1.1 302 Found\r\nlocation: {WAY}redirect\r\ncontent-length: 0\r\n\r\n"),
        "bad-chunk" => format!("{}zz\r\nabc\r\n", EVENTS.replace("event-stream", "plain")),
        "endless-head" => return endless(stream, JSON, "x-more: and more of it, on and on\r\n").await,
        "endless-body" => {
            let head = format!("{JSON}content-length: 10000000000\r\n\r\n{{\"id\": \"");
            return endless(stream, &head, &"a".repeat(64 << 10)).await;
        }
        "endless-event" => {
            let head = format!("{EVENTS}{}", chunk("data: {\"id\": \""));
            return endless(stream, &head, &chunk(&"a".repeat(64 << 10))).await;
        }
        "endless-stream" => return endless(stream, EVENTS, &chunk(PIECE)).await,
        _ => {
            let head =
                "HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ncontent-length: 10000000000\r\n\r\n";
            return endless(stream, head, &"a".repeat(64 << 10)).await;
        }
    };
    stream.write_all(answer.as_bytes()).await
}

async fn trickle(mut stream: TcpStream, text: String) -> std::io::Result<()> {
    for byte in text.bytes() {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn endless(mut stream: TcpStream, head: &str, more: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(more.as_bytes()).await?;
    }
}

/// The most memory that a process had at once, in KiB.
pub(crate) fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
