//! The steps that are taken in lockstep, and what happens to the server in between.

use proptest::prelude::*;
use serde_json::{Value, json};
use store::{CallStatus, GroupBy, RunStatus};

/// A step that a tenant takes.
#[derive(Clone, Debug)]
pub enum Step {
    CreateRecord { number: u8, data: usize, claim: Option<u8> },
    ChangeRecord { number: u8, data: usize, merge: bool, expected: Option<u64> },
    DeleteRecord { number: u8, expected: Option<u64> },
    QueryRecords { filter: usize, sort: usize, size: u32 },
    Declare { indexes: Vec<&'static str> },
    CreateRun { number: u8, workflow: u8, delivery: Option<u8> },
    MoveRun { number: u8, cursor: u64, status: usize },
    LookAtRuns { workflow: Option<u8>, status: Option<usize>, number: u8 },
    ForgetRuns { all: bool },
    BeginCall { number: u8, minutes: u64, claim: Option<u8> },
    EndCall { number: u8, status: usize, cost: usize },
    Usage { group: usize },
    PutAgent { number: u8, name: &'static str, expected: Option<u64> },
    RemoveAgent { number: u8 },
    Append { count: usize },
    Events { action: usize, size: u32 },
    Erase { who: u8 },
    Remember { key: u8 },
    Remembered { key: u8 },
}

/// What happens to the server between steps.
#[derive(Clone, Debug)]
pub enum Happening {
    Nothing,
    /// Idle databases are closed, and what waits is folded.
    Idle,
    /// Whole tenants leave the memory.
    Forgotten,
    Closed,
    Reopened,
    /// The idempotency keys of today are kept no longer.
    ADayLater,
}

pub fn data(at: usize) -> Value {
    let all = [
        json!({"text": "alpha", "number": 1, "deep": {"a": 1}}),
        json!({"text": "beta", "number": 0.1, "deep": null}),
        json!({"text": null, "number": "1", "mixed": true}),
        json!({"text": "Alpha ", "number": -7.25, "mixed": [1]}),
        json!({"number": 1.0, "mixed": "z", "deep": {"a": null, "b": {"c": 1}}}),
        json!({}),
    ];
    all[at % all.len()].clone()
}

pub const FILTERS: &[&str] = &[
    "",
    "number ge 0",
    r#"text co "lpha""#,
    "mixed pr",
    r#"text ne "alpha""#,
    "deep.a eq 1",
    r#"text gt "a" and number lt 5"#,
    r#"updated_at gt "2026-09-21T14:13:20Z""#,
];
pub const SORTS: &[Option<&str>] =
    &[None, Some("number"), Some("-number"), Some("text"), Some("-mixed"), Some("-updated_at")];
pub const STATUSES: &[RunStatus] =
    &[RunStatus::Running, RunStatus::Waiting, RunStatus::Succeeded, RunStatus::Failed];
pub const ENDS: &[CallStatus] = &[CallStatus::Settled, CallStatus::Released, CallStatus::Unknown];
pub const COSTS: &[&str] = &["0.1", "0.000000000000001", "12.5"];
pub const GROUPS: &[&[GroupBy]] =
    &[&[], &[GroupBy::Model], &[GroupBy::Hour, GroupBy::Workflow], &[GroupBy::Tool, GroupBy::Day]];
pub const ACTIONS: &[Option<&str>] =
    &[None, Some("sample"), Some("sample.touch"), Some("tenant"), Some("none")];

pub fn step() -> impl Strategy<Value = Step> {
    let number = || 0..4_u8;
    let expected = || prop::option::weighted(0.4, 0..4_u64);
    let key = || prop::option::weighted(0.2, 0..3_u8);
    prop_oneof![
        4 => (number(), any::<usize>(), key())
            .prop_map(|(number, data, claim)| Step::CreateRecord { number, data, claim }),
        3 => (number(), any::<usize>(), any::<bool>(), expected())
            .prop_map(|(number, data, merge, expected)| Step::ChangeRecord { number, data, merge, expected }),
        2 => (number(), expected()).prop_map(|(number, expected)| Step::DeleteRecord { number, expected }),
        3 => (0..FILTERS.len(), 0..SORTS.len(), 1..4_u32)
            .prop_map(|(filter, sort, size)| Step::QueryRecords { filter, sort, size }),
        1 => prop::sample::subsequence(vec!["number", "text", "deep.a", "mixed"], 0..4)
            .prop_map(|indexes| Step::Declare { indexes }),
        3 => (number(), 0..2_u8, prop::option::of(0..3_u8))
            .prop_map(|(number, workflow, delivery)| Step::CreateRun { number, workflow, delivery }),
        4 => (number(), 1..4_u64, 0..STATUSES.len())
            .prop_map(|(number, cursor, status)| Step::MoveRun { number, cursor, status }),
        2 => (prop::option::of(0..2_u8), prop::option::of(0..STATUSES.len()), number())
            .prop_map(|(workflow, status, number)| Step::LookAtRuns { workflow, status, number }),
        1 => any::<bool>().prop_map(|all| Step::ForgetRuns { all }),
        3 => (number(), 0..200_u64, key())
            .prop_map(|(number, minutes, claim)| Step::BeginCall { number, minutes, claim }),
        3 => (number(), 0..ENDS.len(), 0..COSTS.len())
            .prop_map(|(number, status, cost)| Step::EndCall { number, status, cost }),
        2 => (0..GROUPS.len()).prop_map(|group| Step::Usage { group }),
        3 => (number(), prop::sample::select(vec!["a", "b"]), expected())
            .prop_map(|(number, name, expected)| Step::PutAgent { number, name, expected }),
        1 => number().prop_map(|number| Step::RemoveAgent { number }),
        3 => (0..4_usize).prop_map(|count| Step::Append { count }),
        2 => (0..ACTIONS.len(), 1..5_u32).prop_map(|(action, size)| Step::Events { action, size }),
        1 => (0..2_u8).prop_map(|who| Step::Erase { who }),
        1 => (0..3_u8).prop_map(|key| Step::Remember { key }),
        1 => (0..3_u8).prop_map(|key| Step::Remembered { key }),
    ]
}

pub fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => Just(Happening::Nothing),
        2 => Just(Happening::Idle),
        2 => Just(Happening::Forgotten),
        2 => Just(Happening::Closed),
        2 => Just(Happening::Reopened),
        1 => Just(Happening::ADayLater),
    ]
}
