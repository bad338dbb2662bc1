//! Providers that break the rules of HTTP: they hang, reset, trickle, send half of it, garbage, wrong lengths,
//! endless heads or ten gigabytes. Whatever they do ends in time and in little memory, is settled exactly, and
//! slows nobody else.

use super::{World, ask, ask_stream};
use crate::harness::{Server, send_json};
use http::Method;
use money::Usd;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does, by the name of the model.
const WAYS: [&str; 18] = [
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
/// How long a call may take, in seconds.
const CALL_SECONDS: u64 = 2;
/// How much memory the server may come to use besides, in KiB.
const MEMORY_KIB: u64 = 96 << 10;

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const PIECE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Starts it; gives back its host and port.
async fn start() -> String {
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
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            break serde_json::from_str::<Value>(body).unwrap()["model"].as_str().unwrap().to_owned();
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

/// One endpoint for each way, so that none is given up because of another.
async fn put_endpoint(world: &World, way: &str, host: &str) {
    let prices = json!({way: {"input_per_million": "1", "output_per_million": "10"}});
    let endpoint = json!({"url": format!("http://{host}/v1"), "dialect": "openai", "models": [way], "prices": prices,
        "api_key": "sk-of-the-operator", "max_output_tokens": 100});
    world.server.operator.put(&format!("/v1/endpoints/{way}"), &endpoint).await.unwrap();
}

/// Asks for an answer that does not come as it should. Where the head is out already, the stream says so.
async fn fails(world: &World, way: &str, stream: bool) {
    let body = if stream { ask_stream(way) } else { ask(way) };
    let asked = send_json(&world.client, Method::POST, "/v1/chat/completions", &body);
    let answer = tokio::time::timeout(Duration::from_secs(CALL_SECONDS + 6), asked).await;
    let answer = answer.unwrap_or_else(|_| panic!("{way} ({stream}) goes on for ever"));
    let text = answer.text();
    let code = if answer.status.is_success() {
        let last = text.trim().rsplit("data: ").next().unwrap();
        assert!(stream && text.contains("\"error\""), "{way} ({stream}): {last}");
        serde_json::from_str::<Value>(last).unwrap()["error"]["code"].clone()
    } else {
        answer.json()["code"].clone()
    };
    let codes = ["upstream_failed", "upstream_timeout"];
    assert!(codes.iter().any(|known| code == *known), "{way} ({stream}): {code} {text:.300}");
}

/// Every intent has one outcome, and budget and usage are the sum of what these cost.
async fn assert_settled(world: &World) {
    let (mut intents, mut costs) = (0, BTreeMap::new());
    for event in world.events().await {
        if event["result"] == "intent" {
            intents += 1;
        } else {
            let cost: Usd = event["cost"]["usd"].as_str().unwrap().parse().unwrap();
            let twice = costs.insert(event["intent"].as_str().unwrap().to_owned(), cost);
            assert!(twice.is_none(), "{event}");
        }
    }
    assert_eq!(intents, costs.len());
    let spent: Usd = costs.values().copied().sum();
    let budget = world.budget().await;
    assert_eq!(budget["reserved"], "0.00");
    assert_eq!(budget["spent"].as_str().unwrap().parse::<Usd>().unwrap(), spent);
    let usage = world.client.get("/v1/usage").await.unwrap();
    let lines = usage["data"].as_array().unwrap().iter();
    let charged: Usd = lines.map(|line| line["cost_usd"].as_str().unwrap().parse::<Usd>().unwrap()).sum();
    assert_eq!(charged, spent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_provider_does_ends_in_time_is_settled_and_slows_nobody() {
    let hosts = futures::future::join_all(WAYS.iter().map(|_| start())).await;
    let allowed: String = hosts.iter().map(|host| format!("\"{host}\", ")).collect();
    let config =
        format!("[limits]\nmodel_call_seconds = {CALL_SECONDS}\n[egress]\nallow = [{allowed}\"PROVIDER\"]\n");
    let world = World::with(&config, json!({})).await;
    for (way, host) in WAYS.iter().zip(&hosts) {
        put_endpoint(&world, way, host).await;
    }
    assert!(world.set_budget("100").await.status.is_success());
    let other = world.server.tenant("Bolt").await;
    let before = peak_kib(&world.server);
    let asking = async {
        for stream in [false, true] {
            let all = WAYS.iter().map(|way| fails(&world, way, stream));
            futures::future::join_all(all).await;
        }
    };
    let neighbour = async {
        let body = ask("offline");
        loop {
            let asked = send_json(&other.owner, Method::POST, "/v1/chat/completions", &body);
            let answer =
                tokio::time::timeout(Duration::from_secs(1), asked).await.expect("a neighbour is slowed");
            assert!(answer.status.is_success(), "{}", answer.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = neighbour => {}
    }
    let grown = peak_kib(&world.server) - before;
    assert!(grown < MEMORY_KIB, "the server grew by {grown} KiB");
    assert_settled(&world).await;
}
