//! The table: role × action × resource. Its printed form is a checked-in snapshot, so that every change
//! of rights is seen in review.

use crate::{Action, Resource, Role};

/// How far a right goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all.
    None,
    /// To what the principal itself made or is.
    Own,
    /// To every object of the tenant.
    All,
}

/// How far `role` reaches with `action` on `resource`.
pub fn reach(role: Role, action: Action, resource: Resource) -> Reach {
    let least = match least_roles(action, resource) {
        Some(least) => least,
        None => return Reach::None,
    };
    if role <= least.all {
        Reach::All
    } else if least.own.is_some_and(|own| role <= own) {
        Reach::Own
    } else {
        Reach::None
    }
}

/// The least role that reaches every object, and the least that reaches its own.
struct Least {
    all: Role,
    own: Option<Role>,
}

const fn all(all: Role) -> Option<Least> {
    Some(Least { all, own: None })
}

const fn all_or_own(all: Role, own: Role) -> Option<Least> {
    Some(Least { all, own: Some(own) })
}

fn least_roles(action: Action, resource: Resource) -> Option<Least> {
    use Action::{Create, Delete, Invoke, Read, ReadContent, Update};
    use Role::{Admin, Developer, Member, Viewer};
    match (resource, action) {
        (Resource::Account, Read) => all(Viewer),
        (Resource::Account, Update) => all(Admin),
        (Resource::ApiKey, Read) => all_or_own(Admin, Viewer),
        (Resource::ApiKey, Create | Update) => all(Admin),
        (Resource::ApiKey, Delete) => all_or_own(Admin, Viewer),
        (Resource::SigningKey, Read | Create | Update | Delete) => all(Admin),
        (Resource::Member, Read) => all(Developer),
        (Resource::Member, Create | Update | Delete) => all(Admin),
        (Resource::Agent, Read) => all(Viewer),
        (Resource::Agent, Create | Update | Delete) => all(Developer),
        (Resource::Agent, Invoke) => all(Member),
        (Resource::Credential, Read | Create | Update | Delete | Invoke) => all(Developer),
        (Resource::Model, Read) => all(Viewer),
        (Resource::Model, Invoke) => all(Member),
        (Resource::Workflow, Read) => all(Viewer),
        (Resource::Workflow, Create | Update | Delete) => all(Developer),
        (Resource::Workflow, Invoke) => all(Member),
        (Resource::Run, Read) => all(Viewer),
        (Resource::Run, Create | Update) => all(Member),
        (Resource::Run, ReadContent) => all(Developer),
        (Resource::Record, Read) => all(Viewer),
        (Resource::Record, Create | Update | Delete) => all(Member),
        (Resource::Egress, Invoke) => all(Member),
        (Resource::Audit, Read) => all(Admin),
        // What is erased of a log does not come back.
        (Resource::Audit, Delete) => all(Role::Owner),
        (Resource::Usage, Read) => all(Developer),
        (Resource::Budget, Read) => all(Developer),
        (Resource::Budget, Create | Update | Delete) => all(Admin),
        (Resource::Message, Read) => all(Viewer),
        (Resource::Message, Create) => all(Member),
        _ => None,
    }
}
