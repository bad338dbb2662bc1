//! [`drive`]: one run, carried out as far as it goes.

mod load;
mod steps;

use crate::journal::{Journal, status};
use crate::machine::{Batch, EngineLost, Machine};
use crate::perform::{Scene, Turn};
use crate::scheduler::{Broken, Control, Rest, Start};
use crate::worker::Shared;
use app::dispatch::{Order, OrderKind};
use context::{Access, Admission, Tenant, Update, on};
use env::Timestamp;
use errors::{Code, Problem};
use load::{Loaded, give_up, load};
use std::sync::Arc;
use std::time::Duration;
use steps::Steps;
use store::{Commit, RunStatus, StoreError};
use tokio::sync::oneshot;
use workflow::engine::RetryRefusal;
use workflow::{Command, Input};

/// The longest that a driver sleeps at once, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_secs(30);

/// Why a driver cannot go on now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The store did not take or give what was needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something was not allowed, or stopped at a door.
    #[error("{0}")]
    Refused(#[from] Problem),
    /// The engine ended without an answer.
    #[error(transparent)]
    Engine(#[from] EngineLost),
    /// The run at rest cannot be read.
    #[error("the run at rest cannot be read")]
    Unreadable,
}

/// Carries the run out as far as it goes, in this visit.
pub(crate) async fn drive<'t>(
    shared: &Arc<Shared>,
    tenant: &Tenant<'t>,
    admission: &Admission,
    start: &mut Start,
) -> Rest {
    let run = start.job.run;
    let loaded = match start.broken.filter(|broken| broken.times >= Broken::MOST) {
        Some(broken) => give_up(shared, tenant, run, broken).await,
        None => load(shared, tenant, run).await,
    };
    let outcome = match loaded {
        Ok(Loaded::Ready(machine, journal, access)) => {
            let driver = Driver {
                shared,
                tenant,
                admission,
                access,
                machine: *machine,
                journal: *journal,
                steps: Steps::default(),
                parking: false,
            };
            driver.carry_out(start).await
        }
        Ok(Loaded::GivenUp) => {
            if let Some(Control::Order(_, answer)) = start.first.take() {
                let given_up = "The run was given up: it cannot go on.";
                let _ = answer.send(Err(Problem::new(Code::Conflict, given_up)));
            }
            Ok(Rest::Over)
        }
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        if let Some(Control::Order(_, answer)) = start.first.take() {
            // Whoever ordered may be gone.
            let _ = answer.send(Err(told(&error)));
        }
        match error {
            DriveError::Store(StoreError::NotFound) => Rest::Over,
            DriveError::Store(StoreError::LeaseLost) => Rest::Elsewhere,
            error => {
                tracing::warn!(tenant.id = %tenant.id(), %run, %error, "a run is tried again later");
                match error {
                    DriveError::Unreadable => Rest::Broken("its state cannot be read"),
                    DriveError::Engine(_) => Rest::Broken("the engine ended without an answer"),
                    DriveError::Store(_) | DriveError::Refused(_) => Rest::Later,
                }
            }
        }
    })
}

fn told(error: &DriveError) -> Problem {
    match error {
        DriveError::Store(error) => error.clone().into(),
        DriveError::Refused(problem) => problem.clone(),
        DriveError::Engine(_) | DriveError::Unreadable => Problem::internal(),
    }
}

struct Driver<'s, 't> {
    shared: &'s Arc<Shared>,
    tenant: &'s Tenant<'t>,
    /// What this visit was entered with.
    admission: &'s Admission,
    access: Access<'t, Update<on::Run>>,
    machine: Machine,
    journal: Journal,
    steps: Steps<'t>,
    /// Whether no further attempt may begin.
    parking: bool,
}

enum Next {
    Fed(Input),
    Told(Control),
}

