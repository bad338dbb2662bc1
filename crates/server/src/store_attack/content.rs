//! What throwaway tenants store: something in every table that tenants have, with a word in it that stands nowhere else.
//! Most of it comes by requests of their own; a run that has moved and waits is put into the store, since it is not for
//! this process to carry runs out.

use app::App;
use audit::event::Action;
use client::{CallError, Client};
use context::{Caller, Create, Presented, RequestFacts, Tenant, Update, event, on};
use http::Method;
use ids::{Id as _, RunId, StepId};
use secret::SecretText;
use serde_json::{Value, json};
use std::time::Duration;
use store::{
    Commit, Mark, Payer, Run, RunMode, RunStatus, RunUpdate, StepRow, StoreError, StoredRun, WorkKind,
};

const START: Action = Action::new("run.start");
/// A host that never resolves (RFC 2606, section 2), so that nothing is sent.
const NOWHERE: &str = "verify.invalid";
/// When the run is next due: when its tenant is long over.
const WAITS: Duration = Duration::from_secs(24 * 3600);

/// Fills the tenant of this owner's key, and gives the word.
pub(super) async fn fill(app: &App, client: &Client, key: SecretText) -> Result<SecretText, String> {
    let canary = format!("canary{}", app.env.random::<12>().map(|byte| format!("{byte:02x}")).concat());
    let owner = client.with_key(key.clone());
    ask(&owner, &canary).await.map_err(|error| format!("a throwaway tenant cannot be filled: {error}"))?;
    let presented = Presented { credential: Some(key), tenant_header: None };
    let caller = app.authenticator.authenticate(&presented, RequestFacts::internal(app.env.id())).await;
    let Ok(Caller::Tenant(admission)) = caller else {
        return Err("a throwaway tenant's own key was refused".to_owned());
    };
    let kept = admission.enter(async |tenant| keep_run(app, &tenant, &canary).await).await;
    kept.map_err(|error| format!("a throwaway tenant's run cannot be stored: {error}"))?;
    Ok(SecretText::new(canary))
}

async fn ask(owner: &Client, canary: &str) -> Result<(), CallError> {
    owner.put("/v1/records/contacts", &json!({"indexes": ["email"], "range_indexes": ["score"]})).await?;
    let record = json!({"name": canary, "email": format!("{canary}@example.com"), "score": 1});
    once(owner, "/v1/records/contacts", &record).await?;
    owner.post("/v1/agents", &json!({"name": canary, "description": canary})).await?;
    let key = json!({"kind": "api_key", "key": canary, "hosts": [NOWHERE]});
    owner.put("/v1/credentials/verify", &key).await?;
    let question = format!("Classify as hot or cold: {canary}");
    let chat = json!({"model": "offline", "messages": [{"role": "user", "content": question}]});
    owner.post("/v1/chat/completions", &chat).await?;
    Ok(())
}

/// Asks under an idempotency key.
async fn once(owner: &Client, path: &str, body: &Value) -> Result<(), CallError> {
    let call = owner.call(Method::POST, path).header("idempotency-key", "verify").json(body)?;
    call.send().await?.accepted().map(drop)
}

/// A run that a delivery began, that has carried out a step and waits.
async fn keep_run(app: &App, tenant: &Tenant<'_>, canary: &str) -> Result<(), String> {
    let said = |error: StoreError| error.to_string();
    let run = run(app);
    let (id, now, due) = (run.id, app.env.now(), run.due);
    let stored = StoredRun {
        run: run.clone(),
        definition: canary.to_owned(),
        config: json!({"note": canary}),
        input: json!({"note": canary}),
        state: json!({"note": canary}).to_string(),
    };
    let creates = tenant.authorize::<Create<on::Run>>().map_err(|problem| problem.to_string())?;
    let noted = event::draft(tenant, START, "run", id.to_string());
    let mark = Mark::Open { kind: WorkKind::Run, id: id.to_bytes(), due };
    let commit = Commit::event(noted).and_mark(mark);
    app.store.create_run(&creates, stored, Some(canary.to_owned()), commit).await.map_err(said)?;
    let moves = tenant.authorize::<Update<on::Run>>().map_err(|problem| problem.to_string())?;
    let update = RunUpdate {
        run: Run { cursor: run.cursor + 1, ..run },
        state: json!({"note": canary}).to_string(),
        steps: vec![step(app, canary)],
        events: vec![(now, json!({"note": canary}))],
    };
    app.store.move_run(&moves, update, Commit::default()).await.map_err(said)
}

fn run(app: &App) -> Run {
    let now = app.env.now();
    Run {
        id: app.env.id::<RunId>(),
        workflow: app.env.id(),
        status: RunStatus::Waiting,
        mode: RunMode::Live,
        started_by: super::NAME.to_owned(),
        payer: Payer::default(),
        last_error: None,
        due: Some(now.plus(WAITS)),
        created_at: now,
        updated_at: now,
        finished_at: None,
        cursor: 1,
    }
}

fn step(app: &App, canary: &str) -> StepRow {
    StepRow {
        id: app.env.id::<StepId>(),
        node: "ask".into(),
        kind: "ai".into(),
        status: "succeeded".into(),
        attempts: 1,
        input: Some(json!({"prompt": canary})),
        output: Some(json!({"answer": canary})),
        error: None,
        cost: None,
        started_at: Some(app.env.now()),
        finished_at: Some(app.env.now()),
        state: json!({"did": canary}).to_string(),
    }
}
