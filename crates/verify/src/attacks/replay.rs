//! What one tenant was given and another presents: cursors and idempotency keys.

use super::rights::{lesser, unlike};
use super::tokens::of_one_user;
use super::{Attempt, Control, Job, given_away, judged};
use crate::description::Caller;
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::world::{Request, World};
use authz::Role;
use http::Method;
use secret::SecretText;
use serde_json::Value;

const KEY: &str = "Idempotency-Key";
const REPLAYED: &str = "idempotency-replayed";

/// What is done to a cursor before it is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Truncated,
    Spliced,
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let mut jobs = Vec::new();
    if !operation.repeatable {
        return jobs;
    }
    if operation.body.is_some() {
        let pattern = Pattern::new(operation, "header", "the victim's idempotency key and body");
        jobs.push(Job::new(pattern, idempotency(world, control)));
    }
    if operation.body.is_none() || !operation.places().is_empty() {
        let pattern = Pattern::new(operation, "header", "the victim's idempotency key, ids and body");
        jobs.push(Job::new(pattern, of_another_tenant(world, control)));
    }
    if let Some(scope) = operation.scope.as_deref() {
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
    let changes = [
        ("the victim's cursor", Change::None),
        ("the victim's cursor, truncated", Change::Truncated),
        ("the victim's cursor, spliced with the own", Change::Spliced),
    ];
    let jobs = paged.flat_map(|control| {
        changes.map(|(attack, change)| {
            let pattern = Pattern::new(control.operation, "query `cursor`", attack);
            Job::new(pattern, cursor(world, control, change))
        })
    });
    jobs.collect()
}

async fn cursor(world: &World<'_>, control: &Control<'_>, change: Change) -> Attempt {
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
    let page = Request { query: paged(&own, None), ..own.clone() };
    let page = world.ask(&page, &world.attacker).await?.json();
    let mine = page["next_cursor"].as_str().unwrap_or_default();
    for cursor in changed(cursor, mine, change) {
        let request = Request { query: paged(&own, Some(&cursor)), ..own.clone() };
        let answer = world.send(&request).await?;
        if let Some(found) = given_away(world, &request, &answer) {
            return judged(Some(found));
        }
        if answer.status.is_success() {
            // Where the own list goes on would tell what the victim's last row is.
            return judged(Some("a cursor that is not the attacker's own was taken".to_owned()));
        }
    }
    judged(None)
}

/// What is made of the victim's cursor, with the help of the attacker's own. Halves are cut where each is still
/// written as it was.
fn changed(theirs: &str, mine: &str, change: Change) -> Vec<String> {
    let half = |text: &str| text.len() / 8 * 4;
    let (head, tail) = theirs.split_at_checked(half(theirs)).unwrap_or((theirs, ""));
    match change {
        Change::None => vec![theirs.to_owned()],
        Change::Truncated => {
            let ends = [head.len(), theirs.len().saturating_sub(4), theirs.len().saturating_sub(1)];
            ends.iter().filter_map(|end| theirs.get(..*end)).map(str::to_owned).collect()
        }
        Change::Spliced => {
            let (begin, end) = mine.split_at_checked(half(mine)).unwrap_or((mine, ""));
            vec![format!("{begin}{tail}"), format!("{head}{end}"), format!("{theirs}{mine}")]
        }
    }
}

/// The answer to what one tenant did is kept for that tenant, whoever else sends the very same.
async fn of_another_tenant(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let theirs = world.objects(control.operation, &world.victim).await?;
    let request = unmarked(world, control, theirs);
    world.ask(&request, &world.victim).await?;
    if world.send(&request).await?.header(REPLAYED).is_none() {
        // It is not an operation that keeps answers.
        return Ok(None);
    }
    let request = request.by(&world.attacker.key);
    let answer = world.send(&request).await?;
    if answer.header(REPLAYED).is_some() {
        return judged(Some("the victim's answer was replayed to the attacker".to_owned()));
    }
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

/// A request of the victim's with an idempotency key. Its body becomes the attacker's, too, so it holds nothing that
/// the victim is known by.
fn unmarked<'c>(world: &World<'_>, control: &'c Control<'_>, fill: Fill) -> Request<'c> {
    let key = format!("verify-{}", hex::encode(world.env.random::<8>()));
    let mut request = world.request(control.operation, &world.victim, fill).with_header(KEY, &key);
    let body = request.body.take().map(|body| body.to_string().replace(&world.victim.canary, &key));
    request.body = body.and_then(|body| serde_json::from_str(&body).ok());
    request
}

async fn idempotency(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, &world.attacker).await?;
    let theirs = world.objects(operation, &world.victim).await?;
    if fill != theirs {
        // What is the victim's in the path is sent as it is by another attack.
        return Ok(None);
    }
    let request = unmarked(world, control, theirs);
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
