//! A pair of servers whose Redis is gone for a while.

use super::Pair;
use crate::harness::send_json;
use client::{Answer, Client};
use http::Method;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

async fn ask(who: &Client) -> Answer {
    let body = json!({"model": "offline", "messages": [{"role": "user", "content": "Hello."}]});
    send_json(who, Method::POST, "/v1/chat/completions", &body).await
}

/// Asks until it is admitted or limited, and says which.
async fn decided(who: &Client) -> bool {
    let begin = Instant::now();
    loop {
        let answer = ask(who).await;
        match answer.status.as_u16() {
            200 => return true,
            429 => return false,
            503 => assert!(begin.elapsed() < Duration::from_secs(30), "{}", answer.text()),
            other => panic!("{other}: {}", answer.text()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many calls are admitted before one is not.
async fn admitted(who: &Client) -> u32 {
    let mut count = 0;
    while decided(who).await {
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_on_with_its_share_where_its_plan_says_so() {
    let pair = Pair::start().await;
    let limits = json!({"ai_calls_per_hour": 9, "without_shared_limits": "local_share"});
    let going = pair.one.tenant_on("going", &limits, "Going").await;
    let waiting = pair.one.tenant("Waiting").await;
    let both = [going.owner.clone(), pair.at_two(&going)];
    for owner in &both {
        assert!(decided(owner).await && decided(owner).await);
    }
    pair.redis.stop();
    // 5 are left: 2 of them are the first one's. The other sees 3, of which 1 is its own.
    assert_eq!(admitted(&both[0]).await, 2, "{}", pair.logs());
    assert_eq!(admitted(&both[1]).await, 1, "{}", pair.logs());
    let refused = ask(&waiting.owner).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (503, &json!("unavailable")));
    // What was admitted meanwhile is counted once.
    pair.redis.restart().await;
    let begin = Instant::now();
    while !decided(&both[1]).await {
        assert!(begin.elapsed() < Duration::from_secs(30), "the share goes on: {}", pair.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(admitted(&both[0]).await, 1, "{}", pair.logs());
    assert_eq!(admitted(&both[1]).await, 0, "{}", pair.logs());
    assert!(decided(&waiting.owner).await);
}
