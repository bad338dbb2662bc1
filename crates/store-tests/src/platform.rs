//! The platform store.

use crate::samples::id;
use crate::{Backend, World};
use context::{CredentialIndex, IndexedSubject, KeyedHash, TenantStatus};
use futures::future::join_all;
use ids::{HookId, KeyId, TemplateId, TenantId, WorkflowId};
use metering::plan::{Limits, Overrides, Plan, WithoutSharedLimits};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Endpoint, Isolation, OperatorStore, PlatformStore, StoreError, TenantRow};

pub async fn tenants_are_made_once<B: Backend>(world: World<B>) {
    let row = world.store().tenant(&world.operator, world.one).await.unwrap();
    assert_eq!(row, world.row(world.one, None));
    let third = world.env().id::<TenantId>();
    assert_eq!(world.store().tenant(&world.operator, third).await, Err(StoreError::NotFound));
    assert_eq!(world.create(third, Some("customer 3")).await, Ok(()));
    // Neither an id nor an external id can be had twice, and whoever tries harms nobody.
    for (id, external_id) in [(third, None), (world.one, None), (world.env().id(), Some("customer 3"))] {
        let twice = world.create(id, external_id).await;
        assert!(matches!(twice, Err(StoreError::Exists(_))), "{twice:?}");
    }
    let many = join_all((0..4).map(|_| world.create(world.env().id(), Some("customer 4")))).await;
    assert_eq!(many.iter().filter(|made| made.is_ok()).count(), 1, "{many:?}");
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                crate::audit_trail::append(world.store(), &tenant, &[word]).await;
                let events = crate::audit_trail::verified(world.store(), &tenant, None).await.events;
                assert_eq!(events, crate::audit_trail::FIRST + 1);
            })
            .await;
    }
}

pub async fn a_stale_change_is_refused<B: Backend>(world: World<B>) {
    let store = world.store();
    let row = store.tenant(&world.operator, world.one).await.unwrap();
    let named = TenantRow { name: "Other".into(), external_id: Some("c".into()), ..row.clone() };
    let changed = store.update_tenant(&world.operator, named.clone()).await.unwrap();
    assert_eq!(changed, TenantRow { version: 2, ..named });
    assert_eq!(store.tenant(&world.operator, world.one).await, Ok(changed.clone()));
    assert_eq!(store.update_tenant(&world.operator, row).await, Err(StoreError::Stale));
    let second = store.tenant(&world.operator, world.two).await.unwrap();
    let same = TenantRow { external_id: Some("c".into()), ..second.clone() };
    let refused = store.update_tenant(&world.operator, same).await;
    assert!(matches!(refused, Err(StoreError::Exists(_))), "{refused:?}");
    assert_eq!(store.tenant(&world.operator, world.two).await, Ok(second));
    let suspended = TenantRow { status: TenantStatus::Suspended, ..changed };
    store.update_tenant(&world.operator, suspended).await.unwrap();
    assert_eq!(store.standing(world.one).await.unwrap().unwrap().status, TenantStatus::Suspended);
    assert_eq!(store.standing(world.two).await.unwrap().unwrap().status, TenantStatus::Active);
    let missing = world.row(world.env().id(), None);
    assert_eq!(store.update_tenant(&world.operator, missing).await, Err(StoreError::NotFound));
}

