//! [`Held`]: what a call holds until its row is written.

use crate::{Admitted, LimitError, Limiter, PlannedCall};
use context::Tenant;
use ids::CallId;

/// What a call holds between its admission and the writing of its row. Nothing else tells of it meanwhile, so
/// dropping this gives it back: a caller who stops waiting, or falls over, leaves nothing held.
pub struct Held<'v, 't> {
    limiter: &'v dyn Limiter,
    tenant: &'v Tenant<'t>,
    call: Option<CallId>,
}

impl<'v, 't> Held<'v, 't> {
    /// Admits a call, as [`Limiter::begin`] does.
    pub async fn begin(
        limiter: &'v dyn Limiter,
        tenant: &'v Tenant<'t>,
        call: &PlannedCall,
    ) -> Result<(Self, Admitted), LimitError> {
        let admitted = limiter.begin(tenant, call).await?;
        Ok((Self { limiter, tenant, call: Some(call.id) }, admitted))
    }

    /// The row is on its way into the store, so from here on it is the row that tells.
    pub fn written(mut self) {
        self.call = None;
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.limiter.abandon(self.tenant, call);
        }
    }
}
