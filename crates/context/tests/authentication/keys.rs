//! API keys and operator keys: one answer for everything that is wrong with them.

use crate::world::{ADDRESS, START, World};
use audit::event::AuthMethod;
use authz::{OperatorRole, Role, Scopes, SystemPrincipal};
use context::{
    Caller, CredentialKind, IndexedSubject, Presented, PrincipalKind, Refusal, RequestFacts, TenantStatus,
    issue_api_key, issue_verify_grant,
};
use env::Timestamp;
use errors::{Code, Problem};
use futures::executor::block_on;
use ids::{AgentId, Id, KeyId, TenantId};
use proptest::prelude::*;
use std::sync::atomic::Ordering;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text with the check that it should have: what a forger does.
fn checked(body: &str) -> String {
    let mut number = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[number % 62];
        number /= 62;
    }
    format!("{body}{}", std::str::from_utf8(&digits).unwrap())
}

/// The secret inside a key's text.
fn secret(text: &str) -> &str {
    &text[text.len() - 49..text.len() - 6]
}

fn spliced(tenant: TenantId, key: KeyId, secret: &str) -> String {
    checked(&format!("tk_{}_{}_{secret}", tenant.ulid(), key.ulid()))
}

#[test]
fn the_forgers_check_is_the_real_one() {
    let world = World::new();
    let key = world.api_key(world.tenant());
    assert_eq!(spliced(key.tenant, key.id, secret(key.text.expose())), key.text.expose());
}