impl Driver<'_, '_> {
    async fn carry_out(mut self, start: &mut Start) -> Result<Rest, DriveError> {
        let mut batch = Batch::default();
        // Without a lease somebody else may be carrying it out; and what is to be cancelled needs no other outcome.
        if self.tenant.lease().is_some() && !start.is_to_be_cancelled() {
            self.take_over(&mut batch).await?;
        }
        match start.first.take() {
            Some(Control::Stop) => return Ok(Rest::Over),
            Some(Control::Park) => self.parking = true,
            Some(Control::Order(order, answer)) => self.obey(*order, answer, &mut batch).await?,
            None => {}
        }
        if start.held {
            self.feed(Input::Admit, &mut batch, self.parking).await?;
        }
        self.commit(&mut batch, Commit::default()).await?;
        loop {
            if let Some(rest) = self.rest(start.held) {
                return Ok(rest);
            }
            match self.next(start).await {
                Next::Fed(input) => self.feed(input, &mut batch, self.parking).await?,
                Next::Told(Control::Park) => self.parking = true,
                Next::Told(Control::Stop) => return Ok(Rest::Over),
                Next::Told(Control::Order(order, answer)) => self.obey(*order, answer, &mut batch).await?,
            }
            self.commit(&mut batch, Commit::default()).await?;
        }
    }

