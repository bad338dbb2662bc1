//! A run as it is read from rest.

use super::DriveError;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::open::open;
use crate::worker::Shared;
use context::{Access, ReadContent, Tenant, Update, on};
use ids::RunId;
use store::{StepRow, StoredRun};
use workflow::NodeName;
use workflow::engine::{Run, Values};

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
    let reading = tenant.authorize::<ReadContent<on::Run>>()?;
    let store = &shared.app.store;
    let stored = open(tenant, store.load_run(&access, id).await?)?;
    let (_, rows) = open(tenant, store.steps_with_content(&reading, id).await?)?;
    let StoredRun { run: row, definition, config, input, state } = stored;
    let run: Run = serde_json::from_value(state.clone()).map_err(|error| {
        tracing::error!(tenant.id = %tenant.id(), run = %id, line = error.line(), "a run's state cannot be read");
        DriveError::Unreadable
    })?;
    let finished = row.status.is_finished();
    let run = run.with_values(Values { input, config, outputs: outputs(&rows) });
    let journal = Journal::new(row, &run, rows);
    match workflow::validate(&definition) {
        Ok(definition) => {
            let machine = Machine::new(run, definition, shared.app.env.clone());
            Ok(Loaded::Ready(Box::new(machine), Box::new(journal), access))
        }
        Err(_) if finished => Ok(Loaded::GivenUp),
        Err(_) => {
            let (update, commit) = journal.given_up(tenant, &run, state, shared.app.env.now());
            store.move_run(&access, update, commit).await?;
            shared.scheduler.ring(id);
            Ok(Loaded::GivenUp)
        }
    }
}

/// What the steps that succeeded made.
fn outputs(rows: &[StepRow]) -> std::collections::BTreeMap<NodeName, serde_json::Value> {
    let made = rows.iter().filter(|row| row.status == "succeeded");
    made.filter_map(|row| Some((row.node.parse().ok()?, row.output.clone()?))).collect()
}
