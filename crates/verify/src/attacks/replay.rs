//! What one tenant was given and another presents: cursors and idempotency keys.

use super::rights::{lesser, unlike};
use super::tokens::of_one_user;
use super::{Attempt, Control, Job, given_away, judged};
use crate::description::Caller;
use crate::pattern::Pattern;
use crate::world::{Request, World};
use authz::Role;
use http::Method;
use secret::SecretText;
use serde_json::Value;

const KEY: &str = "Idempotency-Key";
const REPLAYED: &str = "idempotency-replayed";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let mut jobs = Vec::new();
    if !operation.is_safe() && operation.body.is_some() {
        let pattern = Pattern::new(operation, "header", "the victim's idempotency key and body");
        jobs.push(Job::new(pattern, idempotency(world, control)));
    }
    if let Some(scope) = operation.scope.as_deref().filter(|_| !operation.is_safe()) {
        let attack = "the idempotency key and body of another key of the same tenant and role";
        let pattern = Pattern::new(operation, "header", attack);
        jobs.push(Job::new(pattern, of_another_key(world, control)));
        if world.description.has(&Method::POST, "/v1/signing-keys") {
            let attack = "the own idempotency key and body, with a token that lacks the scope";
            let pattern = Pattern::new(operation, "header", attack);
            jobs.push(Job::new(pattern, of_less_scope(world, control, unlike(scope))));
        }
    }
    jobs
}

/// Cursors come late, when every list has grown to more than a page of one.
pub(super) fn cursors<'w>(world: &'w World<'_>, controls: &'w [Control<'w>]) -> Vec<Job<'w>> {
    let paged = controls
        .iter()
        .filter(|control| control.operation.is_paged() && control.operation.caller == Caller::Tenant);
    let jobs = paged.map(|control| {
        let pattern = Pattern::new(control.operation, "query `cursor`", "the victim's cursor");
        Job::new(pattern, cursor(world, control))
    });
    jobs.collect()
}

async fn cursor(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (theirs, _) = control.held()?;
    let operation = control.operation;
    let paged = |request: &Request<'_>, cursor: Option<&str>| {
        let mut query = request.query.clone();
        query.push(("limit".to_owned(), "1".to_owned()));
        query.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.to_owned())));
        query
    };
    let first = Request { query: paged(theirs, None), ..theirs.clone() };
    let first = world.ask(&first, &world.victim).await?.json();
    let Some(cursor) = first["next_cursor"].as_str() else {
        return Err("the owner's list has one page".to_owned());
    };
    let second = Request { query: paged(theirs, Some(cursor)), ..theirs.clone() };
    world.ask(&second, &world.victim).await?;
    let fill = world.objects(operation, &world.attacker).await?;
    let own = world.request(operation, &world.attacker, fill);
    let request = Request { query: paged(&own, Some(cursor)), ..own };
    let answer = world.send(&request).await?;
    judged(given_away(world, &request, &answer))
}

/// The answer to what one principal did is kept for that principal, and for no other of the same rights.
async fn of_another_key(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let another = lesser(world, Role::Owner, "*").await?;
    let Some(request) = kept(world, control, &world.victim.key).await? else { return Ok(None) };
    let answer = world.send(&request.by(&another)).await?;
    judged(answer.header(REPLAYED).map(|_| "another principal's answer was replayed".to_owned()))
}

/// The answer to what a user did is kept for that user, and for no token of the same user that may not do it.
async fn of_less_scope(world: &World<'_>, control: &Control<'_>, scope: &str) -> Attempt {
    control.held()?;
    let [full, lesser] = of_one_user(world, scope).await?;
    let Some(request) = kept(world, control, &full).await? else { return Ok(None) };
    let answer = world.send(&request.by(&lesser)).await?;
    let let_in = answer.status.is_success() || answer.header(REPLAYED).is_some();
    judged(let_in.then(|| format!("a token without the scope was answered {}", answer.status.as_u16())))
}

/// A request of the victim's whose answer is kept; none where the operation keeps no answers.
async fn kept<'c>(
    world: &World<'_>,
    control: &'c Control<'_>,
    by: &SecretText,
) -> Result<Option<Request<'c>>, String> {
    let fill = world.objects(control.operation, &world.victim).await?;
    let key = format!("verify-{}", hex::encode(world.env.random::<8>()));
    let request = world.request(control.operation, &world.victim, fill).by(by).with_header(KEY, &key);
    world.ask(&request, &world.victim).await?;
    let again = world.send(&request).await?;
    Ok(again.header(REPLAYED).is_some().then_some(request))
}

async fn idempotency(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, &world.attacker).await?;
    let theirs = world.objects(operation, &world.victim).await?;
    if fill != theirs {
        // Another path is another place, where a key counts by itself.
        return Ok(None);
    }
    let key = format!("verify-{}", hex::encode(world.env.random::<8>()));
    let mut request = world.request(operation, &world.victim, theirs).with_header(KEY, &key);
    // The body becomes the attacker's too, so it may not hold what the victim is known by.
    let body = request.body.take().unwrap_or(Value::Null).to_string();
    request.body = serde_json::from_str(&body.replace(&world.victim.canary, &key)).ok();
    let first = world.ask(&request, &world.victim).await?;
    let again = world.ask(&request, &world.victim).await?;
    if again.header(REPLAYED).is_none() {
        // It is not an operation that keeps answers.
        return Ok(None);
    }
    let request = request.by(&world.attacker.key);
    let answer = world.send(&request).await?;
    if answer.header(REPLAYED).is_some() {
        return judged(Some("the victim's answer was replayed to the attacker".to_owned()));
    }
    let (theirs, own) = (first.json(), answer.json());
    if answer.status.is_success() && theirs["id"] == own["id"] && theirs["id"] != Value::Null {
        return judged(Some("the attacker was answered with the victim's object".to_owned()));
    }
    world.attacker.learn(&answer.text());
    judged(given_away(world, &request, &answer))
}
