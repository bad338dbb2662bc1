//! Foreign ids in the body, and bodies that name the victim as the tenant.

use super::{Attempt, Control, Job, given_away, judged, told_apart};
use crate::description::Operation;
use crate::pattern::Pattern;
use crate::schema::id_members;
use crate::world::{Request, World};
use http::Method;
use serde_json::{Value, json};

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let Some(schema) = &operation.body else { return Vec::new() };
    let mut jobs = Vec::new();
    for (name, prefix) in id_members(schema, &world.description.schemas) {
        let pattern = Pattern::new(operation, format!("body `{name}`"), "the victim's id");
        jobs.push(Job::new(pattern, foreign(world, control, name, prefix)));
    }
    let pattern = Pattern::new(operation, "body `tenant`", "names the victim as the tenant");
    jobs.push(Job::new(pattern, smuggled(world, control)));
    jobs
}

/// The victim's object of the kind that a member names, against one that does not exist.
async fn foreign(world: &World<'_>, control: &Control<'_>, name: String, prefix: String) -> Attempt {
    let (theirs, _) = control.held()?;
    let operation = control.operation;
    let found = world.victim.markers().into_iter().find(|id| id.starts_with(&format!("{prefix}_")));
    let Some(value) = found else {
        return Err(format!("the victim has no object whose id begins with {prefix}_"));
    };
    let with = |body: &Option<Value>, value: &str| {
        let mut body = body.clone().unwrap_or_else(|| json!({}));
        body[name.as_str()] = json!(value);
        Some(body)
    };
    let mut rest = theirs.body.clone();
    if operation.places().is_empty() {
        let allowed = Request { body: with(&rest, &value), ..theirs.clone() };
        if !world.send(&allowed).await?.status.is_success() {
            // The member may stand in the place of all others.
            rest = None;
            let allowed = Request { body: with(&rest, &value), ..theirs.clone() };
            world.ask(&allowed, &world.victim).await?;
        }
    }
    let alone = rest.is_none();
    let fill = world.objects(operation, &world.attacker).await?;
    let own = world.request(operation, &world.attacker, fill);
    let (mut request, mut lost) = (own.clone(), own.clone());
    let nothing = world.missing(&value);
    let around = if alone { &rest } else { &own.body };
    request.body = with(around, &value);
    lost.body = with(around, &nothing);
    let (answer, missing) = (world.send(&request).await?, world.send(&lost).await?);
    if answer.status.is_success() {
        return judged(Some(format!("the victim's object was taken ({})", answer.status.as_u16())));
    }
    judged(told_apart(world, &request, (&answer, &value), (&missing, &nothing)))
}

/// Whether the write went astray is seen in the end, when the victim's lists are searched.
async fn smuggled(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, &world.attacker).await?;
    let mut request = world.request(operation, &world.attacker, fill);
    let Some(Value::Object(body)) = &mut request.body else { return Ok(None) };
    for name in ["tenant", "tenant_id"] {
        body.insert(name.to_owned(), json!(world.victim.tenant));
    }
    let answer = world.send(&request).await?;
    let made = answer.json();
    if let Some(id) = made["id"].as_str()
        && answer.status.is_success()
        && visible(world, operation, id).await
    {
        return judged(Some("what the attacker made is the victim's".to_owned()));
    }
    judged(given_away(world, &request, &answer))
}

/// Whether the victim can look at what was just made.
pub(super) async fn visible(world: &World<'_>, operation: &Operation, id: &str) -> bool {
    let place = format!("{}/{{id}}", operation.path);
    let Some(reading) = world.description.find(&Method::GET, &place) else { return false };
    let Ok(mut fill) = world.objects(operation, &world.victim).await else { return false };
    fill.insert(place, id.to_owned());
    let request = world.request(reading, &world.victim, fill);
    world.send(&request).await.is_ok_and(|answer| answer.status.is_success())
}
