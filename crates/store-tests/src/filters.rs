//! What a filter and an order mean: one set of records, and every comparison on it.

use crate::records::{create, query, wanted};
use crate::samples::{record, record_id};
use crate::{Backend, World, page};
use ids::TenantId;
use serde_json::{Value, json};
use store::{Comparison, Filter, FilterOperator, Page, Record, RecordQuery, Sort, StoreError};

/// The records, numbered from 1.
fn rows() -> Vec<Value> {
    vec![
        json!({"text": "alpha", "number": 1, "flag": true, "mixed": null}),
        json!({"text": "beta", "number": 2.5, "flag": false, "mixed": 7}),
        json!({"text": "Alpha", "number": -3, "mixed": "7"}),
        json!({"text": "alphabet", "number": 1.0, "flag": null, "mixed": true}),
        json!({"number": 100, "mixed": [1, "a"], "deep": {"er": "down"}}),
        json!({"text": "", "mixed": {"a": 1}, "deep": "flat"}),
        json!({"text": "z\u{e4}h \"x\" %_", "number": 9_007_199_254_740_993_i64, "mixed": 1}),
        json!({"text": 5, "number": "1", "flag": 1, "mixed": 6.5}),
        json!({"text": "alpha\u{0}x", "number": 0.1, "mixed": false, "a-b_c": 0}),
    ]
}

