//! Leaves: their exact form, what stays out of them, and how they are shown again.

use super::{
    Action, Actor, ActorKind, ActorRef, AuthMethod, Confidence, CostRef, Disclosed, Disclosure, Draft,
    EventError, LeafHead, MAX_LEAF_BYTES, Outcome, Position, ReasonCode, Resource, Sealed, Source, View,
    ViewError, seal,
};
use crate::merkle::leaf_hash;
use crate::note::Origin;
use env::{Env, Timestamp};
use ids::{Id, TenantId};
use proptest::prelude::*;
use serde_json::{Value, json};

const CREATE: Action = Action::new("record.create");

fn env() -> Env {
    Env::fixed(Timestamp::from_millis(1_790_000_000_123), 7).0
}

fn position() -> Position {
    let tenant = TenantId::from_parts(1_780_000_000_000, [1; 10]);
    Position::start(Origin { tenant, region: "local".parse().unwrap(), epoch: 0 })
}

fn small() -> Draft {
    let actor = Actor {
        auth: AuthMethod::ApiKey,
        id: "key_01".into(),
        kind: ActorKind::ServiceKey,
        on_behalf_of: vec![],
    };
    let resource = Resource { id: "rec_01".into(), kind: "record".into() };
    Draft::new(actor, CREATE, resource, Outcome::Success)
}

fn full() -> Draft {
    let mut draft = small();
    draft.actor.on_behalf_of = vec![ActorRef { id: "usr_01".into(), kind: ActorKind::User }];
    draft.reason_code = Some(errors::Code::NotFound.into());
    draft.request_id = Some(env().id());
    draft.ip = Some("2001:db8::1".parse().unwrap());
    draft.user_agent = Some("agent/1.0 (Ada Lovelace)".into());
    draft.trace_link = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    draft.reasoning = Some("Ada asked for it.".into());
    draft.sources = vec![Source {
        hash: None,
        id: "doc_01".into(),
        kind: "document".into(),
        region: Some("local".parse().unwrap()),
        version: Some("3".into()),
    }];
    draft.confidence = Some("0.85".parse().unwrap());
    draft.cost = Some(CostRef { call: env().id(), tokens: Some(1234), usd: Some("0.0125".parse().unwrap()) });
    draft.intent = Some(env().id());
    draft.details.insert("status".into(), json!(201));
    draft.details.insert("hosts".into(), json!({"b": [1, null, true], "a": "ü\n\u{7f}\u{1}\""}));
    draft.personal.insert("email".into(), "ada@example.com".into());
    draft
}

fn sealed(draft: Draft) -> Sealed {
    seal(draft, &position(), &env()).unwrap()
}

#[test]
fn a_leaf_reads_as_documented() {
    let sealed = sealed(small());
    let expected = format!(
        concat!(
            r#"{{"action":"record.create","actor":{{"auth":"api_key","id":"key_01","kind":"service_key"}},"#,
            r#""epoch":0,"event_id":"{}","prev":"{}","region":"local","#,
            r#""resource":{{"id":"rec_01","kind":"record"}},"result":"success","seq":0,"#,
            r#""tenant":"{}","time":"2026-09-21T14:13:20.123Z","v":1}}"#
        ),
        sealed.event_id,
        "0".repeat(64),
        position().tenant,
    );
    assert_eq!(String::from_utf8(sealed.leaf.clone()).unwrap(), expected);
    assert_eq!(sealed.leaf_hash, leaf_hash(&sealed.leaf));
    assert_eq!(sealed.disclosures, []);
}

#[test]
fn personal_and_long_values_stay_out_of_the_leaf() {
    let sealed = sealed(full());
    let leaf = String::from_utf8(sealed.leaf.clone()).unwrap();
    for personal in ["2001:db8", "Ada", "ada@", "agent/1.0"] {
        assert!(!leaf.contains(personal), "{personal}");
    }
    let fields: Vec<&str> = sealed.disclosures.iter().map(|kept| kept.field.as_str()).collect();
    assert_eq!(fields, ["ip", "personal.email", "reasoning", "user_agent"]);
    assert_eq!(format!("{:?}", sealed.disclosures[1]), "Disclosure(personal.email)");
}