#[tokio::test]
async fn a_key_lets_in_to_its_own_tenant() {
    let world = World::new();
    let (tenant, agent) = (world.tenant(), world.env.id::<AgentId>());
    let service = world.api_key(tenant);
    let agents = world.api_key_with(tenant, Role::Member, Some(agent), None);
    let admission = world.admission(service.text.expose()).await;
    assert_eq!(admission.tenant_id(), tenant);
    admission
        .enter(async |entered| {
            let principal = entered.principal();
            assert_eq!(entered.id(), tenant);
            assert_eq!((principal.kind, principal.auth), (PrincipalKind::ServiceKey, AuthMethod::ApiKey));
            assert_eq!((principal.id.as_str(), principal.key), (&*service.id.to_string(), Some(service.id)));
            assert_eq!(entered.request().ip, Some(ADDRESS));
        })
        .await;
    let as_agent = world.admission(agents.text.expose()).await;
    as_agent
        .enter(async |entered| {
            let principal = entered.principal();
            assert_eq!((principal.kind, principal.agent), (PrincipalKind::Agent, Some(agent)));
            assert_eq!((principal.id.as_str(), principal.key), (&*agent.to_string(), Some(agents.id)));
        })
        .await;
    assert!(world.failures().is_empty());
    assert!(world.events().is_empty(), "letting a caller in writes nothing");
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_wrong_is_the_same_401() {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let (mine, other) = (world.api_key(ours), world.api_key(theirs));
    let revoked = world.api_key(ours);
    world.revoke(CredentialKind::ApiKey, revoked.text.expose());
    let expired = world.api_key_with(ours, Role::Owner, None, Some(START));
    let unknown = issue_api_key(ours, world.env.id(), &world.env);
    let good = mine.text.expose();

    let well_formed = [
        (unknown.text.expose().to_owned(), unknown.id),
        (revoked.text.expose().to_owned(), revoked.id),
        (expired.text.expose().to_owned(), expired.id),
        (spliced(ours, other.id, secret(other.text.expose())), other.id),
        (spliced(theirs, mine.id, secret(good)), mine.id),
        (spliced(ours, mine.id, secret(other.text.expose())), mine.id),
        (spliced(ours, other.id, secret(good)), other.id),
    ];
    let malformed = [
        String::new(),
        "tk_".into(),
        format!(" {good}"),
        format!("{good}\n"),
        format!("Bearer {good}"),
        format!("{good},{good}"),
        good.to_lowercase(),
        good.replacen("tk_", "op_", 1),
        good[..good.len() - 1].into(),
        good.replace('_', "-"),
        checked(&format!("tk_{}_{}_{}", ours.ulid().to_lowercase(), mine.id.ulid(), secret(good))),
        checked(&format!("tk_{}_{}_x_{}", ours.ulid(), mine.id.ulid(), secret(good))),
        checked(&format!("tk_{ours}_{}_{}", mine.id.ulid(), secret(good))),
        checked(&format!("tk_{}_{}_{}é", ours.ulid(), mine.id.ulid(), &secret(good)[..41])),
        checked(&format!("tk_{}_{}_{}_x", ours.ulid(), mine.id.ulid(), secret(good))),
        checked(&format!("tk_{}_{}_{}", ours.ulid(), mine.id.ulid(), &secret(good)[1..])),
        checked(&format!("tk_{}_{}_{}x", ours.ulid(), mine.id.ulid(), secret(good))),
        checked("tk___"),
        "x".repeat(100_000),
    ];
    for (text, id) in well_formed {
        assert_eq!(world.refusal(&text, None).await, Refusal::Unauthorized, "{text}");
        assert_eq!(world.failures(), [(Some(ADDRESS), Some(id), START)], "{text}");
    }
    for text in malformed {
        assert_eq!(world.refusal(&text, None).await, Refusal::Unauthorized, "{text}");
        assert_eq!(world.failures(), [(Some(ADDRESS), None, START)], "{text}");
    }
    let nothing = Presented { credential: None, tenant_header: None };
    let refused = world.authenticator.authenticate(&nothing, world.facts()).await;
    assert!(matches!(refused, Err(Refusal::Unauthorized)));
    world.admission(good).await;
    let problem = Problem::from(Refusal::Unauthorized);
    assert_eq!((problem.code, problem.members.len(), problem.retry_after), (Code::Unauthorized, 0, None));
    assert!(world.events().is_empty(), "an outsider writes nothing into a tenant's log");
}

#[tokio::test]
async fn a_key_ends_at_its_moment_and_revoking_holds_at_once() {
    let world = World::new();
    let end = Timestamp::from_millis(START.millis() + 1000);
    let key = world.api_key_with(world.tenant(), Role::Viewer, None, Some(end));
    world.clock.advance(999);
    world.admission(key.text.expose()).await;
    world.clock.advance(1);
    assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
    world.clock.advance(-1);
    world.admission(key.text.expose()).await;
    world.revoke(CredentialKind::ApiKey, key.text.expose());
    assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
}

#[tokio::test]
async fn an_index_that_contradicts_the_key_lets_nobody_in() {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let key = issue_api_key(ours, world.env.id(), &world.env);
    let other: KeyId = world.env.id();
    let subject =
        |id| IndexedSubject::ApiKey { id, role: Role::Owner, scopes: Scopes::everything(), agent: None };
    let operator = IndexedSubject::Operator { id: key.id, role: OperatorRole::Admin, name: "test".into() };
    for (subject, tenant) in [
        (subject(key.id), Some(theirs)),
        (subject(other), Some(ours)),
        (subject(key.id), None),
        (operator, Some(ours)),
    ] {
        world.index(CredentialKind::ApiKey, key.text.expose(), subject, tenant, None);
        assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
    }
    world.revoke(CredentialKind::ApiKey, key.text.expose());
    for kind in [CredentialKind::OperatorKey, CredentialKind::Hook, CredentialKind::SigningKey] {
        world.index(kind, key.text.expose(), subject(key.id), Some(ours), None);
        assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
    }
}

#[tokio::test]
async fn the_header_may_repeat_the_tenant_and_nothing_else() {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let key = world.api_key(ours);
    let unknown = issue_api_key(ours, world.env.id(), &world.env);
    assert!(world.present(key.text.expose(), Some(&ours.to_string())).await.is_ok());
    let foreign =
        [theirs.to_string(), ours.to_string().to_lowercase(), format!("{ours} "), ours.ulid(), String::new()];
    for header in foreign {
        assert_eq!(world.refusal(key.text.expose(), Some(&header)).await, Refusal::TenantMismatch);
        assert_eq!(world.refusal(unknown.text.expose(), Some(&header)).await, Refusal::Unauthorized);
    }
    assert_eq!(world.refusal(unknown.text.expose(), Some(&ours.to_string())).await, Refusal::Unauthorized);
    let noted: Vec<_> = world.failures().into_iter().filter_map(|(_, claimed, _)| claimed).collect();
    assert_eq!(noted, [unknown.id; 6], "a mismatch is no failure to authenticate");
}

#[tokio::test]
async fn suspended_tenants_are_told_so_and_deleted_ones_are_unknown() {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let key = world.api_key(ours);
    let unknown = issue_api_key(ours, world.env.id(), &world.env);
    world.set_status(ours, TenantStatus::Suspended);
    assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Suspended);
    assert_eq!(world.refusal(unknown.text.expose(), None).await, Refusal::Unauthorized);
    world.set_status(ours, TenantStatus::Active);
    world.admission(key.text.expose()).await;
    world.set_status(ours, TenantStatus::Deleting);
    for header in [None, Some(ours.to_string()), Some(theirs.to_string())] {
        assert_eq!(world.refusal(key.text.expose(), header.as_deref()).await, Refusal::Unauthorized);
    }
}

