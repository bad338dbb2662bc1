//! Performing an attempt: from the engine's request to its outcome.

mod ai;
mod http;
mod outcome;
mod record;

use crate::worker::Shared;
use context::{Admission, Tenant};
use env::Timestamp;
use ids::{CallId, Id, RecordId, RunId, StepId, WorkflowId};
use sha2::{Digest, Sha256};
use std::time::Duration;
use store::Payer;
use tokio::sync::{Semaphore, SemaphorePermit};
use workflow::definition::OnUnknown;
use workflow::{NodeName, Outcome, Request};

/// How long before the attempt's time is up its calls end, so that their ends are written down in time.
const MARGIN: Duration = Duration::from_millis(250);
/// What part of an attempt's time is spent on waiting for a place at the most. The rest has to do for what is
/// to be performed.
const WAITING_PART: u32 = 4;
/// How long an attempt that found no place is put off the first time, and each time twice as long up to the most.
/// Meanwhile its run gives up its own place, if nothing else of it is under way, and it has waited before: what is
/// written down for each try stands for that.
const PUT_OFF: Duration = Duration::from_secs(1);
const MOST_PUT_OFF: Duration = Duration::from_secs(10);

/// What an attempt is part of.
pub(crate) struct Scene {
    pub(crate) run: RunId,
    pub(crate) workflow: WorkflowId,
    /// Lets its calls to models in, as visits of their own.
    pub(crate) admission: Admission,
    /// Whose key and agent its calls are charged to.
    pub(crate) payer: Payer,
    pub(crate) step: StepId,
    pub(crate) node: NodeName,
    pub(crate) attempt: u32,
    pub(crate) idempotency_key: String,
    pub(crate) deadline: Timestamp,
    pub(crate) dry_run: bool,
    pub(crate) began: Timestamp,
    pub(crate) on_unknown: OnUnknown,
}

impl Scene {
    /// How long a call that begins now may take.
    fn time_left(&self, shared: &Shared) -> Duration {
        self.deadline.since(shared.app.env.now()).saturating_sub(MARGIN)
    }
}

/// Performs an attempt whose beginning is durable.
pub(crate) async fn perform(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    request: Request,
) -> Outcome {
    if scene.dry_run && request.has_effect() {
        return Outcome::Succeeded { output: request.simulated_output(), cost: None };
    }
    // After a pause of the whole process somebody else may have the run, and what is written is refused.
    if !holds(shared, tenant) {
        return Outcome::Unknown;
    }
    let own = shared.scheduler.step_places(tenant.id());
    let patience = scene.time_left(shared) / WAITING_PART;
    let Ok(Some(_places)) = tokio::time::timeout(patience, places(shared, &own)).await else {
        return put_off(shared, scene);
    };
    match request {
        Request::Ai { .. } => ai::perform(shared, scene, request).await,
        Request::Http { .. } => http::perform(shared, tenant, scene, request).await,
        Request::Record { .. } => record::perform(shared, tenant, scene, request).await,
    }
}

/// Whether the run is still this process's, as far as it knows.
fn holds(shared: &Shared, tenant: &Tenant<'_>) -> bool {
    tenant.lease().is_none_or(|lease| shared.claims.is_live(lease))
}

/// Tries again a little later, longer each time.
fn put_off(shared: &Shared, scene: &Scene) -> Outcome {
    let wait = PUT_OFF.saturating_mul(1 << scene.attempt.saturating_sub(1).min(8)).min(MOST_PUT_OFF);
    Outcome::RateLimited { until: shared.app.env.now().plus(wait) }
}

/// A place of the tenant's and one of all tenants'. The tenant's own comes first, so that its slow steps never
/// hold another's; its first step need not wait for those of others.
async fn places<'p>(shared: &'p Shared, own: &'p Semaphore) -> Option<[SemaphorePermit<'p>; 2]> {
    let none_under_way = own.available_permits() == shared.scheduler.steps_per_tenant();
    let mine = own.acquire().await.ok()?;
    if none_under_way && let Ok(first) = shared.first_steps.try_acquire() {
        return Some([mine, first]);
    }
    Some([mine, shared.steps.acquire().await.ok()?])
}

/// The id of an attempt's call, the same whenever it is asked for: so after a stop it can be found out
/// whether the attempt had begun.
pub(crate) fn call_id(run: RunId, step: StepId, (attempt, turn): (u32, Turn), began: Timestamp) -> CallId {
    let turn = match turn {
        Turn::First => "",
        Turn::Renewed => "\nrenewed",
    };
    derived(&format!("call\n{run}\n{step}\n{attempt}{turn}"), began)
}

/// Which call of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    /// After the service refused the access token, with a new one.
    Renewed,
}

/// The id of the record that a step adds, the same for every attempt of it.
fn record_id(scene: &Scene) -> RecordId {
    // The key is the same for all attempts and another once a step that had succeeded is run again. The
    // time must not change with the attempt either, so it is left out.
    derived(&format!("record\n{}\n{}", scene.run, scene.idempotency_key), Timestamp::from_millis(0))
}

fn derived<I: Id>(text: &str, at: Timestamp) -> I {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut chance = [0; 10];
    chance.copy_from_slice(&digest[..10]);
    I::from_parts(u64::try_from(at.millis()).unwrap_or(0), chance)
}
