//! Hooks: a token leads to its tenant and workflow, and to nothing but taking the delivery.

use crate::world::World;
use authz::{OperatorRole, Role, Scopes};
use context::{
    Create, CredentialKind, IndexedSubject, Invoke, PrincipalKind, Read, Refusal, TenantStatus, on,
};

async fn refusal(world: &World, token: &str) -> Refusal {
    match world.authenticator.admit_hook(token, world.facts()).await {
        Ok(_) => panic!("{token} came in"),
        Err(refusal) => refusal,
    }
}

#[tokio::test]
async fn a_token_leads_to_its_tenant_and_workflow() {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let (mine, other) = (world.hook(ours), world.hook(theirs));
    let admitted = world.authenticator.admit_hook(mine.0.expose(), world.facts()).await.unwrap();
    let elsewhere = world.authenticator.admit_hook(other.0.expose(), world.facts()).await.unwrap();
    assert_eq!((admitted.admission.tenant_id(), elsewhere.admission.tenant_id()), (ours, theirs));
    assert_ne!(admitted.workflow, elsewhere.workflow);
    let hook = admitted.hook;
    let visit = admitted.admission.enter(async |tenant| {
        let principal = tenant.principal();
        assert_eq!((principal.kind, principal.id.as_str()), (PrincipalKind::System, "hook_delivery"));
        assert_eq!(principal.on_behalf_of, Some(hook.to_string()));
        assert!(tenant.authorize::<Create<on::Run>>().is_ok());
        assert!(tenant.authorize::<Read<on::Record>>().is_err());
        assert!(tenant.authorize::<Invoke<on::Model>>().is_err());
    });
    visit.await;
}

#[tokio::test]
async fn what_is_no_live_token_is_refused_and_noted_alike() {
    let world = World::new();
    let tenant = world.tenant();
    let (revoked, key) = (world.hook(tenant), world.api_key(tenant));
    world.revoke(CredentialKind::Hook, revoked.0.expose());
    let operator = world.operator_key(OperatorRole::Admin, None);
    let unknown = context::issue_hook_token(&world.env);
    let texts =
        ["", "hk_", revoked.0.expose(), unknown.0.expose(), key.text.expose(), operator.text.expose()];
    for text in texts {
        assert_eq!(refusal(&world, text).await, Refusal::Unauthorized, "{text}");
    }
    let noted = world.failures();
    assert!(noted.len() == texts.len() && noted.iter().all(|(_, claimed, _)| claimed.is_none()));
}

#[tokio::test]
async fn a_token_is_no_key_and_a_line_of_another_kind_no_hook() {
    let world = World::new();
    let tenant = world.tenant();
    let token = world.hook(tenant);
    assert_eq!(world.refusal(token.0.expose(), None).await, Refusal::Unauthorized);
    let (role, scopes) = (Role::Owner, Scopes::everything());
    let subject = IndexedSubject::ApiKey { id: world.env.id(), role, scopes, agent: None };
    world.index(CredentialKind::Hook, token.0.expose(), subject, Some(tenant), None);
    assert_eq!(refusal(&world, token.0.expose()).await, Refusal::Unauthorized);
    let subject = IndexedSubject::Hook { id: world.env.id(), workflow: world.env.id() };
    world.index(CredentialKind::Hook, token.0.expose(), subject, None, None);
    assert_eq!(refusal(&world, token.0.expose()).await, Refusal::Unauthorized);
}

#[tokio::test]
async fn tenants_that_take_no_part_take_no_deliveries() {
    let world = World::new();
    let tenant = world.tenant();
    let token = world.hook(tenant);
    world.set_status(tenant, TenantStatus::Suspended);
    assert_eq!(refusal(&world, token.0.expose()).await, Refusal::Suspended);
    world.set_status(tenant, TenantStatus::Deleting);
    assert_eq!(refusal(&world, token.0.expose()).await, Refusal::Unauthorized);
}