#[tokio::test]
async fn an_operator_comes_in_as_one_and_has_no_tenant() {
    let world = World::new();
    let tenant = world.tenant();
    let (admin, viewer) = (
        world.operator_key(OperatorRole::Admin, None),
        world.operator_key(OperatorRole::Viewer, Some(Timestamp::from_millis(START.millis() + 1))),
    );
    let operator = world.operator(admin.text.expose()).await;
    assert_eq!((operator.key(), operator.role()), (admin.id, OperatorRole::Admin));
    assert!(operator.must_change().is_ok());
    let refused = world.operator(viewer.text.expose()).await.must_change().unwrap_err();
    assert_eq!((refused.code, &refused.members["needs"]), (Code::Forbidden, &"admin".into()));
    let named = world.refusal(admin.text.expose(), Some(&tenant.to_string())).await;
    assert_eq!(named, Refusal::TenantMismatch);
    world.clock.advance(1);
    assert_eq!(world.refusal(viewer.text.expose(), None).await, Refusal::Unauthorized);
    world.revoke(CredentialKind::OperatorKey, admin.text.expose());
    assert_eq!(world.refusal(admin.text.expose(), None).await, Refusal::Unauthorized);
    assert_eq!(world.failures().last().unwrap().1, Some(admin.id));
}

#[tokio::test]
async fn an_operator_key_that_the_index_takes_for_something_else_is_refused() {
    let world = World::new();
    let tenant = world.tenant();
    let key = world.operator_key(OperatorRole::Viewer, None);
    let (role, scopes) = (Role::Owner, Scopes::everything());
    for subject in [
        IndexedSubject::Operator { id: world.env.id(), role: OperatorRole::Admin, name: "test".into() },
        IndexedSubject::ApiKey { id: key.id, role, scopes, agent: None },
    ] {
        world.index(CredentialKind::OperatorKey, key.text.expose(), subject, Some(tenant), None);
        assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
    }
}

