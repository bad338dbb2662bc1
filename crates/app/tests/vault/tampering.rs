//! Rows that somebody changed or moved in the store.

use crate::world::{World, any_event, out, slug};
use context::{Update, on};
use egress::EgressError;
use errors::Code;
use ids::TenantId;
use serde_json::json;
use store::{Commit, Credential, Objects};

async fn write(world: &World, tenant: TenantId, row: &Credential) {
    world
        .visit(tenant, async |tenant| {
            let commit = Commit::event(any_event(&tenant));
            let access = tenant.authorize::<Update<on::Credential>>().unwrap();
            world.store.put(&access, row, None, commit).await.unwrap();
        })
        .await;
}

async fn world() -> World {
    let world = World::new().await;
    for tenant in [world.one, world.two] {
        for service in ["crm", "mail"] {
            let body = json!({"kind": "api_key", "key": "k3y", "hosts": ["api.test"]});
            world.put_of(tenant, service, body).await.unwrap();
        }
    }
    world
}

#[tokio::test]
async fn hosts_written_into_the_row_open_nothing() {
    let world = world().await;
    let row = Credential { hosts: vec!["evil.test".into()], ..world.row(world.one, "crm").await };
    write(&world, world.one, &row).await;
    let attached = world.attach("crm").await.unwrap();
    assert!(matches!(world.call("evil.test", attached).await, Err(EgressError::HostNotInCredential)));
}

#[tokio::test]
async fn a_sealed_secret_opens_nowhere_but_at_its_place() {
    let world = world().await;
    let mine = world.row(world.one, "crm").await;
    let other_service = Credential { service: slug("mail"), ..mine.clone() };
    let other_version = Credential { sealed_version: 2, ..mine.clone() };
    let other_credential = Credential { id: world.row(world.one, "mail").await.id, ..mine.clone() };
    let other_tenant = world.row(world.two, "crm").await;
    let altered = Credential { sealed: mine.sealed.replace(&mine.sealed[20..21], "_"), ..mine.clone() };
    for row in [other_service, other_version, other_credential, other_tenant, altered] {
        write(&world, world.one, &row).await;
        let refused = world.attach(row.service.as_str()).await.err().unwrap();
        assert_eq!(refused.code, Code::NeedsReauthorization);
    }
    write(&world, world.one, &mine).await;
    assert!(world.attach("crm").await.is_ok());
}

#[tokio::test]
async fn what_was_replaced_is_not_there_any_more() {
    let world = world().await;
    let before = world.row(world.one, "crm").await;
    world.put("crm", json!({"kind": "api_key", "key": "new", "hosts": ["api.test"]})).await.unwrap();
    let after = world.row(world.one, "crm").await;
    assert_eq!((before.sealed_version, after.sealed_version), (1, 2));
    write(&world, world.one, &Credential { sealed: before.sealed, ..after }).await;
    world
        .visit(world.one, async |tenant| {
            let refused = world.vault.attach(&tenant, &slug("crm")).await.map(|it| out(&tenant, it)).err();
            assert_eq!(refused.unwrap().code, Code::NeedsReauthorization);
        })
        .await;
}
