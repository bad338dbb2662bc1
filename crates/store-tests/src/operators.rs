//! What operators have of their own.

use crate::samples::claim;
use crate::{Backend, World, page};
use audit::event::Action;
use store::{AuditQuery, OperatorStore, PlatformStore, Remembered, StoreError};

pub async fn events_are_listed<B: Backend>(world: World<B>) {
    const LOOK: Action = Action::new("tenant.look");
    let store = world.store();
    for number in 0..3 {
        let draft =
            context::event::operator_draft(&world.operator, LOOK, "tenant", format!("{}{number}", world.one));
        store.append_operator_events(vec![draft]).await.unwrap();
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