#[tokio::test]
async fn an_index_that_is_down_is_nobodys_failure() {
    let world = World::new();
    let key = world.api_key(world.tenant());
    world.ports.index_down.store(true, Ordering::SeqCst);
    assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unavailable);
    assert!(world.failures().is_empty());
    assert_eq!(Problem::from(Refusal::Unavailable).retry_after, Some(1));
    world.ports.index_down.store(false, Ordering::SeqCst);
    world.admission(key.text.expose()).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_other_text_is_as_good_as_the_key(at in 0usize..105, to in "\\PC", mend: bool) {
        let world = World::new();
        let key = world.api_key(world.tenant());
        let mut text = key.text.expose().to_owned();
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        if mend && let Some((body, _)) = text.split_at_checked(text.len() - 6) {
            text = checked(body);
        }
        prop_assume!(text != key.text.expose());
        prop_assert_eq!(block_on(world.refusal(&text, None)), Refusal::Unauthorized);
    }

    #[test]
    fn no_text_lets_anybody_in(text in "(tk_|op_|hk_|eyJ)?\\PC{0,160}") {
        let world = World::new();
        world.api_key(world.tenant());
        let came_in = matches!(block_on(world.present(&text, None)), Ok(Caller::Tenant(_) | Caller::Operator(_)));
        prop_assert!(!came_in);
    }
}

#[tokio::test]
async fn a_grant_lets_a_grant_in_until_it_ends_and_is_no_other_credential() {
    let world = World::new();
    let tenant = world.tenant();
    let key = issue_verify_grant(world.env.id(), &world.env);
    let (text, end) = (key.text.expose(), world.env.now().plus(std::time::Duration::from_secs(60)));
    let subject = |id| IndexedSubject::VerifyGrant { id, name: "test".into(), tenants: 3 };
    world.index(CredentialKind::VerifyGrant, text, subject(key.id), None, Some(end));
    let let_in = world.present(text, None).await;
    let Ok(Caller::Grant(grant)) = let_in else { panic!("a grant was refused, or let somebody else in") };
    assert_eq!((grant.id(), grant.tenants(), grant.until()), (key.id, 3, end));
    assert_eq!(world.refusal(text, Some(&tenant.to_string())).await, Refusal::TenantMismatch);
    world.clock.advance(60_000);
    assert_eq!(world.refusal(text, None).await, Refusal::Unauthorized);
    world.clock.advance(-60_000);
    // One without an end, under another id, or of another kind.
    let operator = IndexedSubject::Operator { id: key.id, role: OperatorRole::Admin, name: "test".into() };
    for (subject, end) in
        [(subject(key.id), None), (subject(world.env.id()), Some(end)), (operator.clone(), Some(end))]
    {
        world.index(CredentialKind::VerifyGrant, text, subject, None, end);
        assert_eq!(world.refusal(text, None).await, Refusal::Unauthorized);
    }
    world.revoke(CredentialKind::VerifyGrant, text);
    for kind in [CredentialKind::OperatorKey, CredentialKind::ApiKey] {
        world.index(kind, text, operator.clone(), None, None);
        assert_eq!(world.refusal(text, None).await, Refusal::Unauthorized);
    }
}

#[tokio::test]
async fn every_key_of_a_throwaway_tenant_ends_with_its_grant() {
    let world = World::new();
    let tenant = world.tenant();
    let (key, hook) = (world.api_key(tenant), world.hook(tenant));
    let end = world.env.now().plus(std::time::Duration::from_secs(60));
    world.ends(tenant, end);
    world.admission(key.text.expose()).await;
    world.clock.advance(60_000);
    assert_eq!(world.refusal(key.text.expose(), None).await, Refusal::Unauthorized);
    let facts = RequestFacts::internal(world.env.id());
    assert!(matches!(
        world.authenticator.admit_hook(hook.0.expose(), facts.clone()).await,
        Err(Refusal::Unauthorized)
    ));
    let run =
        world.authenticator.admit_system(SystemPrincipal::LeaseExpiry, tenant, None, facts.clone()).await;
    assert!(matches!(run, Err(Refusal::Unauthorized)));
    // The operator still takes it away.
    let erased = world.authenticator.admit_system(SystemPrincipal::OperatorAction, tenant, None, facts).await;
    assert!(erased.is_ok());
}
