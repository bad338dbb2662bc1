//! What schemas are filled with; and that what comes out fits, checked by a validator that is not ours.

use super::fill;
use crate::source::Source;
use proptest::prelude::*;
use serde_json::{Value, json};

fn check(schema: Value, text: &str, expected: Value) {
    let filled = fill(&schema, "", &Source::new(text));
    assert_eq!(filled, expected, "{schema}");
    assert!(jsonschema::is_valid(&schema, &filled), "{filled}");
}

#[test]
fn a_lead_is_read_out_of_a_message() {
    let schema = json!({ "type": "object", "additionalProperties": false,
        "required": ["email", "name", "company", "budget", "seats", "rating", "reason", "is_spam", "tags", "score"],
        "properties": {
            "email": { "type": "string", "format": "email" }, "name": { "type": "string" },
            "company": { "type": ["string", "null"] }, "budget": { "type": "number" }, "seats": { "type": "integer" },
            "rating": { "enum": ["cold", "warm", "hot"] }, "reason": { "type": "string" }, "is_spam": { "type": "boolean" },
            "tags": { "type": "array", "items": { "enum": ["billing", "sales", "bug"] } },
            "score": { "type": "integer", "minimum": 1, "maximum": 10 },
        } });
    let text =
        "Hi, I'm Ann Lee from Acme. We want a quote for 25 seats, our budget is $12,500. ann@acme.example";
    check(
        schema,
        text,
        json!({ "email": "ann@acme.example", "name": "Ann Lee", "company": "Acme", "budget": 12500.0,
        "seats": 25, "rating": "hot", "reason": "Chosen by the offline model's fixed rules.", "is_spam": false,
        "tags": ["sales"], "score": 1 }),
    );
}

#[test]
fn what_the_prompt_does_not_say_is_empty_but_fits() {
    for (schema, expected) in [
        (json!({ "type": "string" }), json!("")),
        (json!({ "type": "string", "minLength": 3 }), json!("unk")),
        (json!({ "type": "string", "format": "email" }), json!("unknown@example.com")),
        (json!({ "type": "string", "format": "date-time" }), json!("1970-01-01T00:00:00Z")),
        (json!({ "type": "string", "default": "d" }), json!("d")),
        (json!({ "const": 7 }), json!(7)),
        (json!({ "type": "null" }), json!(null)),
        (json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2 }), json!([0, 0])),
        (json!({ "type": "array", "items": { "type": "integer" } }), json!([])),
        (json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }), json!(null)),
        (json!({ "oneOf": [{ "type": "integer" }, { "type": "string" }] }), json!(0)),
        (
            json!({ "type": "object", "properties": { "a": { "type": "object", "properties": { "b": { "type": "boolean" } } } } }),
            json!({ "a": { "b": false } }),
        ),
        (json!({ "type": "object", "required": ["z"] }), json!({ "z": "" })),
        (
            json!({ "allOf": [{ "type": "object" }, { "properties": { "b": { "type": "integer" } }, "required": ["b"] }] }),
            json!({ "b": 0 }),
        ),
        (
            json!({ "type": "object", "required": ["p"], "properties": { "p": { "$ref": "#/$defs/p" } },
            "$defs": { "p": { "type": "number", "minimum": 0.5 } } }),
            json!({ "p": 0.5 }),
        ),
        (json!(true), json!("")),
    ] {
        check(schema, "lorem ipsum", expected);
    }
}

#[test]
fn optional_members_appear_where_the_prompt_names_them() {
    let schema = json!({ "type": "object", "required": [], "properties": {
        "deal_size": { "type": "integer" }, "region": { "type": "string" }, "stage": { "enum": ["open", "won"] },
    } });
    check(schema, "Deal size: 40k\nstage: Won", json!({ "deal_size": 40000, "stage": "won" }));
}

