//! `If-Match`: which operations it binds to a version, tried on every one, against what the description says.

use crate::description::{Described, sampled_operations};
use crate::harness::assert_refused;
use crate::samples::{A_MOMENT, Sample, World};
use client::Answer;
use http::Method;

/// A version that nothing ever has.
const NO_VERSION: &str = "\"999999999999\"";

/// Whether the description says that a version may be named.
fn says_so(described: &Described) -> bool {
    let parameters = described.operation["parameters"].as_array().into_iter().flatten();
    let mut names = parameters.filter(|it| it["in"] == "header").map(|it| it["name"].as_str().unwrap());
    names.any(|name| name == "If-Match")
}

async fn sent(world: &World, sample: &Sample, version: &str) -> Answer {
    let caller = world.caller(sample);
    let mut call = caller.call(sample.method.clone(), &sample.path).header("if-match", version);
    if let Some((media_type, body)) = &sample.body {
        call = call.body(media_type, body.clone());
    }
    call.send().await.unwrap()
}

/// The version of what a sample is about, where a `GET` of the same object says it.
async fn version(world: &World, described: &Described, sample: &Sample) -> Option<String> {
    let beyond = described.path.rsplit_once('}')?.1.split('/').count() - 1;
    let mut object = sample.path.as_str();
    for _ in 0..beyond {
        object = object.rsplit_once('/')?.0;
    }
    let shown = world.caller(sample).call(Method::GET, object).listen(A_MOMENT).await.unwrap();
    shown.header("etag").filter(|_| shown.status.is_success()).map(str::to_owned)
}

// The suite of attacks takes from the description which operations a version binds, so that one which is not told
// of is not attacked there.
#[tokio::test]
async fn an_operation_is_bound_to_a_version_exactly_where_its_description_says_so() {
    let world = World::new().await;
    let mut bound = 0;
    for described in sampled_operations(&world.server).await {
        let Some(sample) = world.sample(described.id()).await else { panic!("{}", described.id()) };
        if sample.method == Method::GET {
            assert!(!says_so(&described), "{}", described.id());
            continue;
        }
        let version = version(&world, &described, &sample).await;
        let answer = sent(&world, &sample, NO_VERSION).await;
        if says_so(&described) {
            assert_refused(&answer, 412, "precondition_failed");
            // What is put may not be there yet.
            assert!(
                version.is_some() || sample.method == Method::PUT,
                "{}: no version is shown",
                described.id()
            );
            if let Some(version) = version {
                let answer = sent(&world, &sample, &version).await;
                assert!(answer.status.is_success(), "{}: {}", described.id(), answer.text());
            }
            bound += 1;
        } else {
            assert_ne!(answer.status, 412, "{} does not say that it is bound", described.id());
        }
    }
    assert!(bound > 10, "{bound}");
}
