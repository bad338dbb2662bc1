//! Cases about records: changes, versions, pages and indexes.

use crate::samples::{commit, object, record, record_id};
use crate::{Backend, World, out, page};
use context::{Create, Delete, Read, Tenant, Update, on};
use ids::Slug;
use serde_json::{Value, json};
use store::{
    CollectionSettings, Commit, Filter, Page, Record, RecordChange, RecordQuery, RecordStore, Sort,
    StoreError,
};

pub fn contacts() -> Slug {
    "contacts".parse().unwrap()
}

pub async fn create<S: RecordStore>(
    store: &S,
    tenant: &Tenant<'_>,
    record: Record,
) -> Result<Record, StoreError> {
    let access = tenant.authorize::<Create<on::Record>>().unwrap();
    let commit = commit(tenant, &record.id.to_string());
    Ok(out(tenant, store.create_record(&access, record, commit).await?))
}

pub async fn get<S: RecordStore>(store: &S, tenant: &Tenant<'_>, number: u8) -> Result<Record, StoreError> {
    let access = tenant.authorize::<Read<on::Record>>().unwrap();
    Ok(out(tenant, store.record(&access, &contacts(), record_id(number)).await?))
}

pub async fn query<S: RecordStore>(
    store: &S,
    tenant: &Tenant<'_>,
    query: &RecordQuery,
) -> Result<Page<Record>, StoreError> {
    let access = tenant.authorize::<Read<on::Record>>().unwrap();
    Ok(out(tenant, store.records(&access, query).await?))
}

pub fn wanted(filter: &str, sort: Option<&str>, limit: u32, cursor: Option<String>) -> RecordQuery {
    RecordQuery {
        collection: contacts(),
        filter: Filter::parse(filter).unwrap(),
        sort: sort.map(|sort| Sort::parse(sort).unwrap()),
        page: page(limit, cursor),
    }
}

async fn change<S: RecordStore>(
    store: &S,
    tenant: &Tenant<'_>,
    change: RecordChange,
    expected: Option<u64>,
) -> Result<Record, StoreError> {
    let access = tenant.authorize::<Update<on::Record>>().unwrap();
    let later = crate::samples::NOW.plus(std::time::Duration::from_secs(1));
    let changed = store
        .change_record(&access, &contacts(), record_id(1), change, expected, later, Commit::default())
        .await?;
    Ok(out(tenant, changed))
}

pub async fn kept_for_its_tenant_alone<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let made = record(1, json!({"who": word}));
                assert_eq!(create(world.store(), &tenant, made.clone()).await.unwrap(), made);
                let twice = create(world.store(), &tenant, record(1, json!({}))).await;
                assert!(matches!(twice, Err(StoreError::Exists(_))), "{twice:?}");
            })
            .await;
    }
    let extra = record(2, json!({"who": "anna"}));
    world.visit(world.one, async |tenant| create(world.store(), &tenant, extra).await).await.unwrap();
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                assert_eq!(get(world.store(), &tenant, 1).await.unwrap().data, object(json!({"who": word})));
                let all = query(world.store(), &tenant, &wanted("", None, 50, None)).await.unwrap();
                assert!(all.data.iter().all(|record| record.data["who"] == word));
                let other_collection = "deals".parse().unwrap();
                let access = tenant.authorize::<Read<on::Record>>().unwrap();
                let found = world.store().record(&access, &other_collection, record_id(1)).await;
                assert_eq!(found.err(), Some(StoreError::NotFound));
            })
            .await;
    }
    world
        .visit(world.two, async |tenant| {
            assert_eq!(get(world.store(), &tenant, 2).await, Err(StoreError::NotFound));
            let access = tenant.authorize::<Delete<on::Record>>().unwrap();
            for (number, answer) in
                [(2, Err(StoreError::NotFound)), (1, Ok(())), (1, Err(StoreError::NotFound))]
            {
                let (collection, id) = (contacts(), record_id(number));
                let gone = world.store().delete_record(&access, &collection, id, None, Commit::default());
                assert_eq!(gone.await, answer);
            }
        })
        .await;
    assert!(world.visit(world.one, async |tenant| get(world.store(), &tenant, 1).await).await.is_ok());
}

