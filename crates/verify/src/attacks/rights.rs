//! Lesser keys of the same tenant: without the scope that an operation needs, and with a role to which the
//! table of rights says no.

use super::{Attempt, Control, Job, judged};
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
    // Some scope that has nothing to do with the one that is needed.
    let other = if scope.starts_with("usage:") { "audit:read" } else { "usage:read" };
    let pattern = Pattern::new(operation, "credential", "the owner's key without the scope");
    let mut jobs = vec![Job::new(pattern, refused(world, control, Role::Owner, other))];
    for (role, attack) in [
        (Role::Viewer, "a viewer's key of the same tenant"),
        (Role::Member, "a member's key of the same tenant"),
    ] {
        if is_beyond(role, scope) {
            let pattern = Pattern::new(operation, "credential", attack);
            jobs.push(Job::new(pattern, refused(world, control, role, "*")));
        }
    }
    jobs
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
async fn lesser(world: &World<'_>, role: Role, scope: &str) -> Result<SecretText, String> {
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
