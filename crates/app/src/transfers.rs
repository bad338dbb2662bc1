//! Tenants that go from one deployment to another: exported where they are, imported where they are to be, and erased
//! where they were. From the export on nothing of a tenant changes where it was, so that its audit log has one history.

use crate::operator_log::{Deed, Ending, note_on, record, record_on};
use crate::{App, ScratchFile};
use audit::event::Action;
use context::{Operator, TenantStatus};
use errors::{Code, Problem};
use ids::TenantId;
use std::time::Duration;
use store::{Exported, Isolation, TenantRow};

const EXPORT: Action = Action::new("tenant.export");
const IMPORT: Action = Action::new("tenant.import");

/// After how long no other server lets an operator's deeds into the log of a tenant that is leaving: none goes by what it
/// remembers for longer than a second.
const KNOWN_EVERYWHERE: Duration = Duration::from_millis(1100);

/// What is refused of a tenant that was exported.
pub(crate) fn has_left() -> Problem {
    let detail = "The tenant has been exported for another deployment, so that nothing of it changes here. Delete it \
        once it was imported there, or resume it with `not_imported=true` where it was imported nowhere.";
    Problem::new(Code::Conflict, detail)
}

/// Writes all of a suspended tenant into a file on its way. From then on it is leaving.
pub async fn export(
    app: &App,
    operator: &Operator,
    id: TenantId,
) -> Result<(Exported, ScratchFile), Problem> {
    operator.must_change()?;
    let row = app.platform.tenant(operator, id).await?;
    let file = app.scratch.place(&app.env).await?;
    let work = async { write_out(app, operator, row.clone(), &file).await };
    let exported = match row.status {
        TenantStatus::Suspended => record_on(app, operator, EXPORT, id, Ending::InOperatorsLog, work).await?,
        // Once more, as it was the first time.
        TenantStatus::Leaving => record(app, operator, EXPORT, ("tenant", &id.to_string()), work).await?,
        TenantStatus::Active | TenantStatus::Deleting => {
            let detail = "Suspend the tenant first: what changes after the export would be lost.";
            return Err(Problem::new(Code::Conflict, detail));
        }
    };
    Ok((exported, file))
}

async fn write_out(
    app: &App,
    operator: &Operator,
    mut row: TenantRow,
    file: &ScratchFile,
) -> Result<Exported, Problem> {
    let (id, before) = (row.id, row.status);
    crate::lifecycle::stop_runs(app, operator, id).await?;
    app.halt(operator, id).await;
    if before == TenantStatus::Suspended {
        row.status = TenantStatus::Leaving;
        row = app.platform.update_tenant(operator, row).await?;
        if app.store.shared() {
            tokio::time::sleep(KNOWN_EVERYWHERE).await;
        }
    }
    let exported = app.lifecycle.export_tenant(operator, id, file.path()).await;
    if exported.is_err() && before == TenantStatus::Suspended {
        row.status = before;
        app.platform.update_tenant(operator, row).await?;
    }
    Ok(exported?)
}

/// Takes in a tenant that another deployment has exported. It is suspended until it is resumed here.
pub async fn import(
    app: &App,
    operator: &Operator,
    id: TenantId,
    file: &ScratchFile,
    isolation: Option<&str>,
) -> Result<Exported, Problem> {
    operator.must_change()?;
    let not_offered = || crate::isolations::not_offered(app);
    let isolation = isolation.map(|name| Isolation::parse(name).ok_or_else(not_offered)).transpose()?;
    let deed = Deed::new(IMPORT, vec![]);
    let source = file.path().to_owned();
    let work = async {
        let imported = app.lifecycle.import_tenant(operator, id, source, isolation).await?;
        note_on(app, operator, &deed, id).await?;
        Ok(imported)
    };
    record(app, operator, deed.clone(), ("tenant", &id.to_string()), work).await
}
