//! Whether a tenant takes part: suspended, and resumed.

use crate::App;
use crate::operator_log::{Ending, record, record_on};
use crate::tenants::{TenantView, found, viewed};
use crate::transfers::has_left;
use audit::event::Action;
use context::{Operator, TenantStatus};
use errors::Problem;
use ids::TenantId;

const SUSPEND: Action = Action::new("tenant.suspend");
const RESUME: Action = Action::new("tenant.resume");
const TAKE_BACK: Action = Action::new("tenant.take_back");

/// Refuses every key of the tenant from the next request on, and parks its runs.
pub async fn suspend(
    app: &App,
    operator: &Operator,
    id: TenantId,
    expected: Option<u64>,
) -> Result<TenantView, Problem> {
    set_status(app, operator, id, expected, (TenantStatus::Suspended, SUSPEND)).await
}

/// Lets a suspended tenant take part again; one that was exported only where the caller says that it was imported nowhere.
pub async fn resume(
    app: &App,
    operator: &Operator,
    id: TenantId,
    expected: Option<u64>,
    not_imported: bool,
) -> Result<TenantView, Problem> {
    operator.must_change()?;
    let mut row = found(app, operator, id, expected).await?;
    let mut expected = expected;
    if row.status == TenantStatus::Leaving {
        if !not_imported {
            return Err(has_left());
        }
        row.status = TenantStatus::Suspended;
        let work = async { Ok(app.platform.update_tenant(operator, row).await?) };
        let row = record(app, operator, TAKE_BACK, ("tenant", &id.to_string()), work).await?;
        expected = expected.map(|_| row.version);
    }
    set_status(app, operator, id, expected, (TenantStatus::Active, RESUME)).await
}

async fn set_status(
    app: &App,
    operator: &Operator,
    id: TenantId,
    expected: Option<u64>,
    (status, action): (TenantStatus, Action),
) -> Result<TenantView, Problem> {
    operator.must_change()?;
    let mut row = found(app, operator, id, expected).await?;
    if row.status != status {
        row.status = status;
        let work = async { Ok(app.platform.update_tenant(operator, row).await?) };
        row = record_on(app, operator, action, id, Ending::InBothLogs, work).await?;
    }
    // Runs under way were let in before; they are told.
    match status {
        TenantStatus::Active => app.dispatch.resume(id),
        TenantStatus::Suspended | TenantStatus::Leaving | TenantStatus::Deleting => {
            app.dispatch.suspend(id);
            app.halt(operator, id).await;
        }
    }
    viewed(app, row).await
}
