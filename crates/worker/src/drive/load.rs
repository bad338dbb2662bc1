//! A run as it is read from rest.

use super::DriveError;
use crate::journal::{Journal, given_up};
use crate::machine::Machine;
use crate::open::open;
use crate::scheduler::Broken;
use crate::worker::Shared;
use context::{Access, Tenant, Update, on};
use errors::Code;
use ids::RunId;
use store::{StepRow, StoredRun};
use workflow::NodeName;
use workflow::engine::{Run, Step, Values};

/// What was read.
pub(super) enum Loaded<'t> {
    /// A run that can go on.
    Ready(Box<Machine>, Box<Journal>, Access<'t, Update<on::Run>>),
    /// A run that could not, and was ended.
    GivenUp,
}

pub(super) async fn load<'t>(
    shared: &Shared,
    tenant: &Tenant<'t>,
    id: RunId,
) -> Result<Loaded<'t>, DriveError> {
    let access = tenant.authorize::<Update<on::Run>>()?;
    let (stored, rows) = open(tenant, shared.app.store.load_run(&access, id).await?)?;
    let StoredRun { run: row, definition, config, input, state } = stored;
    if row.status.is_finished() && serde_json::from_str::<Run>(&state).is_err() {
        return Ok(Loaded::GivenUp);
    }
    let run: Run = serde_json::from_str(&state).map_err(|error| {
        tracing::error!(tenant.id = %tenant.id(), run = %id, line = error.line(), "a run's state cannot be read");
        DriveError::Unreadable
    })?;
    let finished = row.status.is_finished();
    let steps = steps(&rows).map_err(|error| {
        tracing::error!(tenant.id = %tenant.id(), run = %id, line = error.line(), "a step's state cannot be read");
        DriveError::Unreadable
    })?;
    let run = run.with_steps(steps).with_values(Values { input, config, outputs: outputs(&rows) });
    let journal = Journal::new(row, &run, rows);
    match shared.app.definitions.read(tenant, &definition).await {
        Ok(definition) => {
            let machine = Machine::new(run, definition, shared.app.env.clone());
            Ok(Loaded::Ready(Box::new(machine), Box::new(journal), access))
        }
        Err(problem) if problem.code != Code::InvalidDefinition => Err(problem.into()),
        Err(_) if finished => Ok(Loaded::GivenUp),
        Err(_) => {
            let reason = "The workflow's definition is not valid any more.".to_owned();
            end(shared, tenant, &access, (journal.into_row(), state, reason)).await
        }
    }
}

/// Ends a run that could not be carried out again and again.
pub(super) async fn give_up<'t>(
    shared: &Shared,
    tenant: &Tenant<'t>,
    id: RunId,
    broken: Broken,
) -> Result<Loaded<'t>, DriveError> {
    let access = tenant.authorize::<Update<on::Run>>()?;
    let (stored, _) = open(tenant, shared.app.store.load_run(&access, id).await?)?;
    if stored.run.status.is_finished() {
        return Ok(Loaded::GivenUp);
    }
    let Broken { times, reason } = broken;
    tracing::error!(tenant.id = %tenant.id(), run = %id, times, reason, "a run is given up");
    let reason = format!("The run could not be carried out {times} times and was given up: {reason}.");
    end(shared, tenant, &access, (stored.run, stored.state, reason)).await
}

async fn end<'t>(
    shared: &Shared,
    tenant: &Tenant<'t>,
    access: &Access<'t, Update<on::Run>>,
    (row, state, reason): (store::Run, String, String),
) -> Result<Loaded<'t>, DriveError> {
    let id = row.id;
    let (update, commit) = given_up(tenant, row, state, (reason, shared.app.env.now()));
    shared.app.store.move_run(access, update, commit).await?;
    shared.scheduler.ring(id);
    Ok(Loaded::GivenUp)
}

/// The steps that are kept by themselves.
fn steps(rows: &[StepRow]) -> serde_json::Result<Vec<(NodeName, Step)>> {
    let kept = rows.iter().filter(|row| !row.state.is_empty());
    let read = kept.filter_map(|row| Some((row.node.parse().ok()?, &row.state)));
    read.map(|(node, state)| Ok((node, serde_json::from_str(state)?))).collect()
}

/// What the steps that succeeded made.
fn outputs(rows: &[StepRow]) -> std::collections::BTreeMap<NodeName, serde_json::Value> {
    let made = rows.iter().filter(|row| row.status == "succeeded");
    made.filter_map(|row| Some((row.node.parse().ok()?, row.output.clone()?))).collect()
}
