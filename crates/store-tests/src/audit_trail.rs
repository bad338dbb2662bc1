//! The audit log.

use crate::samples::{commit, draft, id, record};
use crate::{Backend, Store, World, out, page};
use audit::event::{ActorKind, ActorRef, AuthMethod, Draft};
use audit::export::{Report, Trust, checkpoint_line, verify_export, verify_inclusion};
use audit::note::{SignedCheckpoint, VerifierKey};
use context::{Create, Read, Tenant, on};
use futures::future::join_all;
use serde_json::json;
use store::{AuditEvent, AuditQuery, AuditTrail, Commit, Erasure, RecordStore, StoreError};

/// How many events a new tenant's log begins with.
pub const FIRST: u64 = 2;

pub async fn list<S: Store>(
    store: &S,
    tenant: &Tenant<'_>,
    query: &AuditQuery,
    limit: u32,
    cursor: Option<String>,
) -> Result<(Vec<AuditEvent>, Option<String>), StoreError> {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    let found = out(tenant, store.events(&access, query, &page(limit, cursor)).await?);
    Ok((found.data, found.next_cursor))
}

pub async fn key<S: Store>(store: &S, tenant: &Tenant<'_>) -> VerifierKey {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    out(tenant, store.verifier_key(&access).await.unwrap()).parse().unwrap()
}

/// A checkpoint over the whole log, its signature checked.
pub async fn checkpoint<S: Store>(store: &S, tenant: &Tenant<'_>) -> SignedCheckpoint {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    let text = out(tenant, store.checkpoint(&access).await.unwrap());
    SignedCheckpoint::open(&text, &key(store, tenant).await).unwrap()
}

/// The log as a file.
pub async fn export<S: Store>(store: &S, tenant: &Tenant<'_>) -> Vec<u8> {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    let (size, text) = out(tenant, store.checkpoint_with_size(&access).await.unwrap());
    let signed = SignedCheckpoint::open(&text, &key(store, tenant).await).unwrap();
    let (mut file, mut from) = (Vec::new(), 0);
    while from < size {
        let leaves = out(tenant, store.leaves(&access, from, 3).await.unwrap());
        for leaf in leaves.into_iter().take(usize::try_from(size - from).unwrap()) {
            file.extend(leaf);
            file.push(b'\n');
            from += 1;
        }
    }
    file.extend(checkpoint_line(&signed).into_bytes());
    file
}

/// Exports and verifies the log, which must have grown from the earlier checkpoint.
pub async fn verified<S: Store>(store: &S, tenant: &Tenant<'_>, earlier: Option<&str>) -> Report {
    let key = key(store, tenant).await;
    let file = export(store, tenant).await;
    let trust = Trust::new(&key);
    let trust = earlier.map_or(trust, |earlier| trust.earlier(earlier));
    verify_export(&*file, &trust).unwrap()
}

/// Appends events about these resources, each by itself.
pub async fn append<S: Store>(store: &S, tenant: &Tenant<'_>, resources: &[&str]) {
    for resource in resources {
        store.append_events(tenant, vec![draft(tenant, resource)]).await.unwrap();
    }
}

pub fn resources(events: &[AuditEvent]) -> Vec<&str> {
    events.iter().map(|event| event.view["resource"]["id"].as_str().unwrap()).collect()
}

pub async fn in_order_and_at_once<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let (first, _) = list(store, &tenant, &AuditQuery::default(), 50, None).await.unwrap();
                let actions: Vec<_> = first.iter().map(|event| event.view["action"].clone()).collect();
                assert_eq!(actions, [json!("key.create"), json!("tenant.create")]);
                let drafts = ["a", "b", "c"].map(|name| draft(&tenant, &format!("{word}-{name}")));
                let ids = store.append_events(&tenant, drafts.to_vec()).await.unwrap();
                let (events, _) = list(store, &tenant, &AuditQuery::default(), 3, None).await.unwrap();
                let shown: Vec<_> = events.iter().rev().map(|it| it.view["event_id"].clone()).collect();
                assert_eq!(shown, ids.iter().map(|id| json!(id)).collect::<Vec<_>>());
                let indexes: Vec<_> = events.iter().map(|event| event.index).collect();
                assert_eq!(indexes, [FIRST + 2, FIRST + 1, FIRST]);
                assert_eq!(resources(&events)[0], format!("{word}-c"));
                assert_eq!(events[0].view["tenant"], json!(tenant.id()));
                // Every append is seen by the next look.
                for number in 0..5 {
                    let name = format!("{word}-{number}");
                    append(store, &tenant, &[&name]).await;
                    let (newest, _) = list(store, &tenant, &AuditQuery::default(), 1, None).await.unwrap();
                    assert_eq!(resources(&newest), [name]);
                }
            })
            .await;
    }
}

