//! An operator's key that may only read, on every operation of operators that changes something: it is refused
//! for its role, and neither the object nor the operators' log shows that anything was done.

use super::tenants::operator;
use super::{Attempt, Control, Job, given_away, judged};
use crate::description::{Caller, Operation};
use crate::pattern::Pattern;
use crate::world::{Request, World};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

const KEYS: &str = "/v1/operator-keys";
const LOG: &str = "/v1/operator/audit/events";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.is_safe() {
        return Vec::new();
    }
    let pattern = Pattern::new(operation, "credential", "a viewer's operator key");
    vec![Job::new(pattern, refused(world, control))]
}

/// An operator's key with the role `viewer`. Each attack has its own, so that the log tells whose doing
/// something was.
struct Viewer {
    id: String,
    key: SecretText,
}

impl Viewer {
    /// Makes one, and sees that it is let in where it may look.
    async fn new(world: &World<'_>) -> Result<Self, String> {
        world.made.go_on()?;
        let body = json!({"name": format!("verify {}", world.number()), "role": "viewer"});
        let made = operator(world).post(KEYS, &body).await.map_err(|error| error.to_string())?;
        let (Some(id), Some(key)) = (made["id"].as_str(), made["key"].as_str()) else {
            return Err("an operator's key was made without its id or without itself".to_owned());
        };
        world.made.note_path(format!("{KEYS}/{id}"));
        let viewer = Self { id: id.to_owned(), key: SecretText::new(key.to_owned()) };
        let looking = world.client.with_key(viewer.key.clone());
        looking.get(KEYS).await.map_err(|error| format!("the viewer may not look: {error}"))?;
        Ok(viewer)
    }

    /// What the operators' log says that it did; what it was refused is nothing done.
    async fn deeds(&self, world: &World<'_>) -> Result<Vec<String>, String> {
        let page = operator(world).get(&format!("{LOG}?limit=500&actor={}", self.id)).await;
        let page = page.map_err(|error| error.to_string())?;
        let events =
            page["data"].as_array().ok_or_else(|| "the operators' log shows no events".to_owned())?;
        let done = events.iter().filter(|event| event["result"] != "denied");
        Ok(done.map(|event| event["action"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

async fn refused(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let operation = control.operation;
    let viewer = Viewer::new(world).await?;
    let fill = world.objects(operation, &world.victim).await?;
    let request = world.request(operation, &world.victim, fill);
    let before = state(world, &request).await?;
    let answer = world.send(&request.by(&viewer.key)).await?;
    if answer.status.is_success() {
        // What was made goes with all else.
        if let Some(id) =
            ["id", "name"].iter().find_map(|name| Some(answer.json()[*name].as_str()?.to_owned()))
            && operation.method == Method::POST
            && operation.places().is_empty()
        {
            world.made.note_path(format!("{}/{id}", operation.path));
        }
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    if answer.status.as_u16() != 403 {
        let status = answer.status.as_u16();
        return Err(format!("the viewer was answered {status}, which says nothing of its role"));
    }
    if state(world, &request).await? != before {
        return judged(Some("it was refused, and the object is another than before".to_owned()));
    }
    let deeds = viewer.deeds(world).await?;
    if !deeds.is_empty() {
        return judged(Some(format!(
            "it was refused, and the operators' log has it do {}",
            deeds.join(", ")
        )));
    }
    judged(given_away(world, &request, &answer))
}

/// What the operator is shown of the object that a request is about, where there is something that shows it.
async fn state(world: &World<'_>, request: &Request<'_>) -> Result<Option<(u16, Value)>, String> {
    let path = &request.operation.path;
    let shows = |it: &&Operation| {
        it.caller == Caller::Operator
            && it.is_safe()
            && it.path.ends_with('}')
            && path.strip_prefix(&it.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(looking) = world.description.operations.iter().filter(shows).max_by_key(|it| it.path.len())
    else {
        return Ok(None);
    };
    let answer = world.send(&world.request(looking, &world.victim, request.fill.clone())).await?;
    let shown = if answer.status.is_success() { answer.json() } else { Value::Null };
    Ok(Some((answer.status.as_u16(), shown)))
}
