//! Cases about objects: versions, reach and lists.

use crate::samples::{agent, commit, id};
use crate::{Backend, Store, World, out, page};
use authz::{Role, Scopes};
use context::{Create, Delete, Read, Tenant, Update, on};
use ids::{AgentId, KeyId};
use store::{Agent, ApiKeyRecord, Commit, Objects, PageRequest, StoreError};

async fn create<S: Objects>(
    store: &S,
    tenant: &Tenant<'_>,
    number: u8,
    name: &str,
) -> Result<u64, StoreError> {
    let access = tenant.authorize::<Create<on::Agent>>().unwrap();
    store.create(&access, &agent(number, name), commit(tenant, name)).await
}

async fn get<S: Objects>(store: &S, tenant: &Tenant<'_>, number: u8) -> Result<(Agent, u64), StoreError> {
    let access = tenant.authorize::<Read<on::Agent>>().unwrap();
    let found = store.get::<Agent>(&access, &id::<AgentId>(number).to_string()).await?;
    Ok(out(tenant, found))
}

async fn names<S: Objects>(
    store: &S,
    tenant: &Tenant<'_>,
    request: PageRequest,
) -> Result<(Vec<String>, Option<String>), StoreError> {
    let access = tenant.authorize::<Read<on::Agent>>().unwrap();
    let found = out(tenant, store.list::<Agent>(&access, &request).await?);
    Ok((found.data.into_iter().map(|(agent, _)| agent.name).collect(), found.next_cursor))
}

pub async fn kept_for_its_tenant_alone<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world.visit(tenant, async |tenant| create(world.store(), &tenant, 1, word).await).await.unwrap();
    }
    world.visit(world.one, async |tenant| create(world.store(), &tenant, 2, "anna").await).await.unwrap();
    for (tenant, word) in world.tenants() {
        let found = world.visit(tenant, async |tenant| get(world.store(), &tenant, 1).await).await.unwrap();
        assert_eq!(found, (agent(1, word), 1));
    }
    world
        .visit(world.two, async |tenant| {
            assert_eq!(get(world.store(), &tenant, 2).await, Err(StoreError::NotFound));
            let access = tenant.authorize::<Delete<on::Agent>>().unwrap();
            let gone = async |number| {
                let id = id::<AgentId>(number).to_string();
                world.store().remove::<Agent>(&access, &id, None, Commit::default()).await
            };
            assert_eq!(gone(2).await, Err(StoreError::NotFound));
            assert_eq!(gone(1).await, Ok(()));
            assert_eq!(gone(1).await, Err(StoreError::NotFound));
        })
        .await;
    let kept =
        world.visit(world.one, async |tenant| names(world.store(), &tenant, page(9, None)).await).await;
    assert_eq!(kept.unwrap(), (vec!["anna".to_owned(), "anna".to_owned()], None));
}

pub async fn versions_count<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Update<on::Agent>>().unwrap();
                let put = async |name: &str, expected| {
                    world.store().put(&access, &agent(1, name), expected, Commit::default()).await
                };
                assert_eq!(put(word, Some(3)).await, Err(StoreError::Stale));
                assert_eq!(put(word, Some(0)).await, Ok(1));
                let twice = create(world.store(), &tenant, 1, "other").await;
                assert!(matches!(twice, Err(StoreError::Exists(_))), "{twice:?}");
                assert_eq!(put("second", Some(1)).await, Ok(2));
                assert_eq!(put("late", Some(1)).await, Err(StoreError::Stale));
                assert_eq!(put(word, None).await, Ok(3));
                assert_eq!(get(world.store(), &tenant, 1).await, Ok((agent(1, word), 3)));
            })
            .await;
    }
}

pub async fn removed_at_its_version_alone<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let (store, access) = (world.store(), tenant.authorize::<Update<on::Agent>>().unwrap());
                create(store, &tenant, 1, word).await.unwrap();
                store.put(&access, &agent(1, "second"), Some(1), Commit::default()).await.unwrap();
                let before = log_size(store, &tenant).await;
                for late in [1, 3, 0] {
                    assert_eq!(remove(store, &tenant, Some(late)).await, Err(StoreError::Stale), "{late}");
                }
                assert_eq!(get(store, &tenant, 1).await, Ok((agent(1, "second"), 2)));
                assert_eq!(log_size(store, &tenant).await, before, "what is refused leaves no event");
                assert_eq!(remove(store, &tenant, Some(2)).await, Ok(()));
                assert_eq!(remove(store, &tenant, Some(2)).await, Err(StoreError::NotFound));
            })
            .await;
    }
}

async fn log_size<S: Store>(store: &S, tenant: &Tenant<'_>) -> u64 {
    crate::audit_trail::checkpoint(store, tenant).await.checkpoint().size
}

async fn remove<S: Objects>(store: &S, tenant: &Tenant<'_>, expected: Option<u64>) -> Result<(), StoreError> {
    let access = tenant.authorize::<Delete<on::Agent>>().unwrap();
    let id = id::<AgentId>(1).to_string();
    store.remove::<Agent>(&access, &id, expected, commit(tenant, "removed")).await
}

