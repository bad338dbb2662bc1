//! What a job may do inside the transaction of a tenant's.

use super::TenantHandle;
use crate::error::Fault;
use crate::home::{Home, OWN, Session, params};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    pub(super) stored: Arc<AtomicI64>,
    pub(super) at_rest: Arc<AtomicBool>,
    pub(super) claimed: Arc<Mutex<Option<IdempotencyClaim>>>,
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
        let (stored, at_rest) = (Arc::new(AtomicI64::new(stored)), Arc::new(AtomicBool::new(at_rest)));
        Self { session: Arc::new(session), handle, home, stored, at_rest, claimed: Arc::default() }
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
        self.stored.fetch_add(growth, Ordering::Relaxed);
    }

    /// Counts what the tenant stores more, where its plan has room for that.
    pub(crate) fn admit(&self, limit: Option<u64>, growth: i64) -> Result<(), Fault> {
        let after = self.stored.load(Ordering::Relaxed).saturating_add(growth);
        if growth > 0 && limit.is_some_and(|limit| after.max(0).cast_unsigned() > limit) {
            return Err(StoreError::QuotaExceeded.into());
        }
        self.stores(growth);
        Ok(())
    }

    /// Says that the tenant stores something that is looked after.
    pub(crate) fn keeps_data(&self) {
        self.at_rest.store(true, Ordering::Relaxed);
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
