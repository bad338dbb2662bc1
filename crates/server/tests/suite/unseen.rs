//! Another tenant's object and a missing one give the same answer, byte for byte.

use crate::description::operations;
use crate::harness::assert_refused;
use crate::samples::World;
use client::Answer;
use std::collections::BTreeMap;

/// Operations whose `{id}` is nobody's own: the operation, and why.
const SHARED: &[(&str, &str)] =
    &[("get_models_id", "the name of a model, which the operator chose for all tenants")];

/// A ULID that nothing has.
const NOBODYS: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// All of an answer but what is another each time.
fn told(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let mut headers: BTreeMap<_, _> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.remove("date");
    let request = headers.remove("x-request-id").unwrap();
    (answer.status.as_u16(), headers, answer.text().replace(&request, "REQUEST"))
}

#[tokio::test]
async fn anothers_object_looks_like_a_missing_one() {
    let world = World::new().await;
    let stranger = world.server.tenant("Stranger").await.owner;
    let mut tried = 0;
    for described in operations(&world.server).await {
        let place = described.path.split('/').position(|part| part == "{id}");
        let Some(place) = place.filter(|_| described.is_for("tenant")) else { continue };
        if SHARED.iter().any(|(operation, _)| *operation == described.id()) {
            continue;
        }
        // `trail` tells of those that have no sample.
        let Some(sample) = world.sample(described.id()).await else { continue };
        let mut missing = sample.clone();
        let mut parts: Vec<_> = sample.path.split('/').map(str::to_owned).collect();
        let prefix = parts[place].split('_').next().unwrap().to_owned();
        parts[place] = format!("{prefix}_{NOBODYS}");
        missing.path = parts.join("/");

        let foreign = sample.send(&stranger).await;
        assert_eq!(foreign.status, 404, "{}: {}", described.id(), foreign.text());
        assert_refused(&foreign, 404, "not_found");
        let missing = missing.send(&stranger).await;
        assert_eq!(told(&foreign), told(&missing), "{}", described.id());
        // The owner's same call succeeds, so there was something to be refused.
        let own = sample.send(&world.tenant.owner).await;
        assert!(own.status.is_success(), "{}: {}", described.id(), own.text());
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} operations have an id in their path");
}
