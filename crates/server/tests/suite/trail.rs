//! Whatever is done leaves an event, and what leaves none stands on a list with its reason.

use crate::description::{Described, sampled_operations};
use crate::harness::{assert_refused, events};
use crate::samples::{By, Sample, World};
use serde_json::Value;

/// What the embedded store refuses whatever is asked, and how. That it was tried is in the log all the same.
const REFUSED: [(&str, &str); 1] = [("post_tenants_id_move", "isolation_unavailable")];

#[tokio::test]
async fn every_operation_leaves_what_it_says_in_the_audit_log() {
    let world = World::new().await;
    let mut missing = Vec::new();
    for described in sampled_operations(&world.server).await {
        let Some(sample) = world.sample(described.id()).await else {
            missing.push(described.id().to_owned());
            continue;
        };
        assert_eq!(described.is_for("operator"), sample.by == By::Operator, "{}", described.id());
        let audit = &described.operation["x-audit"];
        match (&audit["event"], &audit["aggregated"]) {
            (Value::String(action), _) => leaves_an_event(&world, &described, &sample, action).await,
            (_, Value::String(action)) => leaves_a_count(&world, &described, &sample, action).await,
            _ => leaves_nothing(&world, &described, &sample).await,
        }
    }
    assert!(missing.is_empty(), "add a line for each of {missing:?} to crates/server/tests/suite/samples/");
}

/// The events of the log that a sample's call belongs into.
async fn log(world: &World, sample: &Sample, query: &str) -> Vec<Value> {
    match sample.by {
        By::Operator => events(&world.server.operator, "/v1/operator/audit/events", query).await,
        By::Owner | By::Anyone => world.tenant.events(query).await,
    }
}

/// Sends the sample and gives back its request's id.
async fn done(world: &World, described: &Described, sample: &Sample) -> String {
    let answer = sample.send(&world.caller(sample)).await;
    match refused(described) {
        Some(code) => assert_refused(&answer, 409, code),
        None => {
            assert!(answer.status.is_success(), "{}: {} {}", described.id(), answer.status, answer.text())
        }
    }
    answer.header("x-request-id").unwrap().to_owned()
}

fn refused(described: &Described) -> Option<&'static str> {
    REFUSED.into_iter().find(|(id, _)| *id == described.id()).map(|(_, code)| code)
}

async fn leaves_an_event(world: &World, described: &Described, sample: &Sample, action: &str) {
    let request = done(world, described, sample).await;
    let found = log(world, sample, &format!("action={action}")).await;
    let left = found.iter().any(|event| {
        event["request_id"] == *request
            && match refused(described) {
                Some(code) => event["result"] == "failure" && event["reason_code"] == code,
                None => event["result"] == "success",
            }
    });
    assert!(left, "{} left no `{action}`: {found:#?}", described.id());
}

async fn leaves_a_count(world: &World, described: &Described, sample: &Sample, action: &str) {
    let query = format!("action={action}");
    let before = log(world, sample, &query).await.len();
    done(world, described, sample).await;
    let after = log(world, sample, &query).await;
    assert!(after.len() > before, "{} left no `{action}`", described.id());
    assert!(after[0]["details"]["count"].as_u64().unwrap() > 0, "{}", described.id());
}

async fn leaves_nothing(world: &World, described: &Described, sample: &Sample) {
    let request = done(world, described, sample).await;
    let found = log(world, sample, "").await;
    let left = found.iter().find(|event| event["request_id"] == *request);
    assert!(left.is_none(), "{} is not silent: {left:?}", described.id());
}
