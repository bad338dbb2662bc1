//! Things to be stored.

use audit::event::{Action, Draft};
use context::Tenant;
use env::{Env, Timestamp};
use ids::{CallId, Id, RecordId, RunId, StepId, WorkflowId};
use metering::tokens::Tokens;
use serde_json::{Map, Value, json};
use store::{
    Agent, Call, CallKind, CallOutcome, CallStatus, Commit, IdempotencyClaim, Payer, PlannedAnswer, Record,
    Run, RunMode, RunStatus, RunUpdate, StepRow, StoredRun,
};

/// The present moment of a world that has just begun.
pub const NOW: Timestamp = admission_fixture::START;

/// An id that is the same in every world.
pub fn id<I: Id>(number: u8) -> I {
    I::from_parts(1_790_000_000_000, [number; 10])
}

pub fn agent(number: u8, name: &str) -> Agent {
    Agent { id: id(number), name: name.into(), description: None, created_at: NOW }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub fn record(number: u8, data: Value) -> Record {
    Record {
        id: id(number),
        collection: "contacts".parse().unwrap(),
        data: object(data),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

pub fn record_id(number: u8) -> RecordId {
    id(number)
}

/// A commit with one event about `resource`.
pub fn commit(tenant: &Tenant<'_>, resource: &str) -> Commit {
    Commit::event(draft(tenant, resource))
}

pub fn draft(tenant: &Tenant<'_>, resource: &str) -> Draft {
    const TOUCH: Action = Action::new("sample.touch");
    context::event::draft(tenant, TOUCH, "sample", resource)
}

pub fn run(number: u8, workflow: WorkflowId, word: &str) -> StoredRun {
    let run = Run {
        id: id(number),
        workflow,
        status: RunStatus::Queued,
        mode: RunMode::Live,
        started_by: "key_1".into(),
        payer: Payer::default(),
        last_error: None,
        due: None,
        created_at: NOW,
        updated_at: NOW,
        finished_at: None,
        cursor: 1,
    };
    StoredRun {
        run,
        definition: "nodes: []".into(),
        config: json!({"who": word}),
        input: json!({"who": word}),
        state: r#"{"at":0}"#.to_owned(),
    }
}

/// The move of a run to its next cursor, with one step.
pub fn update(run: &Run, status: RunStatus, word: &str) -> RunUpdate {
    let finished_at = status.is_finished().then_some(NOW);
    let run = Run { status, finished_at, cursor: run.cursor + 1, ..run.clone() };
    RunUpdate {
        state: json!({"at": run.cursor}).to_string(),
        steps: vec![step(u8::try_from(run.cursor).unwrap(), word)],
        events: vec![(NOW, json!({"moved": run.cursor}))],
        run,
    }
}

pub fn step(number: u8, word: &str) -> StepRow {
    StepRow {
        id: id::<StepId>(number),
        node: "ask".into(),
        kind: "ai".into(),
        status: "succeeded".into(),
        attempts: 1,
        input: Some(json!({"prompt": word})),
        output: Some(json!({"answer": word})),
        error: None,
        cost: Some("0.25".parse().unwrap()),
        started_at: Some(NOW),
        finished_at: Some(NOW),
        state: json!({"did": word}).to_string(),
    }
}

pub fn run_id(number: u8) -> RunId {
    id(number)
}

pub fn call(number: u8, kind: CallKind, target: &str, started_at: Timestamp) -> Call {
    Call {
        id: id::<CallId>(number),
        kind,
        target: target.into(),
        endpoint: Some("main".into()),
        payer: Payer { key: Some(id(1)), agent: None },
        workflow: Some(id(number % 2)),
        run: None,
        started_at,
        reserved: "0.5".parse().unwrap(),
        lease_until: started_at.plus(std::time::Duration::from_secs(600)),
        intent: None,
    }
}

pub fn outcome(status: CallStatus, cost: &str) -> CallOutcome {
    CallOutcome {
        status,
        finished_at: NOW,
        tokens: Tokens::plain(10, 3),
        cost: cost.parse().unwrap(),
        unpriced: false,
        estimated: false,
        cached: false,
    }
}

/// A claim of the key `number` that is made now.
pub fn claim(env: &Env, number: u8) -> IdempotencyClaim {
    let until = env.now().plus(std::time::Duration::from_secs(24 * 3600));
    IdempotencyClaim { key: [number; 32], request: [number ^ 0xff; 32], until, answer: PlannedAnswer::Later }
}