    /// Settles what a driver before this one left under way: nobody knows whether it took effect, unless it
    /// is certain that it never began.
    async fn take_over(&mut self, batch: &mut Batch) -> Result<(), DriveError> {
        if self.status() != RunStatus::Running {
            return Ok(());
        }
        for command in self.machine.outstanding().await? {
            let Command::Perform { step, node, attempt, request, .. } = command else { continue };
            let call = crate::perform::call_id(
                self.journal.row().id,
                step,
                (attempt, Turn::First),
                self.began(&node),
            );
            let outcome = match *request {
                workflow::Request::Http { .. } if !has_begun(self.shared, self.tenant, call).await? => {
                    self.machine.handed_back()
                }
                _ => workflow::Outcome::Unknown,
            };
            self.feed(Input::Outcome { node, attempt, outcome }, batch, true).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, input: Input, batch: &mut Batch, begin_nothing: bool) -> Result<(), DriveError> {
        let asking = self.shared.app.store.room(&self.access);
        let room = self.steps.meanwhile(asking).await?;
        Ok(self.machine.feed(input, batch, (begin_nothing, room)).await?)
    }

    fn began(&self, node: &workflow::NodeName) -> Timestamp {
        self.machine.look(|run| {
            let attempt = run.step_of(node).and_then(|step| step.current());
            attempt.map_or(run.created_at(), |attempt| attempt.started_at)
        })
    }

    fn status(&self) -> RunStatus {
        self.machine.look(|run| status(run.status()))
    }

    /// How the driver leaves, if there is nothing more to do for now.
    fn rest(&self, held: bool) -> Option<Rest> {
        match self.status() {
            RunStatus::Queued => Some(Rest::Queued),
            RunStatus::Running if held => None,
            RunStatus::Running => Some(Rest::Queued),
            RunStatus::Waiting => {
                let wake = self.machine.look(|run| run.wake_at());
                Some(wake.map_or(Rest::Later, Rest::Waiting))
            }
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => Some(Rest::Over),
        }
    }

    async fn next(&mut self, start: &mut Start) -> Next {
        let now = self.shared.app.env.now();
        let wake = self.machine.look(|run| run.wake_at());
        let nap = wake.map_or(NAP, |wake| until(now, wake)).min(NAP);
        tokio::select! {
            Some((node, attempt, outcome)) = self.steps.next() => {
                Next::Fed(Input::Outcome { node, attempt, outcome })
            }
            Some(control) = start.controls.recv() => Next::Told(control),
            () = tokio::time::sleep(nap) => Next::Fed(Input::Tick),
        }
    }

    /// Does what was ordered, and answers once it is durable.
    async fn obey(
        &mut self,
        order: Order,
        answer: oneshot::Sender<Result<RunStatus, Problem>>,
        batch: &mut Batch,
    ) -> Result<(), DriveError> {
        let Order { kind, event, claim } = order;
        let input = match self.permitted(kind) {
            Ok(Some(input)) => input,
            Ok(None) => {
                let _ = answer.send(Ok(self.status()));
                return Ok(());
            }
            Err(problem) => {
                let _ = answer.send(Err(problem));
                return Ok(());
            }
        };
        // What happened before the order is durable before it.
        let outcome = async {
            self.commit(batch, Commit::default()).await?;
            self.feed(input, batch, true).await?;
            self.commit(batch, Commit::event(event).claiming(claim)).await
        };
        match outcome.await {
            Ok(()) => {
                let _ = answer.send(Ok(self.status()));
                Ok(())
            }
            Err(error) => {
                let _ = answer.send(Err(told(&error)));
                Err(error)
            }
        }
    }

    /// What the engine is told for an order; `None` where it is done already.
    fn permitted(&self, kind: OrderKind) -> Result<Option<Input>, Problem> {
        let conflict = |detail: String| Problem::new(Code::Conflict, detail);
        match kind {
            OrderKind::Cancel => match self.status() {
                RunStatus::Cancelled => Ok(None),
                RunStatus::Succeeded | RunStatus::Failed => Err(conflict("The run is over.".to_owned())),
                RunStatus::Queued | RunStatus::Running | RunStatus::Waiting => Ok(Some(Input::Cancel)),
            },
            OrderKind::Retry { from } => {
                let planned =
                    self.machine.look(|run| run.retry_plan(self.machine.definition(), from.as_ref()));
                match planned {
                    Ok(_) => Ok(Some(Input::Retry { from })),
                    Err(RetryRefusal::NoSuchStep(node)) => {
                        Err(Problem::invalid(format!("The run has no step `{node}`.")))
                    }
                    Err(refusal) => Err(conflict(format!("The run cannot go on: {refusal}."))),
                }
            }
        }
    }

    /// Makes the batch durable, then does what follows from it.
    async fn commit(&mut self, batch: &mut Batch, extra: Commit) -> Result<(), DriveError> {
        let Batch { events, commands } = std::mem::take(batch);
        let batch = Batch { events, commands };
        if batch.events.is_empty() {
            return Ok(());
        }
        let now = self.shared.app.env.now();
        let (machine, journal, tenant) = (&self.machine, &mut self.journal, self.tenant);
        let update =
            machine.look(|run| journal.update(tenant, machine.definition(), run, &batch, (extra, now)));
        let (update, commit) = update.ok_or(DriveError::Unreadable)?;
        // A step under way may hold what this waits for, such as the opening of the tenant's store.
        let moving = self.shared.app.store.move_run(&self.access, update, commit);
        self.steps.meanwhile(moving).await?;
        self.shared.scheduler.ring(self.journal.row().id);
        for command in batch.commands {
            self.do_command(command);
        }
        Ok(())
    }

    fn do_command(&mut self, command: Command) {
        match command {
            Command::Abort { node, attempt, .. } => self.steps.abort(&node, attempt),
            // The driver looks at the run itself for when to wake.
            Command::Wake { .. } => {}
            Command::Perform { step, node, attempt, idempotency_key, request, deadline, dry_run } => {
                let row = self.journal.row();
                let rule = self.machine.definition().node(&node).map(workflow::definition::Node::on_unknown);
                let scene = Scene {
                    run: row.id,
                    workflow: row.workflow,
                    admission: self.admission.clone(),
                    payer: row.payer,
                    step,
                    node: node.clone(),
                    attempt,
                    idempotency_key,
                    deadline,
                    dry_run,
                    began: self.began(&node),
                    on_unknown: rule.unwrap_or(workflow::definition::OnUnknown::Stop),
                };
                let (shared, tenant) = (Arc::clone(self.shared), self.tenant.clone());
                self.steps.add(
                    node,
                    attempt,
                    Box::pin(
                        async move { crate::perform::perform(&shared, &tenant, &scene, *request).await },
                    ),
                );
            }
        }
    }
}

async fn has_begun(shared: &Shared, tenant: &Tenant<'_>, call: ids::CallId) -> Result<bool, DriveError> {
    match shared.app.store.call(tenant, call).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    let millis = then.millis().saturating_sub(now.millis()).max(0);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).saturating_add(1))
}
