//! Backup and restore of one tenant, and the change of its data key. What is in a backup, only the tenant's
//! own key opens.

use crate::operator_log::{Ending, record_on};
use crate::{App, ScratchFile};
use audit::event::Action;
use context::Operator;
use errors::Problem;
use ids::{BackupId, TenantId};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use store::{RestoreLoss, RestoreOptions, StoreError};
use tokio::join;
use tokio::sync::oneshot;
use tokio::time::timeout;

const BACKUP: Action = Action::new("tenant.backup");
const RESTORE: Action = Action::new("tenant.restore");
const CHANGE_KEY: Action = Action::new("tenant.change_key");

/// How long others that carry a tenant's runs out may take to let go of them. One that died holds them no longer either.
const LET_GO: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// For how long a tenant's runs are kept from everybody at a time, and how soon that is said again.
const PAUSE: Duration = Duration::from_secs(6);
const PAUSE_AGAIN: Duration = Duration::from_millis(1500);

/// The largest backup that is taken in, 16 GiB.
pub const MAX_BACKUP_BYTES: u64 = 16 << 30;

/// A restore that was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Restored {
    /// The tenant.
    pub tenant: TenantId,
    /// The backup that it was restored from.
    pub backup: BackupId,
    /// What was lost, where what was there before could not be read.
    pub loss: Option<RestoreLoss>,
}

/// A change of the data key that was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyChanged {
    /// The tenant.
    pub tenant: TenantId,
    /// What the change means for what was made before it.
    pub older_backups: &'static str,
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
    let replaced = async {
        // What is under way belongs to what is replaced; what was restored is gone on with.
        stop_runs(app, operator, id).await?;
        app.halt(operator, id).await;
        let restored = app.lifecycle.restore(operator, id, source, options).await;
        // Nothing that was read before counts any more.
        app.halt(operator, id).await;
        Ok(restored?)
    };
    let work = async {
        let replaced = while_paused(app, operator, id, replaced).await;
        app.dispatch.recover(id);
        replaced
    };
    let store::Restored { backup, loss } =
        record_on(app, operator, RESTORE, id, Ending::InBothLogs, work).await?;
    Ok(Restored { tenant: id, backup, loss })
}

/// Gives the tenant another data key and encrypts what it has stored anew. Its calls wait meanwhile.
pub async fn change_key(app: &App, operator: &Operator, id: TenantId) -> Result<KeyChanged, Problem> {
    operator.must_change()?;
    app.platform.tenant(operator, id).await?;
    let work = async { Ok(app.lifecycle.change_data_key(operator, id).await?) };
    record_on(app, operator, CHANGE_KEY, id, Ending::InBothLogs, work).await?;
    let older_backups = "They open no more: the key that they are sealed under is destroyed. Take a new one.";
    Ok(KeyChanged { tenant: id, older_backups })
}

/// Does something while nobody, here or elsewhere, is given a run of the tenant's. Where this process ends in between, they
/// are given again a term later.
async fn while_paused<T>(
    app: &App,
    operator: &Operator,
    id: TenantId,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let (store, by) = (&app.store, app.env.id());
    store.pause(operator, id, by, PAUSE).await?;
    let (over, mut is_over) = oneshot::channel::<()>();
    let worked = async {
        let outcome = work.await;
        drop(over);
        outcome
    };
    // It is not stopped in the middle of a statement, which might come after the end of the pause.
    let paused = async {
        while timeout(PAUSE_AGAIN, &mut is_over).await.is_err() {
            if let Err(error) = store.pause(operator, id, by, PAUSE).await {
                tracing::warn!(tenant.id = %id, %error, "a pause of the tenant's runs was not prolonged");
            }
        }
    };
    let (outcome, ()) = join!(worked, paused);
    if let Err(error) = store.resume(operator, id, by).await {
        tracing::warn!(tenant.id = %id, %error, "a pause of the tenant's runs ends by itself");
    }
    outcome
}

/// Ends all work for a tenant, here and wherever else its runs are carried out. When this is back, nobody acts any more
/// on what was under way. Nobody begins again for a tenant that is being erased, since it is not let in, nor while its
/// runs are given to nobody.
pub(crate) async fn stop_runs(app: &App, operator: &Operator, id: TenantId) -> Result<(), Problem> {
    app.dispatch.forget(id).await;
    app.store.revoke(operator, id).await?;
    let gone = async {
        while app.store.held(operator, id).await? > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok::<_, StoreError>(())
    };
    match timeout(LET_GO, gone).await {
        Ok(gone) => Ok(gone?),
        Err(_) => Err(StoreError::Unavailable.into()),
    }
}