pub async fn either_changed_or_removed_also_at_once<B: Backend>(world: World<B>) {
    world
        .visit(world.one, async |tenant| {
            let (store, access) = (world.store(), tenant.authorize::<Update<on::Agent>>().unwrap());
            for round in 0..10 {
                create(store, &tenant, 1, "anna").await.unwrap();
                let changed = agent(1, "changed");
                let change = store.put(&access, &changed, Some(1), Commit::default());
                let removal = remove(store, &tenant, Some(1));
                let (changed, removed) = if round % 2 == 0 {
                    tokio::join!(change, removal)
                } else {
                    let (removed, changed) = tokio::join!(removal, change);
                    (changed, removed)
                };
                // Whoever came later finds that it is no longer what it looked at.
                match (changed, removed) {
                    (Ok(2), Err(StoreError::Stale)) => remove(store, &tenant, Some(2)).await.unwrap(),
                    (Err(StoreError::Stale), Ok(())) => {}
                    both => panic!("{both:?}"),
                }
            }
        })
        .await;
}

fn key(of: KeyId, name: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id: of,
        name: name.into(),
        role: Role::Viewer,
        scopes: Scopes::everything(),
        agent: None,
        created_by: "test".into(),
        created_at: crate::samples::NOW,
        expires_at: None,
        revoked_at: None,
    }
}

pub async fn own_reach_sees_its_own<B: Backend>(world: World<B>) {
    let viewer = world.with_role(world.one, Role::Viewer).await;
    let own = viewer.clone().enter(async |tenant| tenant.principal().key).await.unwrap();
    let other = id::<KeyId>(7);
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Create<on::ApiKey>>().unwrap();
                for of in [own, other] {
                    world.store().create(&access, &key(of, word), Commit::default()).await.unwrap();
                }
            })
            .await;
    }
    viewer
        .enter(async |tenant| {
            let read = tenant.authorize::<Read<on::ApiKey>>().unwrap();
            let listed = world.store().list::<ApiKeyRecord>(&read, &page(50, None)).await.unwrap();
            let listed: Vec<_> = out(&tenant, listed).data.into_iter().map(|(key, _)| key).collect();
            assert_eq!(listed, [key(own, "anna")]);
            let get = world.store().get::<ApiKeyRecord>(&read, &other.to_string()).await;
            assert_eq!(get.err(), Some(StoreError::NotFound));
            let delete = tenant.authorize::<Delete<on::ApiKey>>().unwrap();
            let remove = async |of: KeyId| {
                world.store().remove::<ApiKeyRecord>(&delete, &of.to_string(), None, Commit::default()).await
            };
            assert_eq!(remove(other).await, Err(StoreError::NotFound));
            assert_eq!(remove(own).await, Ok(()));
        })
        .await;
    world
        .visit(world.two, async |tenant| {
            let read = tenant.authorize::<Read<on::ApiKey>>().unwrap();
            let kept = world.store().get::<ApiKeyRecord>(&read, &own.to_string()).await.unwrap();
            assert_eq!(out(&tenant, kept).0, key(own, "bert"));
        })
        .await;
}

pub async fn pages_go_on_where_they_stopped<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                for number in [10, 20, 30, 40, 50] {
                    create(world.store(), &tenant, number, &format!("{word}{number}")).await.unwrap();
                }
            })
            .await;
    }
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let named = |numbers: &[u8]| -> Vec<_> {
                    numbers.iter().map(|number| format!("{word}{number}")).collect()
                };
                let (first, cursor) = names(store, &tenant, page(2, None)).await.unwrap();
                assert_eq!(first, named(&[10, 20]));
                // What comes to be before the place is not repeated, what comes after it is seen.
                create(store, &tenant, 15, &format!("{word}15")).await.unwrap();
                create(store, &tenant, 35, &format!("{word}35")).await.unwrap();
                let (second, cursor) = names(store, &tenant, page(3, cursor)).await.unwrap();
                assert_eq!(second, named(&[30, 35, 40]));
                let (third, end) = names(store, &tenant, page(3, cursor)).await.unwrap();
                assert_eq!((third, end), (named(&[50]), None));
                let (whole, end) = names(store, &tenant, page(7, None)).await.unwrap();
                assert_eq!((whole.len(), end), (7, None));
                let (least, _) = names(store, &tenant, page(0, None)).await.unwrap();
                assert_eq!(least, named(&[10]));
            })
            .await;
    }
}

pub async fn cursors_open_their_own_list_alone<B: Backend>(world: World<B>) {
    let mut cursors = Vec::new();
    for (tenant, word) in world.tenants() {
        let cursor = world
            .visit(tenant, async |tenant| {
                for number in [1, 2, 3] {
                    create(world.store(), &tenant, number, word).await.unwrap();
                }
                names(world.store(), &tenant, page(1, None)).await.unwrap().1
            })
            .await;
        cursors.push(cursor.unwrap());
    }
    let [of_one, of_two] = cursors.try_into().unwrap();
    world
        .visit(world.one, async |tenant| {
            for cursor in [&of_two, "", "0", &of_one[1..], &format!("{of_one}A")] {
                let refused = names(world.store(), &tenant, page(1, Some((*cursor).to_owned()))).await;
                assert!(matches!(refused, Err(StoreError::Invalid(_))), "{cursor}: {refused:?}");
            }
            let access = tenant.authorize::<Read<on::ApiKey>>().unwrap();
            let other = world.store().list::<ApiKeyRecord>(&access, &page(1, Some(of_one.clone()))).await;
            assert!(matches!(other.err(), Some(StoreError::Invalid(_))));
            assert_eq!(names(world.store(), &tenant, page(1, Some(of_one))).await.unwrap().0, ["anna"]);
        })
        .await;
}
