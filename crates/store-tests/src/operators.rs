//! What operators have of their own.

use crate::samples::claim;
use crate::{Backend, World, page};
use audit::event::Action;
use authz::OperatorRole;
use context::{CredentialIndex, KeyedHash};
use ids::KeyId;
use store::{AuditQuery, OperatorKeyRow, OperatorStore, Remembered, StoreError};

pub async fn events_are_listed<B: Backend>(world: World<B>) {
    const LOOK: Action = Action::new("tenant.look");
    let store = world.store();
    for number in 0..3 {
        let draft =
            context::event::operator_draft(&world.operator, LOOK, "tenant", format!("{}{number}", world.one));
        store.append_operator_events(&world.operator, vec![draft]).await.unwrap();
    }
    let query = AuditQuery { action: Some("tenant".into()), ..AuditQuery::default() };
    let first = store.operator_events(&world.operator, &query, &page(2, None)).await.unwrap();
    let indexes = |page: &store::Page<store::AuditEvent>| -> Vec<_> {
        page.data.iter().map(|event| event.index).collect()
    };
    assert_eq!(indexes(&first), [2, 1]);
    assert_eq!(first.data[0].view["actor"]["id"], world.operator.key().to_string());
    let rest = store.operator_events(&world.operator, &query, &page(2, first.next_cursor)).await.unwrap();
    assert_eq!((indexes(&rest), rest.next_cursor), (vec![0], None));
    // Nothing of it is in a tenant's log.
    for (tenant, _) in world.tenants() {
        let events = world
            .visit(tenant, async |tenant| {
                let query = AuditQuery { action: Some("tenant.look".into()), ..AuditQuery::default() };
                crate::audit_trail::list(store, &tenant, &query, 50, None).await.unwrap().0
            })
            .await;
        assert!(events.is_empty());
    }
}

pub async fn keys_are_claimed_and_given_back<B: Backend>(world: World<B>) {
    let store = world.store();
    let (operator, now) = (&world.operator, world.env().now());
    let claim = claim(&world.env(), 1);
    assert_eq!(store.operator_remembered(operator, &claim.key, now).await, Ok(None));
    assert_eq!(store.claim_for_operator(operator, &claim, now).await, Ok(()));
    assert_eq!(store.claim_for_operator(operator, &claim, now).await, Err(StoreError::Claimed));
    store.release_for_operator(operator, &claim).await.unwrap();
    assert_eq!(store.claim_for_operator(operator, &claim, now).await, Ok(()));
    store.remember_for_operator(operator, &claim, 201, b"made".to_vec()).await.unwrap();
    store.release_for_operator(operator, &claim).await.unwrap();
    let answer = Remembered { request: claim.request, answer: Some((201, b"made".to_vec())) };
    assert_eq!(store.operator_remembered(operator, &claim.key, now).await, Ok(Some(answer)));
    assert_eq!(store.operator_remembered(operator, &claim.key, claim.until).await, Ok(None));
    assert_eq!(store.claim_for_operator(operator, &claim, claim.until).await, Ok(()));
    // A tenant's keys are another matter.
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                use store::IdempotencyStore as _;
                assert!(store.remembered(&tenant, &claim.key, now).await.unwrap().is_none());
            })
            .await;
    }
}

pub async fn keys_hold_until_they_are_revoked_and_one_admin_stays<B: Backend>(world: World<B>) {
    let (store, operator, env) = (world.store(), &world.operator, world.env());
    let mut ids: Vec<KeyId> = Vec::new();
    for (number, role) in [(1, OperatorRole::Admin), (2, OperatorRole::Viewer), (3, OperatorRole::Admin)] {
        let row = OperatorKeyRow::new(env.id(), format!("key {number}"), role);
        ids.push(row.id);
        store.add_operator_key(operator, KeyedHash([number; 32]), row).await.unwrap();
    }
    let found = async |number: u8| store.find(&KeyedHash([number; 32])).await.unwrap().is_some();
    let listed = store.operator_keys(operator).await.unwrap();
    let names: Vec<_> = listed.iter().map(|row| (row.id, row.name.as_str(), row.role)).collect();
    let mut expected = vec![
        (ids[0], "key 1", OperatorRole::Admin),
        (ids[1], "key 2", OperatorRole::Viewer),
        (ids[2], "key 3", OperatorRole::Admin),
    ];
    expected.sort_by_key(|(id, ..)| *id);
    assert_eq!(names, expected);
    assert_eq!(listed[0].created_at, env.now());
    assert!(found(1).await);
    assert_eq!(store.revoke_operator_key(operator, ids[0]).await, Ok(true));
    assert!(!found(1).await && found(3).await);
    assert_eq!(store.revoke_operator_key(operator, ids[2]).await, Ok(false));
    assert!(found(3).await);
    assert_eq!(store.revoke_operator_key(operator, ids[1]).await, Ok(true));
    assert_eq!(store.revoke_operator_key(operator, ids[0]).await, Err(StoreError::NotFound));
}