pub async fn proofs_hold<B: Backend>(world: World<B>) {
    let mut keys = Vec::new();
    for (tenant, _) in world.tenants() {
        keys.push(world.visit(tenant, async |tenant| key(world.store(), &tenant).await).await);
    }
    for (at, (tenant, word)) in world.tenants().into_iter().enumerate() {
        world
            .visit(tenant, async |tenant| {
                let (store, key, other) = (world.store(), &keys[at], &keys[1 - at]);
                let access = tenant.authorize::<Read<on::Audit>>().unwrap();
                let mut earlier = Vec::new();
                for number in 0..9 {
                    earlier.push(checkpoint(store, &tenant).await);
                    append(store, &tenant, &[&format!("{word}{number}")]).await;
                }
                let size = FIRST + 9;
                for index in 0..size {
                    let proof = out(&tenant, store.prove_inclusion(&access, index).await.unwrap());
                    let holds = |key| {
                        verify_inclusion(&proof.leaf, index, &proof.hashes, &proof.checkpoint, key).is_ok()
                    };
                    assert!(holds(key) && !holds(other), "{index}");
                }
                for number in [size, size + 5, u64::from(u32::MAX)] {
                    let nothing = store.prove_inclusion(&access, number).await;
                    assert_eq!(nothing.err(), Some(StoreError::NotFound));
                }
                for signed in earlier {
                    let before = signed.checkpoint();
                    let (hashes, text) =
                        out(&tenant, store.prove_consistency(&access, before.size).await.unwrap());
                    let now = SignedCheckpoint::open(&text, key).unwrap();
                    assert_eq!(now.checkpoint().size, size);
                    now.checkpoint().verify_growth(before, &hashes).unwrap();
                    assert!(SignedCheckpoint::open(&text, other).is_err());
                }
                let beyond = store.prove_consistency(&access, size + 1).await;
                assert!(matches!(beyond.err(), Some(StoreError::Invalid(_))));
            })
            .await;
    }
}

pub async fn an_export_verifies<B: Backend>(world: World<B>) {
    let mut files = Vec::new();
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                append(world.store(), &tenant, &[word, word]).await;
                let earlier = checkpoint(world.store(), &tenant).await.note().to_string();
                append(world.store(), &tenant, &[word, word, word]).await;
                let report = verified(world.store(), &tenant, Some(&earlier)).await;
                assert_eq!((report.events, report.earlier), (FIRST + 5, Some(FIRST + 2)));
                assert_eq!(report.log.tenant, tenant.id());
                let file = export(world.store(), &tenant).await;
                assert!(!String::from_utf8(file.clone()).unwrap().contains("203.0.113"));
                files.push((file, key(world.store(), &tenant).await));
            })
            .await;
    }
    assert!(verify_export(&*files[0].0, &Trust::new(&files[1].1)).is_err());
}

pub async fn erased_values_break_no_proof<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let personal = |value: &str| {
                    let mut draft = draft(&tenant, word);
                    draft.personal.insert("email".into(), value.into());
                    draft.personal.insert("name".into(), value.into());
                    draft
                };
                let quoted = "a \"quoted\\\" one";
                let drafts = ["ada@example.com", "ada@example.com", "bob@example.com", quoted].map(personal);
                store.append_events(&tenant, drafts.to_vec()).await.unwrap();
            })
            .await;
    }
    let shown = async |tenant| {
        world
            .visit(tenant, async |tenant| {
                let (events, _) =
                    list(world.store(), &tenant, &AuditQuery::default(), 4, None).await.unwrap();
                let of = |event: &AuditEvent, name: &str| event.view["personal"][name].as_str().is_some();
                events.iter().rev().map(|it| (of(it, "email"), of(it, "name"))).collect::<Vec<_>>()
            })
            .await
    };
    let before = world
        .visit(world.one, async |tenant| {
            let earlier = checkpoint(world.store(), &tenant).await.note().to_string();
            let erase = async |value: &str| {
                let access = tenant.authorize().unwrap();
                let erasure = Erasure::Value(value.to_owned());
                world.store().erase_disclosures(&access, &erasure, Commit::default()).await.unwrap()
            };
            assert_eq!(erase("ada@example.com").await, 4);
            assert_eq!(erase("ada@example.com").await, 0);
            assert_eq!(erase("ada@example").await, 0);
            assert_eq!(erase("a \"quoted\\\" one").await, 2);
            earlier
        })
        .await;
    assert_eq!(shown(world.one).await, [(false, false), (false, false), (true, true), (false, false)]);
    assert_eq!(shown(world.two).await, [(true, true); 4]);
    world
        .visit(world.one, async |tenant| {
            append(world.store(), &tenant, &["later"]).await;
            assert_eq!(verified(world.store(), &tenant, Some(&before)).await.events, FIRST + 5);
        })
        .await;
}

