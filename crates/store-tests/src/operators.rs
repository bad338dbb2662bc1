//! What operators have of their own.

use crate::samples::claim;
use crate::{Backend, World, page};
use audit::event::Action;
use authz::OperatorRole;
use context::{CredentialIndex, KeyedHash, Throwaway};
use ids::{Id as _, KeyId};
use store::{
    AuditQuery, OperatorKeyRow, OperatorLog as _, OperatorStore, PlatformStore as _, Remembered, StoreError,
    TenantRow, VerifyGrantRow, VerifyGrants as _,
};

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

pub async fn the_log_proves_itself_and_signs_findings<B: Backend>(world: World<B>) {
    use audit::evidence::{About, Findings, Line, Report, Server};
    use audit::note::{SignedCheckpoint, SignedNote, VerifierKey};
    const LOOK: Action = Action::new("tenant.look");
    let (store, operator) = (world.store(), &world.operator);
    for number in 0..5 {
        let draft = context::event::operator_draft(operator, LOOK, "tenant", format!("{number}"));
        store.append_operator_events(operator, vec![draft]).await.unwrap();
    }
    let key: VerifierKey = store.operator_log_key().await.unwrap().parse().unwrap();
    let open = |text: &str| SignedCheckpoint::open(text, &key).unwrap().checkpoint().clone();
    let (size, checkpoint) = store.operator_checkpoint().await.unwrap();
    assert_eq!((size, open(&checkpoint).size), (5, 5));
    // Of the present log, and as it was when it had three events.
    for of in [None, Some(3)] {
        let proven = store.prove_operator_event(operator, 1, of).await.unwrap();
        let signed = open(&proven.checkpoint);
        assert_eq!(signed.size, of.unwrap_or(5));
        let leaf = audit::merkle::leaf_hash(&proven.leaf);
        audit::merkle::verify_inclusion(leaf, 1, signed.size, &proven.hashes, signed.root).unwrap();
        let (hashes, later) = store.prove_operator_growth(2, of).await.unwrap();
        let (_, earlier) = store.prove_operator_growth(2, Some(2)).await.unwrap();
        open(&later).verify_growth(&open(&earlier), &hashes).unwrap();
    }
    assert_eq!(store.prove_operator_event(operator, 3, Some(3)).await, Err(StoreError::NotFound));
    assert_eq!(store.prove_operator_event(operator, 5, None).await, Err(StoreError::NotFound));
    for (earlier, of) in [(6, None), (4, Some(3)), (1, Some(6))] {
        let refused = store.prove_operator_growth(earlier, of).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{earlier} {of:?}");
    }
    let now = world.env().now();
    let about = About {
        version: "0".into(),
        description: String::new(),
        url: String::new(),
        server: Server::Own,
        log: true,
        data: true,
        started_at: now,
        finished_at: now,
    };
    let line = Line::Held { operation: "a".into(), place: "b".into(), attack: "c".into() };
    let findings = Findings::of(&Report::new(about, vec![line]), now, 1);
    let note = store.sign_findings(operator, &findings).await.unwrap();
    note.parse::<SignedNote>().unwrap().verify(&key).unwrap();
    assert!(SignedCheckpoint::open(&note, &key).is_err());
}

pub async fn grants_hold_until_they_are_revoked_and_are_no_operators<B: Backend>(world: World<B>) {
    let (store, operator, env) = (world.store(), &world.operator, world.env());
    let row = |name: &str, tenants| VerifyGrantRow {
        id: env.id(),
        name: name.into(),
        tenants,
        expires_at: env.now().plus(std::time::Duration::from_secs(60)),
    };
    let operators = store.operator_keys(operator).await.unwrap();
    let (one, other) = (row("one", 2), row("other", 3));
    store.add_verify_grant(operator, KeyedHash([1; 32]), one.clone()).await.unwrap();
    store.add_verify_grant(operator, KeyedHash([2; 32]), other.clone()).await.unwrap();
    let mut expected = vec![one.clone(), other.clone()];
    expected.sort_by_key(|row| row.id);
    assert_eq!(store.verify_grants(operator).await.unwrap(), expected);
    assert_eq!(store.operator_keys(operator).await.unwrap(), operators, "a grant is no operator");
    let found = store.find(&KeyedHash([1; 32])).await.unwrap().unwrap();
    assert!(found.tenant.is_none() && found.expires_at == Some(one.expires_at));
    assert_eq!(store.throwaways(operator, one.id).await, Ok(Vec::new()));
    let throwaway =
        |grant: &VerifyGrantRow, slot| Throwaway { grant: grant.id, until: grant.expires_at, slot };
    let made = |it: Throwaway| TenantRow { throwaway: Some(it), ..world.row(env.id(), None) };
    let row = made(throwaway(&one, 1));
    store.create_tenant(operator, world.new_tenant(row.clone())).await.unwrap();
    let there = store.tenant(operator, row.id).await.unwrap();
    assert_eq!(there.throwaway, row.throwaway);
    assert_eq!(store.standing(row.id).await.unwrap().unwrap().throwaway_until, Some(one.expires_at));
    assert_eq!(store.throwaways(operator, one.id).await, Ok(vec![(row.id, 1)]));
    assert_eq!(store.throwaways(operator, other.id).await, Ok(Vec::new()));
    // A place is taken once, and is each grant's own.
    let twice = store.create_tenant(operator, world.new_tenant(made(throwaway(&one, 1)))).await;
    assert!(matches!(twice, Err(StoreError::Exists(_))), "{twice:?}");
    store.create_tenant(operator, world.new_tenant(made(throwaway(&other, 1)))).await.unwrap();
    // Nobody makes a throwaway of an ordinary tenant, nor an ordinary tenant of a throwaway; and what an
    // external id says is nothing to it.
    let ordinary = store.tenant(operator, world.one).await.unwrap();
    for changed in [
        TenantRow { throwaway: Some(throwaway(&one, 2)), ..ordinary.clone() },
        TenantRow { throwaway: None, ..there.clone() },
        TenantRow { throwaway: Some(throwaway(&other, 2)), ..there },
    ] {
        let refused = store.update_tenant(operator, changed).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    let looks = format!("verify-grant/{}/9/0", one.id.ulid());
    let looks = TenantRow { external_id: Some(looks), ..ordinary };
    assert_eq!(store.update_tenant(operator, looks).await.unwrap().throwaway, None);
    assert_eq!(store.throwaways(operator, one.id).await, Ok(vec![(row.id, 1)]));
    assert_eq!(store.revoke_operator_key(operator, one.id).await, Err(StoreError::NotFound));
    store.revoke_verify_grant(operator, one.id).await.unwrap();
    assert!(store.find(&KeyedHash([1; 32])).await.unwrap().is_none());
    assert_eq!(store.verify_grants(operator).await.unwrap(), [other]);
    assert_eq!(store.revoke_verify_grant(operator, one.id).await, Err(StoreError::NotFound));
}