pub async fn regions_and_plans_are_checked<B: Backend>(world: World<B>) {
    let store = world.store();
    let row = store.tenant(&world.operator, world.one).await.unwrap();
    let moved = TenantRow { region: "elsewhere".parse().unwrap(), ..row.clone() };
    let planless = TenantRow { plan: "unheard-of".parse().unwrap(), ..row.clone() };
    for refused in [moved, planless.clone()] {
        let answer = store.update_tenant(&world.operator, refused).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    let planless = TenantRow { id: world.env().id(), ..planless };
    let made = store.create_tenant(&world.operator, world.new_tenant(planless)).await;
    assert!(matches!(made, Err(StoreError::Invalid(_))), "{made:?}");
    assert_eq!(store.tenant(&world.operator, world.one).await, Ok(row));
}

pub async fn an_isolation_is_offered_and_stays<B: Backend>(world: World<B>) {
    let store = world.store();
    let offered = store.isolations();
    assert!(offered.contains(&B::ISOLATION));
    let row = store.tenant(&world.operator, world.one).await.unwrap();
    for isolation in Isolation::ALL.into_iter().filter(|isolation| *isolation != B::ISOLATION) {
        let moved = store.update_tenant(&world.operator, TenantRow { isolation, ..row.clone() }).await;
        assert!(matches!(moved, Err(StoreError::Invalid(_))), "{moved:?}");
        if !offered.contains(&isolation) {
            let other = TenantRow { isolation, ..world.row(world.env().id(), None) };
            let made = store.create_tenant(&world.operator, world.new_tenant(other)).await;
            assert_eq!(made, Err(StoreError::IsolationUnavailable), "{isolation}");
        }
    }
    assert_eq!(store.tenant(&world.operator, world.one).await, Ok(row));
}

pub async fn plans_hold_from_the_next_request_on<B: Backend>(world: World<B>) {
    let store = world.store();
    let ai_calls = async |tenant| store.standing(tenant).await.unwrap().unwrap().limits.ai_calls_per_hour;
    assert_eq!((ai_calls(world.one).await, ai_calls(world.two).await), (Some(100), Some(100)));
    let starter = "starter".parse().unwrap();
    let limits = Limits {
        ai_calls_per_hour: Some(7),
        without_shared_limits: WithoutSharedLimits::LocalShare,
        ..store.plan(&starter).await.unwrap().limits
    };
    let plan = Plan {
        name: starter.clone(),
        limits,
        isolation: Some("schema".parse().unwrap()),
        pool: Some("gold".parse().unwrap()),
    };
    store.put_plan(&world.operator, plan.clone()).await.unwrap();
    assert_eq!(store.plan(&starter).await, Ok(plan));
    let pool = async |tenant| store.standing(tenant).await.unwrap().unwrap().pool;
    assert_eq!(pool(world.one).await, Some("gold".parse().unwrap()));
    assert_eq!(store.plan(&"unheard-of".parse().unwrap()).await, Err(StoreError::NotFound));
    let row = store.tenant(&world.operator, world.two).await.unwrap();
    let overrides = Overrides { ai_calls_per_hour: Some(None), ..row.overrides };
    store.update_tenant(&world.operator, TenantRow { overrides, ..row }).await.unwrap();
    assert_eq!((ai_calls(world.one).await, ai_calls(world.two).await), (Some(7), None));
    let own = Plan { name: "own".parse().unwrap(), limits: Limits::default(), isolation: None, pool: None };
    store.put_plan(&world.operator, own).await.unwrap();
    let row = store.tenant(&world.operator, world.one).await.unwrap();
    store.update_tenant(&world.operator, TenantRow { plan: "own".parse().unwrap(), ..row }).await.unwrap();
    assert_eq!((ai_calls(world.one).await, pool(world.one).await), (None, None));
}

pub async fn templates_count_versions<B: Backend>(world: World<B>) {
    let store = world.store();
    let now = world.env().now();
    let publish = async |number, name: &str, text: &str| {
        let name = name.parse().unwrap();
        let id = id::<TemplateId>(number);
        store.publish_template(&world.operator, id, &name, text.into(), now).await.unwrap()
    };
    let first = publish(1, "triage", "one").await;
    let second = publish(2, "triage", "two").await;
    let other = publish(3, "digest", "three").await;
    assert_eq!((first.version, second.version, other.version), (1, 2, 1));
    assert_eq!((first.id, second.id), (id(1), id(1)));
    let triage = "triage".parse().unwrap();
    assert_eq!(store.template(&triage, None).await, Ok(second.clone()));
    assert_eq!(store.template(&triage, Some(1)).await, Ok(first));
    assert_eq!(store.template(&triage, Some(3)).await, Err(StoreError::NotFound));
    assert_eq!(store.template(&"none".parse().unwrap(), None).await, Err(StoreError::NotFound));
    assert_eq!(store.templates(None, 50).await, Ok(vec![other.clone(), second.clone()]));
    assert_eq!(store.templates(None, 1).await, Ok(vec![other.clone()]));
    assert_eq!(store.templates(Some(&other.name), 50).await, Ok(vec![second.clone()]));
    assert_eq!(store.withdraw_template(&world.operator, &other.name).await, Ok(()));
    assert_eq!(store.withdraw_template(&world.operator, &other.name).await, Err(StoreError::NotFound));
    assert_eq!(store.templates(None, 50).await, Ok(vec![second]));
}

pub async fn endpoints_are_listed_by_name<B: Backend>(world: World<B>) {
    let endpoint = |name: &str, url: &str| Endpoint {
        name: name.parse().unwrap(),
        url: url.into(),
        dialect: "openai".into(),
        models: vec!["small".into()],
        sealed_api_key: None,
        tenant_credential: None,
        region: None,
        prices: BTreeMap::new(),
        max_output_tokens: Some(100),
    };
    let store = world.store();
    assert!(store.endpoints().await.unwrap().is_empty());
    for (name, url) in [("b", "https://b"), ("a", "https://a"), ("b", "https://b2")] {
        store.put_endpoint(&world.operator, endpoint(name, url)).await.unwrap();
    }
    let expected = [endpoint("a", "https://a"), endpoint("b", "https://b2")];
    assert_eq!(*store.endpoints().await.unwrap(), expected.map(Arc::new));
}

pub async fn credentials_are_found_until_revoked<B: Backend>(world: World<B>) {
    let store = world.store();
    let hook = |number| IndexedSubject::Hook { id: id::<HookId>(number), workflow: id::<WorkflowId>(1) };
    let end = world.env().now().plus(std::time::Duration::from_secs(60));
    // The same subject id in both tenants: revoking is one tenant's business.
    for ((tenant, _), hash) in world.tenants().into_iter().zip([[1; 32], [2; 32]]) {
        world
            .visit(tenant, async |tenant| {
                store.index_credential(&tenant, KeyedHash(hash), hook(1), Some(end)).await.unwrap();
            })
            .await;
    }
    let found = store.find(&KeyedHash([1; 32])).await.unwrap().unwrap();
    assert_eq!((found.subject, found.expires_at), (hook(1), Some(end)));
    assert_eq!(found.tenant.unwrap().id, world.one);
    assert!(store.find(&KeyedHash([9; 32])).await.unwrap().is_none());
    let revoke = async |tenant| {
        let subject = id::<HookId>(1).to_string();
        world.visit(tenant, async |tenant| store.revoke_credential(&tenant, &subject).await).await.unwrap();
    };
    revoke(world.two).await;
    assert!(store.find(&KeyedHash([2; 32])).await.unwrap().is_none());
    assert!(store.find(&KeyedHash([1; 32])).await.unwrap().is_some());
    revoke(world.one).await;
    assert!(store.find(&KeyedHash([1; 32])).await.unwrap().is_none());

    assert!(!store.has_operators().await.unwrap());
    assert!(store.add_first_operator(KeyedHash([5; 32]), id(5), "first").await.unwrap());
    assert!(store.has_operators().await.unwrap());
    assert!(store.find(&KeyedHash([5; 32])).await.unwrap().unwrap().tenant.is_none());
    assert!(!store.add_first_operator(KeyedHash([6; 32]), id(6), "second").await.unwrap());
    assert!(store.find(&KeyedHash([6; 32])).await.unwrap().is_none());
}

pub async fn last_uses_are_a_tenants_own<B: Backend>(world: World<B>) {
    let store = world.store();
    let key = id::<KeyId>(3);
    for ((tenant, _), hash) in world.tenants().into_iter().zip([[1; 32], [2; 32]]) {
        world
            .visit(tenant, async |tenant| {
                let scopes = authz::Scopes::everything();
                let subject =
                    IndexedSubject::ApiKey { id: key, role: authz::Role::Viewer, scopes, agent: None };
                store.index_credential(&tenant, KeyedHash(hash), subject, None).await.unwrap();
                assert!(store.last_uses(&tenant).await.unwrap().is_empty());
            })
            .await;
    }
    store.find(&KeyedHash([1; 32])).await.unwrap();
    for (tenant, uses) in [(world.one, 1), (world.two, 0)] {
        let found = world.visit(tenant, async |tenant| store.last_uses(&tenant).await.unwrap()).await;
        assert_eq!(found.len(), uses);
        assert!(found.values().all(|at| at.millis() == world.env().now().millis() / 60_000 * 60_000));
    }
}

pub async fn tenants_are_listed_in_pages<B: Backend>(world: World<B>) {
    for _ in 0..3 {
        world.create(world.env().id(), None).await.unwrap();
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let rows = world.store().tenants(&world.operator, after, 2).await.unwrap();
        assert!(rows.len() <= 2);
        after = rows.last().map(|row| row.id);
        all.extend(rows.iter().map(|row| row.id));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted() && all.contains(&world.one) && all.contains(&world.two));
}