/// A person's draft: signed in by a token of the tenant's, for another person.
fn of_a_person(tenant: &Tenant<'_>, who: &str) -> Draft {
    let mut draft = draft(tenant, "by a person");
    draft.actor.kind = ActorKind::User;
    draft.actor.auth = AuthMethod::Jwt;
    draft.actor.id = who.to_owned();
    draft.actor.on_behalf_of = vec![ActorRef { id: format!("boss of {who}"), kind: ActorKind::User }];
    draft
}

pub async fn people_can_be_erased_from_a_log<B: Backend>(world: World<B>) {
    let mut seen = Vec::new();
    for (tenant, _) in world.tenants() {
        let world = &world;
        let names = world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let drafts = ["ada@example.com", "bob@example.com", "ada@example.com"];
                let drafts = drafts.map(|who| of_a_person(&tenant, who));
                let ids = store.append_events(&tenant, drafts.to_vec()).await.unwrap();
                let earlier = checkpoint(store, &tenant).await.note().to_string();
                let by = async |actor: &str| {
                    let query = AuditQuery { actor: Some(actor.to_owned()), ..AuditQuery::default() };
                    list(store, &tenant, &query, 9, None).await.unwrap().0
                };
                let ada = by("ada@example.com").await;
                assert_eq!(ada.len(), 2);
                let name = ada[0].view["actor"]["id"].as_str().unwrap().to_owned();
                assert!(name.starts_with("usr_"), "{name}");
                assert_eq!(by(&name).await, ada);
                assert_eq!(ada[0].view["personal"]["subject"], "ada@example.com");
                assert_eq!(ada[0].view["personal"]["on_behalf_of"], "boss of ada@example.com");
                let access = tenant.authorize().unwrap();
                let erase = async |erasure: Erasure| {
                    store.erase_disclosures(&access, &erasure, commit(&tenant, "erased")).await.unwrap()
                };
                assert!(erase(Erasure::Event(ids[0])).await >= 2);
                assert_eq!(erase(Erasure::Event(ids[0])).await, 0);
                let missing = Erasure::Event(id(99));
                let missing = store.erase_disclosures(&access, &missing, Commit::default()).await;
                assert_eq!(missing, Err(StoreError::NotFound));
                assert!(erase(Erasure::Actor("ada@example.com".to_owned())).await >= 2);
                assert_eq!(erase(Erasure::Actor(name.clone())).await, 0);
                let left = list(store, &tenant, &AuditQuery::default(), 50, None).await.unwrap().0;
                let left =
                    serde_json::to_string(&left.iter().map(|it| &it.view).collect::<Vec<_>>()).unwrap();
                assert!(!left.contains("ada@example.com") && left.contains("bob@example.com"), "{left}");
                // The leaves never had it, and what was signed still holds.
                verified(store, &tenant, Some(&earlier)).await;
                assert_eq!(by("ada@example.com").await.len(), 2);
                name
            })
            .await;
        seen.push(names);
    }
    assert_ne!(seen[0], seen[1], "tenants call the same person by different names");
}

pub async fn a_failed_write_leaves_no_event<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Create<on::Record>>().unwrap();
                let create = async || {
                    let record = record(1, json!({"who": word}));
                    world.store().create_record(&access, record, commit(&tenant, word)).await.map(drop)
                };
                assert!(create().await.is_ok() && create().await.is_err());
                let (events, _) =
                    list(world.store(), &tenant, &AuditQuery::default(), 50, None).await.unwrap();
                assert_eq!(events.len() as u64, FIRST + 1);
            })
            .await;
    }
}

pub async fn a_bad_event_hurts_nobody_else<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Create<on::Record>>().unwrap();
                let tries = (1..=12_u8).map(|number| {
                    let mut event = draft(&tenant, word);
                    if number % 3 == 0 {
                        event.details.insert("half".into(), json!(0.5));
                    }
                    let record = record(number, json!({"who": word}));
                    world.store().create_record(&access, record, Commit::event(event))
                });
                for (number, answer) in (1..).zip(join_all(tries).await) {
                    let answer = answer.map(drop);
                    if number % 3 == 0 {
                        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{number}: {answer:?}");
                    } else {
                        assert_eq!(answer, Ok(()), "{number}");
                    }
                }
                assert_eq!(verified(world.store(), &tenant, None).await.events, FIRST + 8);
            })
            .await;
    }
}
