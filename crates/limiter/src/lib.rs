//! The port to limits: how often, how many at once and for how much a tenant may call.
//!
//! Every call takes the [`Tenant`], whose standing holds the limits as of its admission, so a change of plan
//! applies to the next request. A call is admitted whole or not at all: [`Limiter::begin`] takes a place, a
//! use of the window and the worst case in every budget, or none of them. Between `begin` and
//! [`Limiter::settle`] or [`Limiter::release`] the call's row is written to the tenant's store; what is
//! kept here can be lost at any time and is restored from those rows.

mod call;
mod error;
mod held;

pub use call::{Admitted, Kind, LimitStanding, Parallel, PlannedCall};
pub use error::{LimitError, LimiterUnavailable};
pub use held::Held;

use async_trait::async_trait;
use context::{Operator, Tenant};
use ids::{CallId, TenantId};
use metering::budget::{BudgetStanding, Closed};
use metering::window::Standing;
use money::Usd;

/// Decides whether a tenant may call now, and keeps count.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Admits one request to the server.
    async fn request(&self, tenant: &Tenant<'_>) -> Result<Standing, LimitError>;

    /// Where the tenant's rate of requests stands, without a request.
    async fn requests(&self, tenant: &Tenant<'_>) -> Result<Standing, LimiterUnavailable>;

    /// Admits a call: a place among those under way, a use of its window, its worst case in every budget that
    /// covers it. All of them or none. A call without a price is refused where a budget covers it.
    async fn begin(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError>;

    /// Ends a call at its cost, which may exceed what was held. To be called once the outcome has its place in
    /// the store, so that what is admitted on the strength of it comes after it there. A call whose lease ended
    /// without an outcome is ended so, too, at what it held: until its row says so, its reservation counts as
    /// much as the charge will. `None` where the call is not known, or settled already.
    async fn settle(
        &self,
        tenant: &Tenant<'_>,
        call: CallId,
        cost: Usd,
    ) -> Result<Option<Closed>, LimiterUnavailable>;

    /// Ends a call that never left: what it held is free again. Its use of the window stays, as a retry
    /// without end would cost others their turn. `None` where the call holds nothing.
    async fn release(&self, tenant: &Tenant<'_>, call: CallId) -> Result<Option<Closed>, LimiterUnavailable>;

    /// Gives back, without waiting, what a call holds of which no row was written: whoever began it is gone. A
    /// call that this does not reach is charged when its lease ends.
    fn abandon(&self, tenant: &Tenant<'_>, call: CallId);

    /// Where the tenant's limits on calls of this kind stand.
    async fn standing(&self, tenant: &Tenant<'_>, kind: Kind) -> Result<LimitStanding, LimiterUnavailable>;

    /// Where the tenant's budgets stand.
    async fn budgets(&self, tenant: &Tenant<'_>) -> Result<Vec<BudgetStanding>, LimiterUnavailable>;

    /// Reads the tenant's budgets again from where they are kept. To be called after each change of them; the
    /// last of several at once sees all changes.
    async fn refresh_budgets(&self, tenant: &Tenant<'_>) -> Result<(), LimiterUnavailable>;

    /// Holds again what a call held that was settled or released here, because its outcome did not become
    /// durable: the store says that the call is open, and it is charged what it held when its lease ends. What
    /// it was charged here stays charged until the meter is restored, so that a budget is rather refused than
    /// overspent. Nothing that other calls hold is touched.
    async fn reopen(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<(), LimiterUnavailable>;

    /// Forgets what is kept of a tenant that was restored from a backup or is being erased. Calls under way
    /// are forgotten, too: they must have ended.
    async fn forget(&self, operator: &Operator, tenant: TenantId);

    /// Drops what is idle, charges calls whose lease ended and of which no row told, and settles what could not be
    /// settled before. To be called every now and then.
    async fn sweep(&self);
}