pub async fn versions_count<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                create(store, &tenant, record(1, json!({"who": word}))).await.unwrap();
                let to = |value: Value| RecordChange::Replace(object(value));
                let second = change(store, &tenant, to(json!({"n": 2})), Some(1)).await.unwrap();
                assert_eq!(second.version, 2);
                assert!(second.updated_at > second.created_at);
                assert_eq!(change(store, &tenant, to(json!({})), Some(1)).await, Err(StoreError::Stale));
                assert_eq!(change(store, &tenant, to(json!({"n": 3})), None).await.unwrap().version, 3);
                let access = tenant.authorize::<Delete<on::Record>>().unwrap();
                let delete = async |expected| {
                    let id = record_id(1);
                    store.delete_record(&access, &contacts(), id, expected, Commit::default()).await
                };
                assert_eq!(delete(Some(2)).await, Err(StoreError::Stale));
                assert_eq!(get(store, &tenant, 1).await.unwrap().data, object(json!({"n": 3})));
                assert_eq!(delete(Some(3)).await, Ok(()));
                assert_eq!(change(store, &tenant, to(json!({})), None).await, Err(StoreError::NotFound));
            })
            .await;
    }
}

pub async fn merged_and_replaced<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let before = json!({"who": word, "keep": [1, 2], "deep": {"a": 1, "b": {"c": true}}});
                create(store, &tenant, record(1, before)).await.unwrap();
                let patch = json!({"keep": null, "deep": {"a": null, "b": {"d": "new"}, "e": {"f": null}}});
                let merged = change(store, &tenant, RecordChange::Merge(object(patch)), None).await.unwrap();
                let expected = json!({"who": word, "deep": {"b": {"c": true, "d": "new"}, "e": {}}});
                assert_eq!(merged.data, object(expected));
                assert_eq!(get(store, &tenant, 1).await.unwrap(), merged);
                let patch = RecordChange::Merge(object(json!({"deep": 5, "who": {"is": word}})));
                let merged = change(store, &tenant, patch, None).await.unwrap();
                assert_eq!(merged.data, object(json!({"who": {"is": word}, "deep": 5})));
            })
            .await;
    }
}

pub async fn a_fraction_comes_back_as_it_was<B: Backend>(world: World<B>) {
    // Fractions that a careless reading of decimal text gets wrong by the last bit.
    let numbers = json!([
        0.1,
        122.41629403378658,
        1.7976931348623157e308,
        5e-324,
        9007199254740993_i64,
        2.225073858507201e-308,
        51.24817837550540_4,
        -0.0,
        i64::MIN,
        u64::MAX
    ]);
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let made = record(1, json!({"who": word, "numbers": numbers}));
                create(world.store(), &tenant, made.clone()).await.unwrap();
                assert_eq!(get(world.store(), &tenant, 1).await.unwrap(), made);
            })
            .await;
    }
}

pub async fn pages_are_stable_under_inserts<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let add = async |number: u8, score: Value| {
                    let data = json!({"who": word, "score": score});
                    create(store, &tenant, record(number, data)).await.unwrap();
                };
                for (number, score) in [(1, json!(10)), (2, json!(20)), (3, json!(20)), (4, json!(30))] {
                    add(number, score).await;
                }
                let numbers = |page: &Page<Record>| -> Vec<u8> {
                    let number = |record: &Record| (0..=255).find(|it| record_id(*it) == record.id);
                    page.data.iter().map(|record| number(record).unwrap()).collect()
                };
                let first = query(store, &tenant, &wanted("", Some("score"), 2, None)).await.unwrap();
                assert_eq!(numbers(&first), [1, 2]);
                for (number, score) in [(5, json!(5)), (6, json!(20)), (7, json!(null)), (8, json!(25))] {
                    add(number, score).await;
                }
                let next = wanted("", Some("score"), 50, first.next_cursor);
                assert_eq!(numbers(&query(store, &tenant, &next).await.unwrap()), [3, 6, 8, 4]);
                let first = query(store, &tenant, &wanted("", Some("-score"), 3, None)).await.unwrap();
                assert_eq!(numbers(&first), [4, 8, 6]);
                add(9, json!(20)).await;
                let next = wanted("", Some("-score"), 50, first.next_cursor);
                assert_eq!(numbers(&query(store, &tenant, &next).await.unwrap()), [3, 2, 1, 5, 7]);
            })
            .await;
    }
}

