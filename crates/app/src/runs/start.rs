//! How a run becomes durable and gets into the queue.

use crate::{App, note};
use audit::event::{Action, Draft};
use context::{Access, Create, Private, Tenant, door, on};
use errors::{Code, Problem};
use ids::{Id, RunId, StepId};
use serde_json::{Value, json};
use std::mem::replace;
use store::{
    Commit, IdempotencyClaim, Mark, Run, RunMode, RunStatus, StoreError, StoredRun, UnknownDelivery,
    WorkKind, Workflow,
};
use workflow::engine::{Delivered, Mode, Start, StartError};

const CREATE: Action = Action::new("run.create");

/// What a run begins with.
pub(crate) struct Starting {
    /// What started it.
    pub(crate) input: Value,
    /// Whether effects are carried out.
    pub(crate) mode: RunMode,
    /// The delivery that started it; one with an id starts no second one.
    pub(crate) delivery: Option<Delivered>,
    /// The caller's idempotency key.
    pub(crate) claim: Option<IdempotencyClaim>,
    /// An event that comes before the run's own.
    pub(crate) event: Option<Draft>,
}

/// What came of starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// A new run is durable and queued.
    New(RunId),
    /// The delivery came before, and this run was made then.
    Repeated(RunId),
}

/// Makes a run durable, then puts it into the queue. A full queue takes nothing.
pub(crate) async fn begin<'t>(
    app: &App,
    access: &Access<'t, Create<on::Run>>,
    workflow: Private<'t, Workflow>,
    starting: Starting,
) -> Result<Started, Problem> {
    let tenant = access.tenant();
    let place = app.dispatch.reserve(tenant)?;
    let Starting { input, mode, delivery, claim, event } = starting;
    // The run is written back into the store that the workflow came from.
    let workflow = door::answer(tenant, workflow).map_err(StoreError::from)?;
    let id: RunId = app.env.id();
    let known = delivery.as_ref().and_then(|delivery| delivery.id.clone());
    let stored = opened(app, tenant, id, workflow, (input, mode, delivery)).await?;
    let details = [("workflow", json!(stored.run.workflow)), ("mode", json!(mode))];
    let claim = claim.map(|claim| claim.answered(&json!({"id": id, "status": RunStatus::Queued})));
    let made = note(tenant, CREATE, "run", id.to_string(), details);
    let commit = Commit { events: event.into_iter().chain([made]).collect(), ..Commit::default() }
        .and_mark(Mark::Open { kind: WorkKind::Run, id: id.to_bytes(), due: None })
        .claiming(claim);
    match app.store.create_run(access, stored, known, commit).await? {
        UnknownDelivery::New => {
            app.dispatch.enqueue(tenant, place, id);
            Ok(Started::New(id))
        }
        UnknownDelivery::Repeated(earlier) => Ok(Started::Repeated(earlier)),
    }
}

/// The run as it is stored first.
async fn opened(
    app: &App,
    tenant: &Tenant<'_>,
    id: RunId,
    workflow: Workflow,
    (input, mode, delivery): (Value, RunMode, Option<Delivered>),
) -> Result<StoredRun, Problem> {
    let definition = app.definitions.read(tenant, &workflow.definition).await?;
    let now = app.env.now();
    let engine_mode = match mode {
        RunMode::Live => Mode::Live,
        RunMode::DryRun => Mode::DryRun,
    };
    let config = workflow.config;
    let start = Start {
        run: id,
        workflow: workflow.id,
        mode: engine_mode,
        input: input.clone(),
        config: config.clone(),
        delivery,
        now,
    };
    // Steps that begin within one millisecond are listed by their ids: in the definition's order.
    let mut next: StepId = app.env.id();
    let opened = workflow::Run::start(&definition, start, &mut || {
        let after = next.successor();
        replace(&mut next, after)
    });
    let (state, _) = opened.map_err(|error| match error {
        StartError::InputTooLarge(_) => {
            Problem::new(Code::PayloadTooLarge, format!("The run cannot start: {error}."))
        }
        StartError::NoOpening | StartError::OtherDefinition => Problem::internal(),
    })?;
    let run = Run {
        id,
        workflow: workflow.id,
        status: RunStatus::Queued,
        mode,
        started_by: started_by(tenant),
        payer: tenant.principal().into(),
        last_error: None,
        due: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
        cursor: 1,
    };
    let state = serde_json::to_string(&state).map_err(|_| Problem::internal())?;
    Ok(StoredRun { run, definition: workflow.definition, config, input, state })
}

/// Who is behind the visit: a hook's delivery is the hook's, everything else the principal's own.
fn started_by(tenant: &Tenant<'_>) -> String {
    let principal = tenant.principal();
    principal.on_behalf_of.clone().unwrap_or_else(|| principal.id.clone())
}
