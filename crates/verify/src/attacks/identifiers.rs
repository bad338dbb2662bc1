//! Foreign ids in the path: the victim's object asked for, changed or removed with the attacker's key, and
//! told apart from one that does not exist.

use super::{Attempt, Control, Job, judged, told_apart};
use crate::description::Operation;
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::world::{Request, World};
use client::Answer;
use http::Method;

/// A version that nothing ever has.
const NO_VERSION: &str = "\"999999999999\"";

/// What an attack says of the object's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Unsaid,
    Its,
    Another,
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let mut jobs = Vec::new();
    for place in operation.places() {
        let pattern = Pattern::new(operation, format!("path {place}"), "the victim's id");
        jobs.push(Job::new(pattern, foreign(world, control, place, Version::Unsaid)));
    }
    // The version is that of what the last parameter names.
    if operation.conditional
        && let Some(place) = operation.places().pop()
    {
        for (attack, version) in [
            ("the victim's id with its version in If-Match", Version::Its),
            ("the victim's id with a version in If-Match that it has not", Version::Another),
        ] {
            let pattern = Pattern::new(operation, format!("path {place}"), attack);
            jobs.push(Job::new(pattern, foreign(world, control, place.clone(), version)));
        }
    }
    jobs
}

async fn foreign(world: &World<'_>, control: &Control<'_>, place: String, version: Version) -> Attempt {
    let operation = control.operation;
    control.held()?;
    // Afresh, because the control may have used its object up.
    let theirs = world.objects(operation, &world.victim).await?;
    let own = world.objects(operation, &world.attacker).await?;
    let Some(value) = theirs.get(&place) else { return Err(format!("{place} has no value")) };
    if own.get(&place) == Some(value) {
        // A name that everybody may have, such as a collection's; listing it is attacked elsewhere.
        return Ok(None);
    }
    let before = state(world, &place, &theirs).await;
    if let Some(before) = &before
        && before.status.is_success()
        && shows_its_owner(&place)
        && !world.victim.is_shown_in(before)
    {
        return Err("the owner's own object shows nothing that is the owner's".to_owned());
    }
    let mut request = world.request(operation, &world.attacker, own);
    request.fill.insert(place.clone(), value.clone());
    if let Some(version) = tag(world, operation, (&theirs, before.as_ref()), version).await? {
        request = request.with_header("If-Match", &version);
    }
    let answer = world.send(&request).await?;
    let nothing = world.missing(value);
    let mut lost = request.clone();
    lost.fill.insert(place.clone(), nothing.clone());
    let missing = world.send(&lost).await?;
    let told = told_apart(world, &request, (&answer, value), (&missing, &nothing));
    if told.is_some() {
        return judged(told);
    }
    let after = state(world, &place, &theirs).await;
    judged(changed(before.as_ref(), after.as_ref()))
}

/// What stands in `If-Match`. Where it binds the owner's own request to nothing, it is no place to attack.
async fn tag(
    world: &World<'_>,
    operation: &Operation,
    (theirs, shown): (&Fill, Option<&Answer>),
    version: Version,
) -> Result<Option<String>, String> {
    match version {
        Version::Unsaid => Ok(None),
        Version::Its => {
            let version = shown.and_then(|answer| answer.header("etag")).map(str::to_owned);
            version.map(Some).ok_or_else(|| "the owner's object does not say its version".to_owned())
        }
        Version::Another => {
            let own = world.request(operation, &world.victim, theirs.clone());
            let answer = world.send(&own.with_header("If-Match", NO_VERSION)).await?;
            match answer.status.as_u16() {
                412 => Ok(Some(NO_VERSION.to_owned())),
                status => {
                    Err(format!("the owner's own object at a version that it has not is answered {status}"))
                }
            }
        }
    }
}

/// Whether what stands at a place holds something of its owner's.
fn shows_its_owner(place: &str) -> bool {
    place.ends_with("{id}")
}

/// The victim's object as the victim sees it, where it can be looked at.
async fn state(world: &World<'_>, place: &str, fill: &Fill) -> Option<Answer> {
    let reading: &Operation = world.description.find(&Method::GET, place)?;
    let request: Request<'_> = world.request(reading, &world.victim, fill.clone());
    world.send(&request).await.ok()
}

/// Whether the victim's object is no longer what it was.
fn changed(before: Option<&Answer>, after: Option<&Answer>) -> Option<String> {
    let (before, after) = (before?, after?);
    if before.status != after.status {
        let (before, after) = (before.status.as_u16(), after.status.as_u16());
        return Some(format!("the victim's object answered {before} before and {after} after"));
    }
    let same = before.header("etag") == after.header("etag") && before.json() == after.json();
    (before.status.is_success() && !same).then(|| "the victim's object was changed".to_owned())
}
