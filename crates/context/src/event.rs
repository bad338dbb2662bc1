//! The beginning of an audit event: who acted, from where, in which request.

use crate::{Operator, Principal, PrincipalKind, RequestFacts, Tenant};
use audit::event::{Action, Actor, ActorKind, ActorRef, AuthMethod, Draft, Outcome, Resource};
use ids::{AgentId, HookId, KeyId, SigningKeyId};

/// A draft of a successful action by the visit's principal; the caller changes what went otherwise.
pub fn draft(tenant: &Tenant<'_>, action: Action, kind: &str, id: impl Into<String>) -> Draft {
    filled(actor(tenant.principal()), tenant.request(), action, kind, id.into())
}

/// A draft of what an operator did.
pub fn operator_draft(operator: &Operator, action: Action, kind: &str, id: impl Into<String>) -> Draft {
    let actor = Actor {
        kind: ActorKind::Operator,
        id: operator.key().to_string(),
        on_behalf_of: Vec::new(),
        auth: AuthMethod::OperatorKey,
    };
    filled(actor, operator.request(), action, kind, id.into())
}

fn filled(actor: Actor, request: &RequestFacts, action: Action, kind: &str, id: String) -> Draft {
    let mut draft = Draft::new(actor, action, Resource { kind: kind.to_owned(), id }, Outcome::Success);
    draft.request_id = Some(request.id);
    draft.ip = request.ip;
    draft.user_agent = request.user_agent.clone();
    draft.trace_link = request.trace_link.clone();
    draft
}

fn actor(principal: &Principal) -> Actor {
    let kind = match principal.kind {
        PrincipalKind::User => ActorKind::User,
        PrincipalKind::Agent => ActorKind::Agent,
        PrincipalKind::ServiceKey => ActorKind::ServiceKey,
        PrincipalKind::System => ActorKind::System,
    };
    // Whoever the work is done for is named by what its id says it is.
    let behind = |id: &String| ActorRef { id: id.clone(), kind: kind_of_id(id) };
    Actor {
        kind,
        id: principal.id.clone(),
        on_behalf_of: principal.on_behalf_of.iter().map(behind).collect(),
        auth: principal.auth,
    }
}

fn kind_of_id(id: &str) -> ActorKind {
    if id.parse::<KeyId>().is_ok() || id.parse::<SigningKeyId>().is_ok() {
        ActorKind::ServiceKey
    } else if id.parse::<AgentId>().is_ok() {
        ActorKind::Agent
    } else if id.parse::<HookId>().is_ok() {
        ActorKind::Outsider
    } else {
        ActorKind::User
    }
}
