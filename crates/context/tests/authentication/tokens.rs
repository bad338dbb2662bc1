//! Tokens that tenants mint: whom a good one lets in, and what it takes to be one.

use crate::mint::{Minter, Minting, NOW};
use crate::world::AUDIENCE;
use audit::event::AuthMethod;
use authz::{Rights, Role, Scope, Scopes};
use context::{CredentialKind, PrincipalKind, Refusal, TenantStatus};
use serde_json::json;

fn minting() -> Minting {
    Minting::new(Minter::ed25519(1), Role::Developer)
}

#[tokio::test]
async fn a_token_lets_in_whom_it_names() {
    let minting = minting();
    let token = minting.token(json!({}), json!({"role": "member", "scope": "records:read ai:invoke"}));
    let admission = minting.world.admission(&token).await;
    admission
        .enter(async |tenant| {
            let principal = tenant.principal();
            assert_eq!(tenant.id(), minting.tenant);
            assert_eq!((principal.kind, principal.auth), (PrincipalKind::User, AuthMethod::Jwt));
            assert_eq!((principal.id.as_str(), principal.key), ("ada@example.com", None));
            let scopes: Scopes =
                ["records:read", "ai:invoke"].iter().map(|it| it.parse::<Scope>().unwrap()).collect();
            assert_eq!(*tenant.rights(), Rights::Granted { role: Role::Member, scopes });
            assert!(!format!("{tenant:?}").contains("ada@"), "a user's address stays out of logs");
        })
        .await;
    assert!(minting.world.failures().is_empty());
}

#[tokio::test]
async fn rsa_tokens_are_as_good() {
    let minting = Minting::new(Minter::rsa(2048), Role::Owner);
    assert!(minting.admits(json!({})).await);
    let mut token = minting.token(json!({}), json!({}));
    let last = if token.ends_with('A') { 'Q' } else { 'A' };
    token.pop();
    token.push(last);
    assert_eq!(minting.world.refusal(&token, None).await, Refusal::Unauthorized);
    let small = Minting::new(Minter::rsa(1024), Role::Owner);
    assert!(!small.admits(json!({})).await, "a key that is too short checks nothing");
}

#[tokio::test]
async fn without_a_subject_the_holder_of_the_key_speaks() {
    let minting = minting();
    let admission = minting.world.admission(&minting.token(json!({}), json!({"sub": null}))).await;
    let (kind, id) =
        admission.enter(async |tenant| (tenant.principal().kind, tenant.principal().id.clone())).await;
    assert_eq!((kind, id), (PrincipalKind::ServiceKey, minting.kid.to_string()));
}

#[tokio::test]
async fn a_token_holds_for_an_hour_at_most() {
    let minting = minting();
    for (good, claims) in [
        (true, json!({"exp": NOW + 3600})),
        (true, json!({"iat": NOW - 3599, "exp": NOW + 1})),
        (true, json!({"iat": null, "exp": NOW + 3600})),
        (true, json!({"iat": NOW + 60, "exp": NOW + 3660})),
        (true, json!({"nbf": NOW + 60})),
        (true, json!({"exp": NOW as f64 + 599.5, "iat": NOW as f64 - 0.5})),
        (false, json!({"exp": NOW + 3601})),
        (false, json!({"iat": NOW - 3600, "exp": NOW + 1})),
        (false, json!({"iat": null, "exp": NOW + 3601})),
        (false, json!({"iat": NOW + 61})),
        (false, json!({"nbf": NOW + 61})),
        (false, json!({"exp": NOW})),
        (false, json!({"exp": NOW - 1, "iat": NOW - 600})),
        (false, json!({"exp": NOW + 10, "iat": NOW + 20})),
        (false, json!({"exp": null})),
        (false, json!({"exp": i64::MAX})),
        (false, json!({"exp": u64::MAX})),
        (false, json!({"exp": 1e300})),
        (false, json!({"iat": i64::MIN})),
        (false, json!({"exp": (NOW + 600).to_string()})),
        (false, json!({"iat": "yesterday"})),
        (false, json!({"nbf": true})),
    ] {
        assert_eq!(minting.admits(claims.clone()).await, good, "{claims}");
    }
}

