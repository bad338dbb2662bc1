//! Cursors over HTTP: whatever a caller was not given for this very list is refused, and shows nobody's page.

use crate::description::{Described, operations};
use crate::harness::{Tenant, assert_refused, send, send_json};
use crate::samples::World;
use client::Answer;
use http::Method;
use serde_json::json;

/// Enough for lists of more than a page of one.
const OBJECTS: usize = 3;

/// Makes some of everything that there are lists of.
async fn fill(world: &World) {
    let tenant = &world.tenant;
    for number in 0..OBJECTS {
        tenant.agent().await;
        tenant.api_key().await;
        tenant.signing_key().await;
        tenant.record().await;
        let credential = json!({"kind": "api_key", "key": "secret", "hosts": ["example.com"]});
        let path = format!("/v1/credentials/service-{number}");
        send_json(&tenant.owner, Method::PUT, &path, &credential).await.accepted().unwrap();
        for made in ["post_workflows", "post_workflows_id_runs"] {
            let sample = world.sample(made).await.unwrap();
            sample.send(&tenant.owner).await.accepted().unwrap();
        }
        // What can be retried has failed, which is a problem.
        world.sample("post_runs_id_retry").await.unwrap();
    }
}

fn is_paged(described: &Described) -> bool {
    let parameters = described.operation["parameters"].as_array().into_iter().flatten();
    described.is_for("tenant")
        && parameters.into_iter().any(|it| it["in"] == "query" && it["name"] == "cursor")
}

async fn page(tenant: &Tenant, list: &str, cursor: &str) -> Answer {
    send(&tenant.owner, Method::GET, &format!("{list}?limit=1&cursor={cursor}")).await
}

async fn first(tenant: &Tenant, list: &str) -> String {
    let page = tenant.owner.get(&format!("{list}?limit=1")).await.unwrap();
    page["next_cursor"].as_str().unwrap_or_else(|| panic!("{list} has one page")).to_owned()
}

/// What can be made of one's own cursor and another tenant's, where each half is still base64.
fn spoiled(own: &str, theirs: &str) -> Vec<String> {
    let half = own.len().min(theirs.len()) / 8 * 4;
    let mut all = vec![
        theirs.to_owned(),
        format!("{}{}", &own[..half], &theirs[half..]),
        format!("{}{}", &theirs[..half], &own[half..]),
        format!("{own}{theirs}"),
        format!("{own}="),
        format!("{own}AAAA"),
        "A".repeat(own.len()),
    ];
    all.extend([0, 1, 4, half, own.len() - 4, own.len() - 1].map(|end| own[..end].to_owned()));
    for at in (0..own.len()).step_by(5) {
        let other = if own.as_bytes()[at] == b'A' { "B" } else { "A" };
        all.push(format!("{}{other}{}", &own[..at], &own[at + 1..]));
    }
    all
}

#[tokio::test]
async fn no_list_goes_on_where_its_caller_was_not_sent() {
    let mut world = World::new().await;
    fill(&world).await;
    let next = world.server.tenant("Other").await;
    let victim = std::mem::replace(&mut world.tenant, next);
    fill(&world).await;
    let mut lists = Vec::new();
    for described in operations(&world.server).await.iter().filter(|described| is_paged(described)) {
        lists.push(world.sample(described.id()).await.unwrap().path);
    }
    assert!(lists.len() > 7, "{lists:?}");
    for (at, list) in lists.iter().enumerate() {
        let (own, theirs) = (first(&world.tenant, list).await, first(&victim, list).await);
        for cursor in spoiled(&own, &theirs) {
            assert_refused(&page(&world.tenant, list, &cursor).await, 400, "invalid_request");
        }
        let another = first(&world.tenant, &lists[(at + 1) % lists.len()]).await;
        assert_refused(&page(&world.tenant, list, &another).await, 400, "invalid_request");
        // The own one leads on, after all of this.
        let second = page(&world.tenant, list, &own).await.accepted().unwrap().json();
        assert_eq!(second["data"].as_array().unwrap().len(), 1, "{list}");
    }
}
