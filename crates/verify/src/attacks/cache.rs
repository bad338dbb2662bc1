//! The response cache: the same request by both tenants is answered to each from its own.

use super::{Attempt, Control, Job, given_away, judged, rights};
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::{Request, World};
use authz::Role;
use client::Answer;
use serde_json::{Value, json};

/// How a caller asks for kept answers, and how an answer says that it is one.
pub(super) const ASK: (&str, &str) = ("X-Tenantry-Cache", "on");
const TOLD: &str = "x-tenantry-cache";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    if control.operation.path != "/v1/chat/completions" {
        return Vec::new();
    }
    let pattern = Pattern::new(control.operation, "body", "the victim's request, whose answer is kept");
    let streamed = Pattern::new(control.operation, "body `stream`", "the victim's stream beside the own");
    let attack = "the owner's request with a member's key of the same tenant, whose rights are others";
    let lesser = Pattern::new(control.operation, "body", attack);
    vec![
        Job::new(pattern, kept_answer(world, control)),
        Job::new(lesser, kept_for_more(world, control)),
        Job::new(streamed, stream(world, control)),
    ]
}

/// Both ask for a stream at the same time, each about its own; neither may see the other's.
async fn stream(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let asked = |side: &Side| {
        let question = format!("Repeat after me: {} {}", side.canary, world.number());
        let messages = json!([{"role": "user", "content": question}]);
        let body = json!({"model": "offline", "stream": true, "messages": messages});
        Request { body: Some(body), ..request.by(&side.key) }
    };
    let (theirs, own) = (asked(&world.victim), asked(&world.attacker));
    for _ in 0..3 {
        let (shown, answer) = futures::future::join(world.send(&theirs), world.send(&own)).await;
        let (shown, answer) = (shown?, answer?);
        if !shown.status.is_success() || !joined(&shown).contains(&world.victim.canary) {
            return Err("the owner's stream does not show what the owner asked".to_owned());
        }
        if joined(&answer).contains(&world.victim.canary) {
            return judged(Some("the attacker's stream shows the victim's canary".to_owned()));
        }
        if let Some(found) = given_away(world, &own, &answer) {
            return judged(Some(found));
        }
    }
    judged(None)
}

/// What was answered to one who may more is not given to one who may less.
async fn kept_for_more(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let mut request = request.with_header(ASK.0, ASK.1);
    let question = format!("Which number comes after {}?", world.number());
    request.body = Some(json!({"model": "offline", "messages": [{"role": "user", "content": question}]}));
    world.ask(&request, &world.victim).await?;
    if !is_kept(&world.ask(&request, &world.victim).await?) {
        return Err("the owner's repeated request is not answered from the cache".to_owned());
    }
    let key = rights::lesser(world, Role::Member, "*").await?;
    let answer = world.ask(&request.by(&key), &world.victim).await?;
    judged(is_kept(&answer).then(|| "an answer that was kept for the owner was given to a member".to_owned()))
}

/// What a stream says, its pieces put together.
fn joined(answer: &Answer) -> String {
    let text = answer.text().into_owned();
    let pieces = text.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
        Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    let said: String = pieces.collect();
    format!("{said}\n{text}")
}

pub(super) fn is_kept(answer: &Answer) -> bool {
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
