//! Everything that each side can look at, searched for the other in the end: lists that forget the filter,
//! and side effects of the attacks that came before.

use super::{Attempt, Control, Job, judged};
use crate::compare::leaked;
use crate::description::Caller;
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::{Request, World};
use client::Answer;

const MAX_PAGES: usize = 40;

pub(super) fn jobs<'w>(world: &'w World<'_>, controls: &'w [Control<'w>]) -> Vec<Job<'w>> {
    let mut jobs = Vec::new();
    for control in controls.iter().filter(|control| control.operation.is_safe()) {
        match control.operation.caller {
            Caller::Tenant => {
                let pattern = Pattern::new(control.operation, "answer", "shows the victim to the attacker");
                jobs.push(Job::new(pattern, search(world, control, &world.attacker, &world.victim)));
                let pattern =
                    Pattern::new(control.operation, "answer", "shows effects of the attacks to the victim");
                jobs.push(Job::new(pattern, search(world, control, &world.victim, &world.attacker)));
            }
            Caller::Anyone => {
                let pattern = Pattern::new(control.operation, "answer", "shows a tenant to anyone");
                jobs.push(Job::new(pattern, open_to_all(world, control)));
            }
            Caller::Operator | Caller::Worker => {}
        }
    }
    jobs
}

/// Searches what `reader` can look at for `other`.
async fn search(world: &World<'_>, control: &Control<'_>, reader: &Side, other: &Side) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, reader).await?;
    let mut request = world.request(operation, reader, fill);
    let own = reader.markers();
    let mut shows_own = false;
    for _ in 0..MAX_PAGES {
        let answer = world.send(&largest(&request)).await?;
        if !answer.status.is_success() {
            return Err(format!("the owner was answered {} in the end", answer.status.as_u16()));
        }
        if let Some(found) = shown(&answer, other, &request) {
            return judged(Some(found));
        }
        let text = answer.text();
        shows_own |= own.iter().any(|marker| text.contains(marker));
        let Some(cursor) = next(&answer) else { break };
        request.query.retain(|(name, _)| name != "cursor");
        request.query.push(("cursor".to_owned(), cursor));
    }
    if !shows_own && !operation.is_paged() {
        // What holds nothing of the owner's can hold nothing of anybody's.
        return Ok(None);
    }
    if !shows_own {
        return Err("the owner's answer shows nothing that is the owner's alone".to_owned());
    }
    judged(None)
}

/// What an answer shows of the other side, but for the other's tenant id, which attacks have written into
/// the attacker's own objects.
fn shown(answer: &Answer, other: &Side, request: &Request<'_>) -> Option<String> {
    leaked(
        answer,
        other,
        &Request { headers: vec![("written".to_owned(), other.tenant.clone())], ..request.clone() },
    )
}

fn largest<'o>(request: &Request<'o>) -> Request<'o> {
    let mut request = request.clone();
    if request.operation.is_paged() {
        request.query.push(("limit".to_owned(), "500".to_owned()));
    }
    request
}

fn next(answer: &Answer) -> Option<String> {
    answer.json()["next_cursor"].as_str().map(str::to_owned)
}

async fn open_to_all(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let answer = world.send(request).await?;
    let shown = [&world.victim, &world.attacker].into_iter().find_map(|side| leaked(&answer, side, request));
    judged(shown)
}
