//! Background work comes in by name, and its coming is in the tenant's log before it is in.

use crate::world::World;
use audit::event::{ActorKind, AuthMethod};
use authz::{Action, Resource, Rights, SystemPrincipal};
use context::{Delete, Invoke, Read, Refusal, TenantStatus, Update, on};
use ids::{KeyId, TenantId};
use std::sync::atomic::Ordering;

async fn refusal(world: &World, name: SystemPrincipal, tenant: TenantId) -> Refusal {
    match world.authenticator.admit_system(name, tenant, None, world.facts()).await {
        Ok(_) => panic!("{name:?} came in"),
        Err(refusal) => refusal,
    }
}

#[tokio::test]
async fn coming_in_is_written_down_first() {
    let world = World::new();
    let (tenant, key) = (world.tenant(), world.env.id::<KeyId>());
    let facts = world.facts();
    let (request, for_whom) = (facts.id, Some(key.to_string()));
    let admitted = world.authenticator.admit_system(SystemPrincipal::RunRecovery, tenant, for_whom, facts);
    let admission = admitted.await.unwrap();
    let events = world.events();
    let [(of, event)] = events.as_slice() else { panic!("{} events", events.len()) };
    assert_eq!((*of, event.action.as_str(), event.request_id), (tenant, "system.admit", Some(request)));
    assert_eq!(event.resource.id, tenant.to_string());
    assert_eq!((event.actor.kind, event.actor.auth), (ActorKind::System, AuthMethod::Internal));
    assert_eq!(event.actor.id, "run_recovery");
    assert_eq!(event.actor.on_behalf_of.len(), 1);
    assert_eq!(event.actor.on_behalf_of[0].kind, ActorKind::ServiceKey);
    admission
        .enter(async |tenant| {
            assert!(tenant.authorize::<Update<on::Run>>().is_ok());
            assert!(tenant.authorize::<Delete<on::Run>>().is_err());
            assert!(tenant.authorize::<Read<on::Record>>().is_err());
            assert!(tenant.authorize::<Invoke<on::Credential>>().is_err());
        })
        .await;
}

#[tokio::test]
async fn a_log_that_takes_no_event_lets_nobody_in() {
    let world = World::new();
    let tenant = world.tenant();
    world.ports.log_down.store(true, Ordering::SeqCst);
    for name in SystemPrincipal::ALL {
        assert_eq!(refusal(&world, *name, tenant).await, Refusal::Unavailable, "{name:?}");
    }
    world.ports.log_down.store(false, Ordering::SeqCst);
    world.ports.index_down.store(true, Ordering::SeqCst);
    assert_eq!(refusal(&world, SystemPrincipal::Retention, tenant).await, Refusal::Unavailable);
    assert!(world.events().is_empty());
}

#[tokio::test]
async fn a_tenant_that_takes_no_part_is_entered_for_the_operator_and_its_open_books_alone() {
    let world = World::new();
    let tenant = world.tenant();
    for (status, expected) in
        [(TenantStatus::Suspended, Refusal::Suspended), (TenantStatus::Deleting, Refusal::Unauthorized)]
    {
        world.set_status(tenant, status);
        for name in SystemPrincipal::ALL {
            let closes_books = *name == SystemPrincipal::LeaseExpiry && status == TenantStatus::Suspended;
            if *name == SystemPrincipal::OperatorAction || closes_books {
                let facts = world.facts();
                assert!(world.authenticator.admit_system(*name, tenant, None, facts).await.is_ok());
            } else {
                assert_eq!(refusal(&world, *name, tenant).await, expected, "{name:?}");
            }
        }
    }
    assert_eq!(world.events().len(), 3);
    let nobody = world.env.id();
    assert_eq!(refusal(&world, SystemPrincipal::OperatorAction, nobody).await, Refusal::Unauthorized);
}

#[tokio::test]
async fn a_system_principal_can_do_its_duties_and_nothing_else() {
    let world = World::new();
    let tenant = world.tenant();
    for name in SystemPrincipal::ALL {
        let facts = world.facts();
        let admission = world.authenticator.admit_system(*name, tenant, None, facts).await.unwrap();
        let rights = admission.enter(async |tenant| tenant.rights().clone()).await;
        assert_eq!(rights, Rights::System(*name));
        for action in Action::ALL {
            for resource in Resource::ALL {
                let may = rights.reach(action, *resource) == authz::Reach::All;
                assert_eq!(may, name.duties().contains(&(action, *resource)));
            }
        }
    }
}