/// Each filter with the numbers of the records that it finds.
const CASES: &[(&str, &[u8])] = &[
    ("", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (r#"text eq "alpha""#, &[1]),
    (r#"text ne "alpha""#, &[2, 3, 4, 5, 6, 7, 8, 9]),
    (r#"text gt "alpha""#, &[2, 4, 7, 9]),
    (r#"text ge "alpha""#, &[1, 2, 4, 7, 9]),
    (r#"text lt "alpha""#, &[3, 6]),
    (r#"text le "alpha""#, &[1, 3, 6]),
    (r#"text co "lpha""#, &[1, 3, 4, 9]),
    (r#"text co """#, &[1, 2, 3, 4, 6, 7, 9]),
    (r#"text co "5""#, &[]),
    (r#"text sw "alpha""#, &[1, 4, 9]),
    (r#"text co "%""#, &[7]),
    (r#"text co "\"x\"""#, &[7]),
    (r#"text sw "zä""#, &[7]),
    ("text pr", &[1, 2, 3, 4, 6, 7, 8, 9]),
    ("text eq null", &[5]),
    ("text ne null", &[1, 2, 3, 4, 6, 7, 8, 9]),
    ("text eq 5", &[8]),
    ("number eq 1", &[1, 4]),
    ("number eq 1.0", &[1, 4]),
    ("number eq 0.1", &[9]),
    (r#"number eq "1""#, &[8]),
    ("number ne 1", &[2, 3, 5, 6, 7, 8, 9]),
    ("number gt 1", &[2, 5, 7]),
    ("number ge 2.5", &[2, 5, 7]),
    ("number lt 1", &[3, 9]),
    ("number le 1", &[1, 3, 4, 9]),
    ("number eq 9007199254740993", &[7]),
    (r#"number gt "0""#, &[8]),
    ("flag eq true", &[1]),
    ("flag ne true", &[2, 3, 4, 5, 6, 7, 8, 9]),
    ("flag eq false", &[2]),
    ("flag eq 1", &[8]),
    ("flag pr", &[1, 2, 8]),
    ("mixed eq true", &[4]),
    ("mixed eq 1", &[7]),
    (r#"mixed eq "[1,\"a\"]""#, &[]),
    ("mixed gt 0", &[2, 7, 8]),
    (r#"mixed lt "z""#, &[3]),
    ("mixed pr", &[2, 3, 4, 5, 6, 7, 8, 9]),
    (r#"deep.er eq "down""#, &[5]),
    ("deep.er pr", &[5]),
    ("deep pr", &[5, 6]),
    ("absent pr", &[]),
    ("absent eq null", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("a-b_c eq 0", &[9]),
    (r#"text sw "alpha" and number ge 1"#, &[1, 4]),
    ("number gt 0 and number lt 2", &[1, 4, 9]),
];

/// Each order with the numbers as they come.
const ORDERS: &[(&str, [u8; 9])] = &[
    ("number", [6, 3, 9, 1, 4, 2, 5, 7, 8]),
    ("text", [5, 8, 6, 3, 1, 9, 4, 2, 7]),
    ("mixed", [1, 9, 4, 7, 8, 2, 3, 5, 6]),
    ("absent", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("created_at", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
];

/// Puts the records into the first tenant, and others that every filter would find into the second.
pub async fn fill<B: Backend>(world: &World<B>) {
    for (tenant, numbers) in [(world.one, 1..=9), (world.two, 101..=109)] {
        world
            .visit(tenant, async |tenant| {
                for (number, row) in numbers.zip(rows()) {
                    create(world.store(), &tenant, record(number, row)).await.unwrap();
                }
            })
            .await;
    }
}

async fn found<B: Backend>(world: &World<B>, tenant: TenantId, wanted: &RecordQuery) -> Page<Record> {
    world.visit(tenant, async |tenant| query(world.store(), &tenant, wanted).await.unwrap()).await
}

fn numbers(records: &[Record]) -> Vec<u8> {
    records.iter().map(|record| (1..=255).find(|it| record_id(*it) == record.id).unwrap()).collect()
}

/// Checks every filter and order.
pub async fn check_all<B: Backend>(world: &World<B>) {
    for (filter, expected) in CASES {
        let whole = wanted(filter, None, 50, None);
        assert_eq!(numbers(&found(world, world.one, &whole).await.data), *expected, "{filter}");
        let theirs: Vec<_> = expected.iter().map(|number| number + 100).collect();
        assert_eq!(numbers(&found(world, world.two, &whole).await.data), theirs, "{filter}");
    }
    for (sort, expected) in ORDERS {
        for size in [1, 2, 4, 50] {
            assert_eq!(all_pages(world, sort, size).await, *expected, "{sort} by {size}");
            let reversed: Vec<_> = expected.iter().rev().copied().collect();
            assert_eq!(all_pages(world, &format!("-{sort}"), size).await, reversed, "-{sort} by {size}");
        }
    }
}

async fn all_pages<B: Backend>(world: &World<B>, sort: &str, size: u32) -> Vec<u8> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = found(world, world.one, &wanted("", Some(sort), size, cursor)).await;
        all.extend(numbers(&page.data));
        assert!(page.data.len() <= size as usize && all.len() <= 9);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

pub async fn every_comparison<B: Backend>(world: World<B>) {
    fill(&world).await;
    check_all(&world).await;
}

pub async fn every_order_pages_whole<B: Backend>(world: World<B>) {
    fill(&world).await;
    // A filter holds on every page.
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = found(&world, world.one, &wanted("number pr", Some("-mixed"), 3, cursor)).await;
        all.extend(numbers(&page.data));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(all, [5, 3, 2, 8, 7, 4, 9, 1]);
}

pub async fn times_compare_as_times<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                for (number, seconds) in [(1, 0), (2, 60), (3, 120)] {
                    let mut record = record(number, json!({"who": word}));
                    record.created_at = record.created_at.plus(std::time::Duration::from_secs(seconds));
                    create(world.store(), &tenant, record).await.unwrap();
                }
            })
            .await;
    }
    for (filter, expected) in [
        (r#"created_at gt "2026-09-21T14:13:20Z""#, &[2, 3][..]),
        (r#"created_at le "2026-09-21T16:14:20+02:00""#, &[1, 2]),
        (r#"created_at eq "2026-09-21T14:14:20.000Z""#, &[2]),
        (r#"created_at ne "2026-09-21T14:14:20.000Z""#, &[1, 3]),
        ("created_at pr", &[1, 2, 3]),
    ] {
        let found = found(&world, world.one, &wanted(filter, None, 50, None)).await;
        assert_eq!(numbers(&found.data), expected, "{filter}");
    }
}

pub async fn what_is_no_field_or_no_comparison_is_refused<B: Backend>(world: World<B>) {
    fill(&world).await;
    let comparison = |field: &str, operator, value: Value| {
        let comparison = Comparison { field: field.into(), operator, value };
        RecordQuery { filter: Filter(vec![comparison]), ..wanted("", None, 50, None) }
    };
    let sorted = |field: &str| {
        let sort = Some(Sort { field: field.into(), descending: false });
        RecordQuery { sort, page: page(50, None), ..wanted("", None, 50, None) }
    };
    use FilterOperator::{Contains, Equal, Greater, StartsWith};
    let refused = [
        comparison("x' OR '1'='1", Equal, json!("a")),
        comparison("text\" OR 1", Equal, json!("a")),
        comparison("", Equal, json!("a")),
        comparison("text", Greater, json!(true)),
        comparison("text", Greater, json!(null)),
        comparison("text", Contains, json!(5)),
        comparison("text", StartsWith, json!(null)),
        comparison("text", Equal, json!(["alpha"])),
        comparison("created_at", Greater, json!("yesterday")),
        comparison("created_at", Greater, json!(5)),
        comparison("updated_at", Contains, json!("2026")),
        comparison("id", Equal, json!(5)),
        sorted("x' --"),
        sorted("-number"),
        sorted(""),
    ];
    for wanted in refused {
        let answer =
            world.visit(world.one, async |tenant| query(world.store(), &tenant, &wanted).await).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{wanted:?}: {answer:?}");
    }
}
