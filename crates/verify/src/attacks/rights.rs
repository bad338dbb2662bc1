//! Lesser keys of the same tenant: without the scope that an operation needs, and with a role to which the
//! table of rights says no.

use super::{Attempt, Control, Job, judged};
use crate::compare::difference;
use crate::description::Operation;
use crate::pattern::Pattern;
use crate::world::World;
use authz::{Action, Reach, Resource, Rights, Role, Scopes};
use http::Method;
use secret::SecretText;
use serde_json::json;

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let Some(scope) = &operation.scope else { return Vec::new() };
    let pattern = Pattern::new(operation, "credential", "the owner's key without the scope");
    let mut jobs = vec![Job::new(pattern, refused(world, control, Role::Owner, unlike(scope)))];
    for (role, attack) in [
        (Role::Viewer, "a viewer's key of the same tenant"),
        (Role::Member, "a member's key of the same tenant"),
    ] {
        if is_beyond(role, scope) {
            let pattern = Pattern::new(operation, "credential", attack);
            jobs.push(Job::new(pattern, refused(world, control, role, "*")));
        }
    }
    if is_own(Role::Viewer, scope, operation.is_safe())
        && let Some(place) = operation.places().pop().filter(|place| place.ends_with("{id}"))
    {
        let attack = "another's id with a viewer's key of the same tenant, which reaches its own alone";
        let pattern = Pattern::new(operation, format!("path {place}"), attack);
        jobs.push(Job::new(pattern, anothers(world, control, place)));
    }
    jobs
}

/// A scope that has nothing to do with the one that is needed.
pub(super) fn unlike(scope: &str) -> &'static str {
    if scope.starts_with("usage:") { "audit:read" } else { "usage:read" }
}

/// Whether the role reaches what is its own, and nothing else, by what an operation of this scope does.
fn is_own(role: Role, scope: &str, reads: bool) -> bool {
    let Some((noun, _)) = scope.split_once(':') else { return false };
    let rights = Rights::Granted { role, scopes: Scopes::everything() };
    let resource = Resource::ALL.iter().find(|resource| resource.as_str() == noun);
    let action = if reads { Action::Read } else { Action::Delete };
    resource.is_some_and(|resource| rights.reach(action, *resource) == Reach::Own)
}

/// What another principal of the same tenant has must be to the viewer as if it were not there.
async fn anothers(world: &World<'_>, control: &Control<'_>, place: String) -> Attempt {
    control.held()?;
    let key = lesser(world, Role::Viewer, "*").await?;
    let fill = world.objects(control.operation, &world.victim).await?;
    let Some(value) = fill.get(&place).cloned() else { return Err(format!("{place} has no value")) };
    let request = world.request(control.operation, &world.victim, fill).by(&key);
    let answer = world.send(&request).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    let (nothing, mut lost) = (world.missing(&value), request.clone());
    lost.fill.insert(place, nothing.clone());
    let missing = world.send(&lost).await?;
    judged(difference((&answer, value.as_str()), (&missing, nothing.as_str())))
}

/// Whether the table says no to this role for everything that the scope may stand for.
fn is_beyond(role: Role, scope: &str) -> bool {
    let Some((noun, verb)) = scope.split_once(':') else { return false };
    let rights = Rights::Granted { role, scopes: Scopes::everything() };
    let resource = Resource::ALL.iter().find(|resource| resource.as_str() == noun);
    let mut actions = Action::ALL.into_iter().filter(|action| action.scope_verb() == verb);
    resource.is_some_and(|resource| actions.all(|action| rights.reach(action, *resource) == Reach::None))
}

async fn refused(world: &World<'_>, control: &Control<'_>, role: Role, scope: &str) -> Attempt {
    control.held()?;
    let key = lesser(world, role, scope).await?;
    let fill = world.objects(control.operation, &world.victim).await?;
    let request = world.request(control.operation, &world.victim, fill).by(&key);
    let answer = world.send(&request).await?;
    judged(answer.status.is_success().then(|| format!("it was let in ({})", answer.status.as_u16())))
}

/// A key of the victim's with this role and scope.
pub(super) async fn lesser(world: &World<'_>, role: Role, scope: &str) -> Result<SecretText, String> {
    let mut kept = world.victim.lesser.lock().await;
    let name = format!("{} {scope}", role.as_str());
    if let Some(key) = kept.get(&name) {
        return Ok(key.clone());
    }
    let making: &Operation = world
        .description
        .find(&Method::POST, "/v1/api-keys")
        .ok_or_else(|| "there is no operation that makes lesser keys".to_owned())?;
    let mut request = world.request(making, &world.victim, crate::seed::Fill::new());
    request.body = Some(json!({"name": name, "role": role.as_str(), "scopes": [scope]}));
    let made = world.ask(&request, &world.victim).await?.json();
    let key = made["key"].as_str().ok_or_else(|| "the lesser key is not in its answer".to_owned())?;
    let key = SecretText::new(key.to_owned());
    kept.insert(name, key.clone());
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::is_beyond;
    use authz::Role;

    #[test]
    fn only_what_no_action_of_a_scope_allows_is_beyond_a_role() {
        assert!(is_beyond(Role::Viewer, "records:write"));
        assert!(!is_beyond(Role::Viewer, "records:read"));
        assert!(is_beyond(Role::Member, "audit:read"));
        // A viewer may delete their own keys, so that not every use of the scope is refused.
        assert!(!is_beyond(Role::Viewer, "keys:write"));
    }
}