pub async fn cursors_open_their_own_query_alone<B: Backend>(world: World<B>) {
    let mut cursors = Vec::new();
    for (tenant, word) in world.tenants() {
        let cursor = world
            .visit(tenant, async |tenant| {
                for number in 1..=3 {
                    create(world.store(), &tenant, record(number, json!({"who": word}))).await.unwrap();
                }
                let first = wanted("who pr", Some("who"), 1, None);
                query(world.store(), &tenant, &first).await.unwrap().next_cursor.unwrap()
            })
            .await;
        cursors.push(cursor);
    }
    world
        .visit(world.two, async |tenant| {
            let foreign = wanted("who pr", Some("who"), 1, Some(cursors[0].clone()));
            let own = |filter, sort| wanted(filter, sort, 1, Some(cursors[1].clone()));
            for refused in [foreign, own("", Some("who")), own("who pr", Some("-who")), own("who pr", None)] {
                let answer = query(world.store(), &tenant, &refused).await;
                assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
            }
            let page = query(world.store(), &tenant, &own("who pr", Some("who"))).await.unwrap();
            assert_eq!(page.data[0].id, record_id(2));
        })
        .await;
}

pub async fn indexes_change_no_answer<B: Backend>(world: World<B>) {
    let declare = async |fields: &[&str], ranges: &[&str]| {
        let named = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
        let settings = CollectionSettings { indexes: named(fields), range_indexes: named(ranges) };
        world
            .visit(world.one, async |tenant| {
                let access = tenant.authorize::<Update<on::Record>>().unwrap();
                let store = world.store();
                store.declare_collection(&access, &contacts(), settings, Commit::default()).await.unwrap();
            })
            .await;
    };
    crate::filters::fill(&world).await;
    crate::filters::check_all(&world).await;
    let all = ["text", "number", "mixed", "deep.er", "created_at"];
    for (fields, ranges) in [(&all[..], &[][..]), (&[], &all), (&["text", "mixed"], &["text", "number"])] {
        declare(fields, ranges).await;
        crate::filters::check_all(&world).await;
    }
    declare(&["text"], &[]).await;
    crate::filters::check_all(&world).await;
    for (tenant, fields) in [(world.one, vec!["text".to_owned()]), (world.two, Vec::new())] {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Read<on::Record>>().unwrap();
                let settings = world.store().collection(&access, &contacts()).await.unwrap();
                assert_eq!(out(&tenant, settings).indexes, fields);
            })
            .await;
    }
}

pub async fn what_cannot_be_indexed_is_refused<B: Backend>(world: World<B>) {
    world
        .visit(world.one, async |tenant| {
            let access = tenant.authorize::<Update<on::Record>>().unwrap();
            let many: Vec<_> = (0..17).map(|number| format!("field{number}")).collect();
            let strange = ["a'b", "", "a..b", "-a", "a\") WHERE 1; --"].map(|field| vec![field.to_owned()]);
            for indexes in strange.into_iter().chain([many]) {
                let settings = CollectionSettings { indexes, range_indexes: Vec::new() };
                let declared =
                    world.store().declare_collection(&access, &contacts(), settings, Commit::default()).await;
                assert!(matches!(declared, Err(StoreError::Invalid(_))), "{declared:?}");
            }
        })
        .await;
}
