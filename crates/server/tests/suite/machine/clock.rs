//! A wall clock that jumps forward and back.

use crate::chaos::trail::{self, Held};
use crate::harness::{Server, send_json};
use crate::shim;
use http::Method;
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

fn set(clock: &Path, seconds: i64) {
    let begun = clock.with_extension("begun");
    std::fs::write(&begun, seconds.to_string()).unwrap();
    std::fs::rename(begun, clock).unwrap();
}

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_clock_that_jumps_locks_nobody_out_and_breaks_no_log() {
    let folder = TempDir::new().unwrap();
    let clock = folder.path().join("clock");
    set(&clock, 0);
    let server = Server::start_in(TempDir::new().unwrap(), "", &[], |data| {
        shim::environment(data, &[("SHIM_CLOCK", &clock)])
    });
    let limits = json!({"ai_calls_per_hour": 3});
    let tenant = server.tenant_on("small", &limits, "Acme").await;
    let mut held = Held::of(&tenant.owner).await;
    let mut numbers = Vec::new();
    for jump in [0, DAY, -DAY, 30 * DAY, -400 * DAY, 3600, 0] {
        set(&clock, jump);
        for _ in 0..4 {
            let body = json!({"number": numbers.len()});
            let made = send_json(&tenant.owner, Method::POST, "/v1/records/contacts", &body).await;
            assert!(made.status.is_success(), "at {jump}: {}", made.text());
            numbers.push(made.json()["id"].as_str().unwrap().to_owned());
        }
        held.verified(&trail::export(&tenant.owner).await);
        held.hold(trail::checkpoint(&tenant.owner).await);
    }
    // What was used up at a time that has not come yet does not count for ever.
    set(&clock, 2 * DAY);
    let ask = json!({"model": "offline", "messages": [{"role": "user", "content": "Hello."}]});
    let chat = || send_json(&tenant.owner, Method::POST, "/v1/chat/completions", &ask);
    for _ in 0..3 {
        assert!(chat().await.status.is_success());
    }
    assert_eq!(chat().await.json()["code"], "rate_limited");
    set(&clock, 0);
    let after = chat().await;
    let wait: u64 = after.header("retry-after").map_or(0, |seconds| seconds.parse().unwrap());
    assert!(wait <= 3700, "{wait}");
    set(&clock, 3800);
    assert!(chat().await.status.is_success());
    for id in &numbers {
        tenant.owner.get(&format!("/v1/records/contacts/{id}")).await.unwrap();
    }
}
