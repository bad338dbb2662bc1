//! The tenant itself: what it grants, and what it says of itself.

use crate::world::{ADDRESS, World};
use audit::event::{Action, ActorKind, AuthMethod, Outcome};
use authz::{OperatorRole, Role, Scopes};
use context::{
    Admission, Caller, Create, CredentialKind, Delete, IndexedSubject, Read, event, issue_api_key, on,
};
use errors::Code;
use futures::FutureExt;

async fn key_with(world: &World, role: Role, scopes: &[&str]) -> Admission {
    let tenant = world.tenant();
    let key = issue_api_key(tenant, world.env.id(), &world.env);
    let scopes: Scopes = scopes.iter().map(|scope| scope.parse::<authz::Scope>().unwrap()).collect();
    let subject = IndexedSubject::ApiKey { id: key.id, role, scopes, agent: None };
    world.index(CredentialKind::ApiKey, key.text.expose(), subject, Some(tenant), None);
    world.admission(key.text.expose()).await
}

#[tokio::test]
async fn access_says_how_far_it_reaches() {
    let world = World::new();
    let owner = key_with(&world, Role::Owner, &["*"]).await;
    owner
        .enter(async |tenant| {
            let access = tenant.authorize::<Delete<on::ApiKey>>().unwrap();
            assert_eq!((access.only_of(), access.tenant().id()), (None, tenant.id()));
        })
        .await;
    let viewer = key_with(&world, Role::Viewer, &["*"]).await;
    viewer
        .enter(async |tenant| {
            let access = tenant.authorize::<Delete<on::ApiKey>>().unwrap();
            assert_eq!(access.only_of(), Some(tenant.principal().id.as_str()));
            assert_eq!(access.clone().only_of(), access.only_of());
        })
        .await;
}

#[tokio::test]
async fn a_refusal_names_the_scope_that_it_needs_and_no_more() {
    let world = World::new();
    for (role, scopes) in [(Role::Viewer, &["*"][..]), (Role::Owner, &["records:read"]), (Role::Owner, &[])] {
        let admission = key_with(&world, role, scopes).await;
        let problem =
            admission.enter(async |tenant| tenant.authorize::<Create<on::Record>>().err().unwrap()).await;
        assert_eq!((problem.code, &problem.members["needs"]), (Code::Forbidden, &"records:write".into()));
        assert_eq!(problem.members.len(), 1);
    }
    let narrowed = key_with(&world, Role::Owner, &["records:read"]).await;
    assert!(narrowed.enter(async |tenant| tenant.authorize::<Read<on::Record>>().is_ok()).await);
}

#[tokio::test]
async fn a_boxed_visit_is_a_visit() {
    let world = World::new();
    let admission = key_with(&world, Role::Owner, &["*"]).await;
    let id = admission.tenant_id();
    let entered = tokio::spawn(admission.enter_boxed(|tenant| async move { tenant.id() }.boxed())).await;
    assert_eq!(entered.unwrap(), id);
}

#[tokio::test]
async fn what_it_prints_holds_no_name_and_no_secret() {
    let world = World::new();
    let tenant = world.tenant();
    let key = world.api_key(tenant);
    let presented = context::Presented { credential: Some(key.text.clone()), tenant_header: None };
    assert!(!format!("{presented:?} {key:?}").contains(key.text.expose()));
    let Ok(Caller::Tenant(admission)) = world.authenticator.authenticate(&presented, world.facts()).await
    else {
        panic!("the key was refused")
    };
    let printed = admission.enter(async |tenant| format!("{tenant:?}")).await;
    assert_eq!(printed, format!("Tenant({tenant}, service_key)"));
}

#[tokio::test]
async fn events_begin_with_who_acted_and_in_which_request() {
    const TEST: Action = Action::new("test.done");
    let world = World::new();
    let (tenant, agent) = (world.tenant(), world.env.id());
    let key = world.api_key_with(tenant, Role::Member, Some(agent), None);
    let admission = world.admission(key.text.expose()).await;
    let (draft, request) = admission
        .enter(async |tenant| (event::draft(&tenant, TEST, "record", "rec_1"), tenant.request_id()))
        .await;
    assert_eq!((draft.actor.kind, draft.actor.id), (ActorKind::Agent, agent.to_string()));
    assert_eq!((draft.request_id, draft.ip), (Some(request), Some(ADDRESS)));
    assert_eq!((draft.user_agent.as_deref(), draft.result), (Some("test/1"), Outcome::Success));
    let operator_key = world.operator_key(OperatorRole::Admin, None);
    let operator = world.operator(operator_key.text.expose()).await;
    let draft = event::operator_draft(&operator, TEST, "tenant", tenant.to_string());
    assert_eq!((draft.actor.kind, draft.actor.auth), (ActorKind::Operator, AuthMethod::OperatorKey));
    assert_eq!(draft.actor.id, operator_key.id.to_string());
}