#[test]
fn equal_values_have_unequal_commitments() {
    let env = env();
    let one = seal(full(), &position(), &env).unwrap();
    let two = seal(full(), &position(), &env).unwrap();
    for (one, two) in one.disclosures.iter().zip(&two.disclosures) {
        assert_eq!(one.value, two.value);
        assert_ne!(one.commitment(), two.commitment());
    }
    assert_ne!(one.event_id, two.event_id);
}

#[test]
fn a_view_shows_what_is_left() {
    let mut sealed = sealed(full());
    let whole = View::open(&sealed.leaf, &sealed.disclosures).unwrap();
    assert_eq!(whole.ip, Some(Disclosed::Value("2001:db8::1".into())));
    assert_eq!(whole.personal["email"], Disclosed::Value("ada@example.com".into()));
    assert_eq!(whole.leaf_hash, hex::encode(sealed.leaf_hash));
    assert_eq!(whole.cost, full().cost);
    assert_eq!(whole.details["status"], 201);

    let erased = sealed.disclosures.remove(1);
    let shown = serde_json::to_value(View::open(&sealed.leaf, &sealed.disclosures).unwrap()).unwrap();
    let redacted = json!({"redacted": true, "commitment": hex::encode(erased.commitment())});
    assert_eq!(shown["personal"]["email"], redacted);
    assert_eq!(shown["reasoning"], "Ada asked for it.");
    assert_eq!(shown["seq"], 0);
    let read: View = serde_json::from_value(shown).unwrap();
    assert!(matches!(read.personal["email"], Disclosed::Redacted(_)));
    // Nothing about the leaf changed.
    assert_eq!(leaf_hash(&sealed.leaf), sealed.leaf_hash);
}

#[test]
fn a_view_refuses_values_that_the_log_does_not_commit_to() {
    let sealed = sealed(full());
    let mut altered = sealed.disclosures.clone();
    altered[0].value = "192.0.2.1".into();
    assert!(matches!(View::open(&sealed.leaf, &altered), Err(ViewError::Mismatch(field)) if field == "ip"));
    let foreign = [Disclosure { field: "personal.phone".into(), salt: [0; 32], value: "1".into() }];
    assert!(matches!(View::open(&sealed.leaf, &foreign), Err(ViewError::Unknown(_))));
    assert!(matches!(View::open(b"{}", &[]), Err(ViewError::NotALeaf(_))));
    let later = String::from_utf8(sealed.leaf).unwrap().replace(r#""v":1"#, r#""v":2"#);
    assert!(matches!(View::open(later.as_bytes(), &[]), Err(ViewError::Version(2))));
    assert!(LeafHead::read(later.as_bytes()).is_none());
}

#[test]
fn disclosures_survive_being_stored() {
    let kept = sealed(full()).disclosures;
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Disclosure>>(&text).unwrap(), kept);
}

#[test]
fn a_leaf_is_never_cut_to_fit() {
    let with = |length: usize| {
        let mut draft = small();
        draft.details.insert("note".into(), json!("x".repeat(length)));
        seal(draft, &position(), &env())
    };
    let fixed = with(0).unwrap().leaf.len();
    assert_eq!(with(MAX_LEAF_BYTES - fixed).unwrap().leaf.len(), MAX_LEAF_BYTES);
    let too_long = with(MAX_LEAF_BYTES - fixed + 1);
    assert!(matches!(too_long, Err(EventError::TooLong(length)) if length == MAX_LEAF_BYTES + 1));

    let mut long = small();
    long.reasoning = Some("x".repeat(200_000));
    assert!(sealed(long).leaf.len() < 1000);
}

