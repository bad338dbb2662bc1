//! The response cache: the same request by both tenants is answered to each from its own.

use super::{Attempt, Control, Job, given_away, judged};
use crate::pattern::Pattern;
use crate::world::World;
use client::Answer;
use serde_json::json;

/// How a caller asks for kept answers, and how an answer says that it is one.
const ASK: (&str, &str) = ("X-Tenantry-Cache", "on");
const TOLD: &str = "x-tenantry-cache";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    if control.operation.path != "/v1/chat/completions" {
        return Vec::new();
    }
    let pattern = Pattern::new(control.operation, "body", "the victim's request, whose answer is kept");
    vec![Job::new(pattern, kept_answer(world, control))]
}

fn is_kept(answer: &Answer) -> bool {
    answer.header(TOLD).is_some_and(|told| told.eq_ignore_ascii_case("hit"))
}

async fn kept_answer(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let mut request = request.with_header(ASK.0, ASK.1);
    // Nothing in it is one tenant's: only whose cache answers may differ.
    let question = format!("Which number comes after {}?", world.number());
    request.body = Some(json!({"model": "offline", "messages": [{"role": "user", "content": question}]}));
    let first = world.ask(&request, &world.victim).await?;
    let again = world.ask(&request, &world.victim).await?;
    if is_kept(&first) || !is_kept(&again) {
        return Err("the owner's repeated request is not answered from the cache".to_owned());
    }
    let request = request.by(&world.attacker.key);
    let answer = world.send(&request).await?;
    if is_kept(&answer) {
        return judged(Some("the victim's kept answer was given to the attacker".to_owned()));
    }
    judged(given_away(world, &request, &answer))
}
