//! [`Owed`]: tenants whose messages were to be forgotten while NATS could not be asked to. They are owed until it can:
//! an erased tenant leaves nothing. Where this server ends before that, what NATS keeps goes with its age.

use crate::link::PATIENCE;
use crate::streams::Streams;
use bus::BusUnavailable;
use ids::TenantId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many tenants may be owed it.
const MOST: usize = 100_000;
/// How long between two attempts, at first and at the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whose messages are still to be forgotten.
#[derive(Clone, Default)]
pub(crate) struct Owed {
    debts: Arc<Mutex<Debts>>,
}

#[derive(Default)]
struct Debts {
    tenants: BTreeSet<TenantId>,
    /// Whether a task is at it.
    under_way: bool,
}

impl Owed {
    fn debts(&self) -> MutexGuard<'_, Debts> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this tenant is owed it: nothing is told or heard in it before.
    pub(crate) fn contains(&self, tenant: TenantId) -> bool {
        self.debts().tenants.contains(&tenant)
    }

    /// Forgets what is kept of a tenant, now or as soon as NATS can be asked to.
    pub(crate) async fn forget(&self, streams: &Streams, tenant: TenantId) {
        // Written down first: who asked may be gone before NATS answers.
        if !self.note(tenant) {
            tracing::error!(tenant.id = %tenant, "too many tenants' messages are still to be forgotten; NATS drops this one's by age");
        }
        let settled = tokio::time::timeout(PATIENCE, self.settle(streams, tenant)).await;
        if !matches!(settled, Ok(Ok(()))) {
            tracing::error!(tenant.id = %tenant, "NATS still keeps messages of a tenant that were to be forgotten; it is asked again until they are");
            self.pursue(streams);
        }
    }

    /// Forgets what is owed to a tenant.
    pub(crate) async fn settle(&self, streams: &Streams, tenant: TenantId) -> Result<(), BusUnavailable> {
        if !streams.connection.is_up() {
            return Err(BusUnavailable);
        }
        streams.remove(tenant).await?;
        self.debts().tenants.remove(&tenant);
        Ok(())
    }

    fn note(&self, tenant: TenantId) -> bool {
        let mut debts = self.debts();
        debts.tenants.len() < MOST && {
            debts.tenants.insert(tenant);
            true
        }
    }

    /// Starts the task that forgets what is owed, where none is at it.
    fn pursue(&self, streams: &Streams) {
        if std::mem::replace(&mut self.debts().under_way, true) {
            return;
        }
        let (owed, streams) = (self.clone(), streams.clone());
        tokio::spawn(async move { owed.until_none(&streams).await });
    }

    async fn until_none(&self, streams: &Streams) {
        let mut times = streams.connection.times.clone();
        let mut pause = FIRST_PAUSE;
        while let Some(tenant) = self.first() {
            if self.settle(streams, tenant).await.is_ok() {
                tracing::info!(tenant.id = %tenant, "NATS has forgotten the tenant's messages now");
                pause = FIRST_PAUSE;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = times.changed() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One that is owed it. Where there is none, the task is over.
    fn first(&self) -> Option<TenantId> {
        let mut debts = self.debts();
        let first = debts.tenants.first().copied();
        debts.under_way = first.is_some();
        first
    }
}