#[test]
fn details_are_small_exact_facts() {
    let with = |name: &str, value: Value| {
        let mut draft = small();
        draft.details.insert(name.into(), value);
        seal(draft, &position(), &env())
    };
    for value in [json!(0), json!(-9_007_199_254_740_991_i64), json!(9_007_199_254_740_991_u64), json!([[1]])]
    {
        assert!(with("n", value.clone()).is_ok(), "{value}");
    }
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    for value in [json!(0.5), json!(9_007_199_254_740_992_u64), json!(i64::MIN), json!({"a": [1.0]}), deep] {
        assert!(matches!(with("n", value.clone()), Err(EventError::Detail(_))), "{value}");
    }
    for name in ["", "Name", "a-b", "1a", "é", "a.b"] {
        assert!(matches!(with(name, json!(1)), Err(EventError::FieldName(_))), "{name}");
        let mut draft = small();
        draft.personal.insert(name.into(), "x".into());
        assert!(matches!(seal(draft, &position(), &env()), Err(EventError::FieldName(_))), "{name}");
    }
}

#[test]
fn numbers_stay_where_json_is_exact() {
    let mut draft = small();
    draft.cost = Some(CostRef { call: env().id(), tokens: Some(u64::MAX), usd: None });
    assert!(matches!(seal(draft, &position(), &env()), Err(EventError::Number(u64::MAX))));
    let late = Position { index: 1 << 53, ..position() };
    assert!(matches!(seal(small(), &late, &env()), Err(EventError::Number(_))));
    let mut draft = small();
    (draft.result, draft.intent) = (Outcome::Intent, Some(env().id()));
    assert!(matches!(seal(draft, &position(), &env()), Err(EventError::IntentOfIntent)));
}

#[test]
fn names_keep_their_rules() {
    for text in ["record.create", "a.b.c", "api_key.revoke", "a1.b_2"] {
        assert_eq!(text.parse::<Action>().unwrap().as_str(), text);
    }
    for text in ["", "record", ".a", "a.", "a..b", "A.b", "a.1b", "a._b", "a b.c", &"a.".repeat(40)] {
        assert!(text.parse::<Action>().is_err(), "{text}");
    }
    for text in ["0", "1", "0.5", "0.123456", "1.000000"] {
        assert!(text.parse::<Confidence>().is_ok(), "{text}");
    }
    for text in ["", "2", "1.1", "0.", ".5", "0.1234567", "00", "-0", "0.5e1", "NaN"] {
        assert!(text.parse::<Confidence>().is_err(), "{text}");
    }
    for code in errors::Code::ALL {
        assert_eq!(code.as_str().parse::<ReasonCode>().unwrap(), ReasonCode::from(*code));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let whole = -9_007_199_254_740_991_i64..=9_007_199_254_740_991;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        whole.prop_map(Value::from),
        "(?s).{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(?s).{0,5}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn leaves_are_canonical_as_an_independent_implementation_writes_them(
        details in prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", any_value(), 0..4),
        personal in prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", "(?s).{0,20}", 0..4),
        id in "(?s).{0,20}", trace in prop::option::of("(?s).{0,20}"), bare: bool,
    ) {
        let mut draft = if bare { small() } else { full() };
        draft.details.extend(details);
        draft.personal.extend(personal.clone());
        draft.resource.id = id;
        draft.trace_link = trace;
        let sealed = seal(draft, &position(), &env()).unwrap();
        let parsed: Value = serde_json::from_slice(&sealed.leaf).unwrap();
        prop_assert_eq!(&serde_json_canonicalizer::to_vec(&parsed).unwrap(), &sealed.leaf);
        prop_assert!(!sealed.leaf.contains(&b'\n'));

        let view = View::open(&sealed.leaf, &sealed.disclosures).unwrap();
        for (name, value) in personal {
            prop_assert_eq!(&view.personal[&name], &Disclosed::Value(value));
        }
        let head = LeafHead::read(&sealed.leaf).unwrap();
        prop_assert_eq!(head.event_id, sealed.event_id.to_string());
    }

    #[test]
    fn outside_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..2_000) {
        let _ = (LeafHead::read(&bytes).is_some(), View::open(&bytes, &[]).is_ok());
        let mut leaf = seal(full(), &position(), &env()).unwrap().leaf;
        let at = at % leaf.len();
        leaf[at] = bytes.first().copied().unwrap_or(0);
        let _ = (LeafHead::read(&leaf).is_some(), View::open(&leaf, &[]).is_ok());
    }
}
