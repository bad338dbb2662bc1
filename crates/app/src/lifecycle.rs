//! Backup and restore of one tenant. What is in a backup, only the tenant's own key opens.

use crate::operator_log::{Ending, record_on};
use crate::{App, ScratchFile};
use audit::event::Action;
use context::Operator;
use errors::Problem;
use ids::{BackupId, TenantId};
use schemars::JsonSchema;
use serde::Serialize;
use store::RestoreOptions;

const BACKUP: Action = Action::new("tenant.backup");
const RESTORE: Action = Action::new("tenant.restore");

/// The largest backup that is taken in, 16 GiB.
pub const MAX_BACKUP_BYTES: u64 = 16 << 30;

/// A restore that was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Restored {
    /// The tenant.
    pub tenant: TenantId,
    /// The backup that it was restored from.
    pub backup: BackupId,
}

/// Writes a backup of the tenant into a file on its way.
pub async fn back_up(
    app: &App,
    operator: &Operator,
    id: TenantId,
) -> Result<(BackupId, ScratchFile), Problem> {
    operator.must_change()?;
    app.platform.tenant(operator, id).await?;
    let file = app.scratch.place(&app.env).await?;
    let work = async { Ok(app.lifecycle.backup(operator, id, file.path()).await?) };
    let backup = record_on(app, operator, BACKUP, id, Ending::InBothLogs, work).await?;
    Ok((backup, file))
}

/// Puts a backup that has arrived in the place of the tenant's store.
pub async fn restore(
    app: &App,
    operator: &Operator,
    id: TenantId,
    file: &ScratchFile,
    options: RestoreOptions,
) -> Result<Restored, Problem> {
    operator.must_change()?;
    app.platform.tenant(operator, id).await?;
    let source = file.path().to_owned();
    let work = async {
        // What is under way belongs to what is replaced; what was restored is gone on with.
        app.dispatch.forget(id).await;
        app.halt(operator, id).await;
        let restored = app.lifecycle.restore(operator, id, source, options).await;
        // Nothing that was read before counts any more.
        app.halt(operator, id).await;
        app.dispatch.recover(id);
        Ok(restored?)
    };
    let backup = record_on(app, operator, RESTORE, id, Ending::InBothLogs, work).await?;
    Ok(Restored { tenant: id, backup })
}
