//! Runs: maps of runs, steps and deliveries, and moves from the right cursor alone.

use crate::{MemoryStore, page};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, ReadContent, Update, on};
use env::Timestamp;
use ids::{Id, RunId, WorkflowId};
use serde_json::Value;
use std::sync::Arc;
use store::{
    Commit, Page, PageRequest, Run, RunEvent, RunStatus, RunStore, RunUpdate, StepRow, StoreError, StoredRun,
    UnknownDelivery,
};

const FORGET_AT_ONCE: usize = 200;

/// What a write answers when the delivery came before: it is undone as a whole.
struct Undone(Option<RunId>);

#[async_trait]
impl RunStore for MemoryStore {
    async fn create_run(
        &self,
        access: &Access<'_, Create<on::Run>>,
        run: StoredRun,
        delivery: Option<String>,
        commit: Commit,
    ) -> Result<UnknownDelivery, StoreError> {
        let limits = access.tenant().standing().limits.clone();
        let mut undone = Undone(None);
        let written = self.write(access.tenant(), commit, |tables| {
            if let Some(delivery) = delivery {
                let key = (run.run.workflow, delivery);
                if let Some(earlier) = tables.deliveries.get(&key) {
                    undone.0 = Some(*earlier);
                    return Err(StoreError::Stale);
                }
                tables.deliveries.insert(key, run.run.id);
            }
            if tables.runs.contains_key(&run.run.id) {
                return Err(StoreError::Exists(format!("run {}", run.run.id)));
            }
            let growth = run.definition.len() + run.config.to_string().len() + run.input.to_string().len();
            tables.admit(&limits, growth)?;
            tables.runs.insert(run.run.id, run);
            Ok(())
        });
        match (undone.0, written) {
            (Some(earlier), _) => Ok(UnknownDelivery::Repeated(earlier)),
            (None, Ok(_)) => Ok(UnknownDelivery::New),
            (None, Err(error)) => Err(error),
        }
    }

    async fn room(&self, access: &Access<'_, Update<on::Run>>) -> Result<Option<u64>, StoreError> {
        let Some(limit) = access.tenant().standing().limits.storage_bytes else { return Ok(None) };
        let stored = self.state().tenants.get(access.tenant().id())?.tables.bytes();
        Ok(Some(limit.saturating_sub(stored)))
    }

    async fn move_run(
        &self,
        access: &Access<'_, Update<on::Run>>,
        update: RunUpdate,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.permit(access.tenant())?;
        self.write(access.tenant(), commit, |tables| {
            let stored = tables.runs.get_mut(&update.run.id).ok_or(StoreError::NotFound)?;
            if stored.run.cursor + 1 != update.run.cursor {
                return Err(StoreError::Stale);
            }
            for step in update.steps {
                tables.steps.insert((update.run.id, step.id), step);
            }
            let journal = tables.run_events.entry(update.run.id).or_default();
            for (at, event) in update.events {
                journal.push(Arc::new(RunEvent { number: journal.len() as u64, at, event }));
            }
            (stored.run, stored.state) = (update.run, update.state);
            Ok(())
        })
        .map(drop)
    }

    async fn load_run<'t>(
        &self,
        access: &Access<'t, Update<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (StoredRun, Vec<StepRow>)>, StoreError> {
        self.read(access.tenant(), |known| {
            let stored = known.tables.runs.get(&id).ok_or(StoreError::NotFound)?;
            let steps = known.tables.steps.iter().filter(|((run, _), _)| *run == id);
            Ok((stored.clone(), steps.map(|(_, step)| step.clone()).collect()))
        })
    }

    async fn run<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Run>, StoreError> {
        self.read(access.tenant(), |known| {
            known.tables.runs.get(&id).map(|stored| stored.run.clone()).ok_or(StoreError::NotFound)
        })
    }

    async fn steps<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Vec<StepRow>>, StoreError> {
        self.read(access.tenant(), |known| {
            known.tables.runs.get(&id).ok_or(StoreError::NotFound)?;
            let steps = known.tables.steps.iter().filter(|((run, _), _)| *run == id);
            Ok(steps
                .map(|(_, step)| StepRow { input: None, output: None, state: String::new(), ..step.clone() })
                .collect())
        })
    }

    async fn steps_with_content<'t>(
        &self,
        access: &Access<'t, ReadContent<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (Value, Vec<StepRow>)>, StoreError> {
        self.read(access.tenant(), |known| {
            let stored = known.tables.runs.get(&id).ok_or(StoreError::NotFound)?;
            let steps = known.tables.steps.iter().filter(|((run, _), _)| *run == id);
            Ok((stored.input.clone(), steps.map(|(_, step)| step.clone()).collect()))
        })
    }

    async fn run_events<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<RunEvent>>, StoreError> {
        self.read(access.tenant(), |known| {
            known.tables.runs.get(&id).ok_or(StoreError::NotFound)?;
            let journal = known.tables.run_events.get(&id).into_iter().flatten();
            let journal = journal.map(|event| RunEvent::clone(event));
            Ok(journal.filter(|event| event.number >= from).take(limit as usize).collect())
        })
    }

    async fn runs<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        workflow: Option<WorkflowId>,
        status: Option<RunStatus>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Run>>, StoreError> {
        self.read(access.tenant(), |known| {
            let list = format!("run/{workflow:?}/{status:?}");
            let before: Option<RunId> = page::place(known, &list, page)?;
            let runs = known.tables.runs.values().rev().map(|stored| &stored.run).filter(|run| {
                workflow.is_none_or(|workflow| run.workflow == workflow)
                    && status.is_none_or(|status| run.status == status)
                    && before.is_none_or(|before| run.id < before)
            });
            Ok(page::cut(known, &list, page, runs.cloned(), |run| run.id))
        })
    }

    async fn forgettable_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let state = self.state();
        let runs = state.tenants.get(access.tenant().id())?.tables.runs.values();
        let old = runs.filter(|stored| stored.run.finished_at.is_some_and(|end| end < before));
        Ok(old.take(FORGET_AT_ONCE).count() as u64)
    }

    async fn forget_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        let written = self.write(access.tenant(), commit, |tables| {
            let ended = |stored: &&StoredRun| stored.run.finished_at.is_some_and(|end| end < before);
            let mut old: Vec<_> = tables.runs.values().filter(ended).map(|stored| &stored.run).collect();
            old.sort_by_key(|run| (run.finished_at, run.id.to_bytes()));
            let old: Vec<_> = old.into_iter().take(FORGET_AT_ONCE).map(|run| run.id).collect();
            tables.runs.retain(|id, _| !old.contains(id));
            tables.steps.retain(|(run, _), _| !old.contains(run));
            tables.run_events.retain(|run, _| !old.contains(run));
            tables.deliveries.retain(|_, run| !old.contains(run));
            forgotten = old.len() as u64;
            // Where there are none nothing is written.
            if old.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
        });
        match written {
            Err(StoreError::NotFound) => Ok(0),
            written => written.map(|_| forgotten),
        }
    }
}