#[tokio::test]
async fn a_token_is_this_tenants_for_this_server() {
    let minting = minting();
    let other = minting.world.tenant();
    for (good, claims) in [
        (true, json!({"aud": [AUDIENCE]})),
        (true, json!({"aud": ["https://elsewhere.example", AUDIENCE]})),
        (false, json!({"aud": "https://elsewhere.example"})),
        (false, json!({"aud": format!("{AUDIENCE}/")})),
        (false, json!({"aud": []})),
        (false, json!({"aud": null})),
        (false, json!({"aud": 1})),
        (false, json!({"iss": other})),
        (false, json!({"tenant": other})),
        (false, json!({"iss": other, "tenant": other})),
        (false, json!({"iss": null})),
        (false, json!({"tenant": null})),
        (false, json!({"iss": [minting.tenant]})),
        (false, json!({"tenant": minting.tenant.to_string().to_lowercase()})),
    ] {
        assert_eq!(minting.admits(claims.clone()).await, good, "{claims}");
    }
}

#[tokio::test]
async fn a_token_gives_no_more_than_its_key_may() {
    let minting = minting();
    for (good, claims) in [
        (true, json!({"role": "developer"})),
        (true, json!({"role": "viewer"})),
        (true, json!({"scope": ""})),
        (true, json!({"scope": "records:* runs:content"})),
        (false, json!({"role": "owner"})),
        (false, json!({"role": "admin"})),
        (false, json!({"role": "root"})),
        (false, json!({"role": "Viewer"})),
        (false, json!({"scope": "records:fly"})),
        (false, json!({"scope": "records:read spaceships:read"})),
        (false, json!({"scope": ["records:read"]})),
    ] {
        assert_eq!(minting.admits(claims.clone()).await, good, "{claims}");
    }
    let plain = minting.world.admission(&minting.token(json!({}), json!({}))).await;
    let rights = plain.enter(async |tenant| tenant.rights().clone()).await;
    let (role, scopes) = (Role::Developer, Scopes::everything());
    assert_eq!(rights, Rights::Granted { role, scopes }, "what the token does not narrow, its key grants");
    let nothing = minting.world.admission(&minting.token(json!({}), json!({"scope": ""}))).await;
    let rights = nothing.enter(async |tenant| tenant.rights().clone()).await;
    let (role, scopes) = (Role::Developer, Scopes::from_iter([]));
    assert_eq!(rights, Rights::Granted { role, scopes }, "no scope is not every scope");
}

#[tokio::test]
async fn a_user_cannot_be_called_like_another_kind_of_principal() {
    let minting = minting();
    let env = &minting.world.env;
    let key = minting.world.api_key(minting.tenant).id;
    for (good, name) in [
        (true, "key_account_manager".to_owned()),
        (true, env.id::<ids::UserId>().to_string()),
        (true, "日本".into()),
        (true, "x".repeat(255)),
        (false, key.to_string()),
        (false, minting.kid.to_string()),
        (false, env.id::<ids::AgentId>().to_string()),
        (false, env.id::<ids::HookId>().to_string()),
        (false, "run_execution".into()),
        (false, String::new()),
        (false, "x".repeat(256)),
        (false, "ada\nlevel=error".into()),
        (false, "ada\u{1b}[2J".into()),
    ] {
        assert_eq!(minting.admits(json!({"sub": name})).await, good, "{name:?}");
    }
    assert!(!minting.admits(json!({"sub": 7})).await);
}

#[tokio::test]
async fn revoking_and_suspending_hold_for_tokens_too() {
    let minting = minting();
    let (world, token) = (&minting.world, minting.token(json!({}), json!({})));
    let other = world.tenant();
    assert_eq!(world.refusal(&token, Some(&other.to_string())).await, Refusal::TenantMismatch);
    assert!(world.present(&token, Some(&minting.tenant.to_string())).await.is_ok());
    world.set_status(minting.tenant, TenantStatus::Suspended);
    assert_eq!(world.refusal(&token, None).await, Refusal::Suspended);
    world.set_status(minting.tenant, TenantStatus::Deleting);
    assert_eq!(world.refusal(&token, None).await, Refusal::Unauthorized);
    world.set_status(minting.tenant, TenantStatus::Active);
    world.clock.advance(600_000);
    assert_eq!(world.refusal(&token, None).await, Refusal::Unauthorized);
    world.clock.advance(-600_000);
    world.admission(&token).await;
    world.revoke(CredentialKind::SigningKey, &minting.kid.to_string());
    assert_eq!(world.refusal(&token, None).await, Refusal::Unauthorized);
    assert!(world.failures().iter().all(|(_, claimed, _)| claimed.is_none()));
}
