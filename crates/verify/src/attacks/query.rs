//! Foreign ids in the query, and queries that name the victim as the tenant.

use super::body::visible;
use super::{Attempt, Control, Job, given_away, judged, told_apart};
use crate::pattern::Pattern;
use crate::world::World;

/// Parameters that take numbers, moments and words, of which none names an object.
const NO_IDS: [&str; 16] = [
    "limit",
    "cursor",
    "index",
    "size",
    "format",
    "from",
    "to",
    "group_by",
    "version",
    "status",
    "action",
    "sort",
    "filter",
    "allow_older",
    "accept_loss",
    "per",
];
/// How the ids begin that a parameter takes, where its name says so.
const KINDS: [(&str, &str); 8] = [
    ("workflow", "wfl_"),
    ("run", "run_"),
    ("agent", "agt_"),
    ("record", "rec_"),
    ("hook", "hok_"),
    ("key", "key_"),
    ("actor", "key_"),
    ("resource", "rec_"),
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let mut jobs = Vec::new();
    for name in operation.query.iter().filter(|name| !NO_IDS.contains(&name.as_str())) {
        let pattern = Pattern::new(operation, format!("query `{name}`"), "the victim's id");
        jobs.push(Job::new(pattern, foreign(world, control, name)));
    }
    let pattern = Pattern::new(operation, "query `tenant`", "names the victim as the tenant");
    jobs.push(Job::new(pattern, smuggled(world, control)));
    jobs
}

async fn foreign(world: &World<'_>, control: &Control<'_>, name: &str) -> Attempt {
    let (theirs, _) = control.held()?;
    let operation = control.operation;
    let kind = KINDS.iter().find(|(known, _)| *known == name).map_or("key_", |(_, kind)| *kind);
    let ids = world.victim.markers().into_iter().find(|id| id.starts_with(kind));
    let Some(value) = ids else {
        return Err(format!("the victim has no object whose id begins with {kind}"));
    };
    let mut allowed = theirs.clone();
    allowed.query.push((name.to_owned(), value.clone()));
    let owner = world.send(&allowed).await?;
    if !owner.status.is_success() {
        let status = owner.status.as_u16();
        return Err(format!("the owner's own id in `{name}` is answered {status}"));
    }
    let fill = world.objects(operation, &world.attacker).await?;
    let own = world.request(operation, &world.attacker, fill);
    let (mut request, mut lost) = (own.clone(), own);
    let nothing = world.missing(&value);
    request.query.push((name.to_owned(), value.clone()));
    lost.query.push((name.to_owned(), nothing.clone()));
    let (answer, missing) = (world.send(&request).await?, world.send(&lost).await?);
    judged(told_apart(world, &request, (&answer, &value), (&missing, &nothing)))
}

async fn smuggled(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let fill = world.objects(operation, &world.attacker).await?;
    let mut request = world.request(operation, &world.attacker, fill);
    for name in ["tenant", "tenant_id"] {
        request.query.push((name.to_owned(), world.victim.tenant.clone()));
    }
    let answer = world.send(&request).await?;
    if let Some(id) = answer.json()["id"].as_str()
        && answer.status.is_success()
        && !operation.is_safe()
        && visible(world, operation, id).await
    {
        return judged(Some("what the attacker made is the victim's".to_owned()));
    }
    judged(given_away(world, &request, &answer))
}