#[test]
fn a_schema_that_refers_to_itself_comes_to_an_end() {
    let tree = json!({ "type": "object", "required": ["v"], "properties": {
        "v": { "type": "string" }, "left": { "$ref": "#" }, "right": { "$ref": "#" },
    } });
    let filled = fill(&tree, "", &Source::new("v: 1"));
    assert!(filled.to_string().len() < 1_000_000);
    let endless = json!({ "$ref": "#" });
    assert_eq!(fill(&endless, "", &Source::new("")), json!(""));
    let list = json!({ "type": "object", "required": ["v", "next"], "properties": {
        "v": { "type": "string" }, "next": { "anyOf": [{ "type": "null" }, { "$ref": "#" }] },
    } });
    check(list, "lorem", json!({ "v": "", "next": null }));
}

#[test]
fn a_large_value_that_is_named_again_and_again_is_not_made_again_and_again() {
    let names = (0..1_000).map(|at| (format!("m{at}"), json!({ "$ref": "#/$defs/big" })));
    let members: serde_json::Map<_, _> = names.collect();
    let big = json!({ "const": vec![0; 20_000] });
    let schema = json!({ "type": "object", "properties": members, "$defs": { "big": big } });
    assert!(fill(&schema, "", &Source::new("")).to_string().len() < 1_000_000);
    let parts: Vec<_> = (0..16).map(|_| json!({ "$ref": "#/$defs/big" })).collect();
    let members: serde_json::Map<_, _> =
        (0..1_000).map(|at| (format!("m{at}"), json!({ "allOf": parts }))).collect();
    let schema = json!({ "type": "object", "properties": members, "$defs": { "big": big } });
    assert!(fill(&schema, "", &Source::new("")).to_string().len() < 1_000_000);
}

/// Schemas of the kind that callers write.
fn schema() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("email"),
        Just("name"),
        Just("amount"),
        Just("count"),
        Just("summary"),
        Just("x"),
        Just("is_urgent")
    ];
    let leaf = prop_oneof![
        Just(json!({ "type": "boolean" })),
        (0u64..4, 4u64..40)
            .prop_map(|(least, most)| json!({ "type": "string", "minLength": least, "maxLength": most })),
        (-50i64..50, 0i64..50).prop_map(
            |(least, more)| json!({ "type": "integer", "minimum": least, "maximum": least + more })
        ),
        (-50i64..50, 1i64..50).prop_map(
            |(least, more)| json!({ "type": "number", "exclusiveMinimum": least, "maximum": least + more })
        ),
        (1i64..9).prop_map(|step| json!({ "type": "integer", "multipleOf": step })),
        proptest::collection::btree_set("[a-z]{1,6}", 1..4).prop_map(|values| json!({ "enum": values })),
        prop_oneof![Just("email"), Just("date"), Just("date-time"), Just("uuid"), Just("uri")]
            .prop_map(|format| json!({ "type": "string", "format": format })),
        Just(json!({ "type": ["integer", "null"] })),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            (inner.clone(), 0u64..3, 3u64..6)
                .prop_map(|(items, least, most)| json!({ "type": "array", "items": items, "minItems": least, "maxItems": most })),
            (proptest::collection::btree_map(name.clone(), (inner.clone(), any::<bool>()), 0..5)).prop_map(|members| {
                let required: Vec<_> = members.iter().filter(|(_, (_, needed))| *needed).map(|(name, _)| *name).collect();
                let properties: serde_json::Map<_, _> =
                    members.iter().map(|(name, (schema, _))| ((*name).to_owned(), schema.clone())).collect();
                json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
            }),
            inner.prop_map(|inner| json!({ "anyOf": [inner, { "type": "null" }] })),
        ]
    })
}

proptest! {
    #[test]
    fn what_comes_out_fits_the_schema(schema in schema(), text in "[ -~]{0,60}|name: [a-z]{1,9} amount: [0-9]{1,6} a@b.example") {
        let filled = fill(&schema, "", &Source::new(&text));
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        prop_assert!(validator.is_valid(&filled), "{} for {}", filled, schema);
    }

    #[test]
    fn no_schema_makes_it_fall_over(text in "\\PC{0,60}", schema in "[\\[\\]{}:,\"a-z0-9$#/]{0,60}") {
        if let Ok(schema) = serde_json::from_str::<Value>(&schema) {
            let _ = fill(&schema, "", &Source::new(&text));
        }
    }
}
