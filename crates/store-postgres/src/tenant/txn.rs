//! What a job may do inside the transaction of a tenant's.

use super::TenantHandle;
use super::recalled::Standing;
use crate::error::Fault;
use crate::home::{Home, OWN, Session, params};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{IdempotencyClaim, StoreError};

/// How long idempotency keys are kept.
const KEPT_MILLIS: i64 = 24 * 3_600_000;

/// What a job may do inside the transaction.
#[derive(Clone)]
pub(crate) struct Txn {
    session: Arc<Session>,
    pub(crate) handle: Arc<TenantHandle>,
    /// Where the transaction is. The tenant may be elsewhere when it has ended.
    pub(crate) home: Arc<Home>,
    kept: Arc<Mutex<Kept>>,
    claimed: Arc<Mutex<Option<IdempotencyClaim>>>,
}

/// What jobs have changed of what is written at the end.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) stored: i64,
    pub(super) at_rest: bool,
    /// Runs that were removed or put by something else than their moves.
    pub(super) changes_runs: bool,
    /// Runs that have begun.
    pub(super) begun: Vec<(String, Standing)>,
}

impl Deref for Txn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Txn {
    pub(super) fn over(
        session: Session,
        handle: Arc<TenantHandle>,
        home: Arc<Home>,
        (stored, at_rest): (i64, bool),
    ) -> Self {
        let kept = Kept { stored, at_rest, changes_runs: false, begun: Vec::new() };
        let kept = Arc::new(Mutex::new(kept));
        Self { session: Arc::new(session), handle, home, kept, claimed: Arc::default() }
    }

    /// The transaction for one job: what it changes is kept with [`Self::keep`].
    pub(super) fn job(&self) -> Self {
        Self { kept: Arc::new(Mutex::new(self.kept())), claimed: Arc::default(), ..self.clone() }
    }

    /// Keeps what a job has changed.
    pub(super) fn keep(&self, job: &Self) {
        *self.changing() = job.kept();
    }

    /// What was changed so far.
    pub(super) fn kept(&self) -> Kept {
        self.changing().clone()
    }

    fn changing(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn commit(&self) -> Result<(), Fault> {
        Ok(self.batch_execute("COMMIT").await?)
    }

    /// The session alone again, when no job has it any more.
    pub(super) fn end(self) -> Result<Session, Fault> {
        Arc::try_unwrap(self.session).map_err(|_| Fault::Damaged("a transaction that a job has kept"))
    }

    /// Counts what the tenant stores more, or less.
    pub(crate) fn stores(&self, growth: i64) {
        self.changing().stored += growth;
    }

    /// Counts what the tenant stores more, where its plan has room for that.
    pub(crate) fn admit(&self, limit: Option<u64>, growth: i64) -> Result<(), Fault> {
        fits(limit, self.kept().stored, growth)?;
        self.stores(growth);
        Ok(())
    }

    /// Says that the tenant stores something that is looked after.
    pub(crate) fn keeps_data(&self) {
        self.changing().at_rest = true;
    }

    /// Says that a run begins.
    pub(crate) fn begins(&self, run: String, standing: Standing) {
        self.changing().begun.push((run, standing));
    }

    /// Says that runs are removed or put by something else than their moves.
    pub(crate) fn changes_runs(&self) {
        self.changing().changes_runs = true;
    }

    /// Takes an idempotency key, which no other write may have taken while it is kept.
    pub(super) async fn claim(&self, claim: &IdempotencyClaim) -> Result<(), Fault> {
        let key = claim.key.as_slice();
        let now = claim.until.millis() - KEPT_MILLIS;
        let taken = self
            .query_typed(
                "SELECT 1 FROM remembered WHERE key = $1 AND until > $2",
                params![key => BYTEA, now => INT8],
            )
            .await?;
        if !taken.is_empty() {
            return Err(StoreError::Claimed.into());
        }
        self.execute_typed(
            &format!(
                "DELETE FROM remembered WHERE {OWN} AND key IN
                    (SELECT key FROM remembered WHERE {OWN} AND until <= $1 ORDER BY until LIMIT 4)"
            ),
            params![now => INT8],
        )
        .await?;
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = Some(claim.clone());
        self.put_claim(claim, claim.answer.known()).await
    }

    /// Writes a claim down, with its answer where that is known.
    pub(crate) async fn put_claim(
        &self,
        claim: &IdempotencyClaim,
        answer: Option<(u16, Vec<u8>)>,
    ) -> Result<(), Fault> {
        let (status, body) = answer.unzip();
        let name = hex::encode(claim.key);
        let seal = |body: Vec<u8>| self.handle.seal_bytes("remembered", &[&name], &body);
        let body = body.map(seal).transpose()?;
        let (key, request) = (claim.key.as_slice(), claim.request.as_slice());
        self.execute_typed(
            "INSERT INTO remembered(key, request, until, status, body) VALUES($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, key) DO UPDATE
             SET request = $2, until = $3, status = $4, body = $5",
            params![key => BYTEA, request => BYTEA, claim.until.millis() => INT8,
                status.map(i64::from) => INT8, body => BYTEA],
        )
        .await?;
        Ok(())
    }

    /// Says what this write's idempotency key is answered with, where that is known only now.
    pub(crate) async fn answer(&self, written: &impl serde::Serialize) -> Result<(), Fault> {
        let claim = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(claim) = claim.map(|claim| claim.answered(written)) else { return Ok(()) };
        match claim.answer.known() {
            Some(answer) => self.put_claim(&claim, Some(answer)).await,
            None => Ok(()),
        }
    }
}

/// Whether a tenant that stores so much may store more.
pub(super) fn fits(limit: Option<u64>, stored: i64, growth: i64) -> Result<(), Fault> {
    let after = stored.saturating_add(growth).max(0).cast_unsigned();
    if growth > 0 && limit.is_some_and(|limit| after > limit) {
        return Err(StoreError::QuotaExceeded.into());
    }
    Ok(())
}
