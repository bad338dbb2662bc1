//! Moves of tenants to another kind of home.

use crate::App;
use crate::isolations::not_offered;
use crate::operator_log::{Deed, Ending, record_on};
use audit::event::Action;
use context::Operator;
use errors::{Code, Problem};
use ids::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use store::{Isolation, MovePhase, StoreError, TenantMove};
use tokio::sync::oneshot;

const MOVE: Action = Action::new("tenant.move");
/// How often it is looked whether a move has ended.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where a tenant is to be moved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveInput {
    /// How the tenant is to be kept apart: `dedicated`, `schema` or `pooled`, where the deployment offers it.
    pub to: String,
}

/// A tenant's move, as the operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MoveView {
    /// How the tenant was kept apart before.
    pub from: String,
    /// How it is to be kept apart.
    pub to: String,
    /// `waiting`, `making`, `copying`, `comparing`, `switching`, `removing`, `undoing`, `done` or `failed`.
    pub phase: String,
    /// How many rows the tenant has, once they are copied.
    pub rows: Option<u64>,
    /// For how many milliseconds the tenant's writes waited, where that is known.
    pub writes_waited_ms: Option<u64>,
    /// What went wrong last.
    pub error: Option<String>,
}

impl From<TenantMove> for MoveView {
    fn from(it: TenantMove) -> Self {
        Self {
            from: it.from.to_string(),
            to: it.to.to_string(),
            phase: it.phase.as_str().to_owned(),
            rows: it.rows,
            writes_waited_ms: it.paused.map(|paused| u64::try_from(paused.as_millis()).unwrap_or(u64::MAX)),
            error: it.error,
        }
    }
}

/// Has a tenant moved to another kind of home, and does not wait for it. How it ended is written into both logs.
pub async fn begin(
    app: &Arc<App>,
    operator: &Operator,
    id: TenantId,
    input: &MoveInput,
) -> Result<MoveView, Problem> {
    operator.must_change()?;
    let row = app.platform.tenant(operator, id).await?;
    let to = Isolation::parse(&input.to).ok_or_else(|| not_offered(app))?;
    let details = vec![("from", row.isolation.to_string()), ("to", to.to_string())];
    let (app, operator) = (app.clone(), operator.clone());
    let (say, asked) = oneshot::channel();
    // A move takes as long as there is data, and its end is to be in the logs whatever becomes of the caller.
    let moving = tokio::spawn(async move {
        let work = async {
            let begun = app.lifecycle.move_tenant(&operator, id, to).await?;
            // The caller may be gone.
            let _ = say.send(MoveView::from(begun));
            until_ended(&app, &operator, id).await
        };
        record_on(&app, &operator, Deed::new(MOVE, details), id, Ending::InBothLogs, work).await
    });
    match asked.await {
        Ok(begun) => Ok(begun),
        // It was refused, and why is what came of it.
        Err(_) => Err(moving.await.map_err(|_| Problem::internal())?.err().unwrap_or_else(Problem::internal)),
    }
}

/// Waits for the end of a move. A store that does not answer meanwhile is asked again.
async fn until_ended(app: &App, operator: &Operator, id: TenantId) -> Result<(), Problem> {
    loop {
        match app.lifecycle.tenant_move(operator, id).await {
            Ok(Some(TenantMove { phase: MovePhase::Done, .. })) => return Ok(()),
            Ok(Some(TenantMove { phase: MovePhase::Failed, error, .. })) => {
                let detail = error.unwrap_or_else(|| "The move failed.".to_owned());
                return Err(Problem::new(Code::Unavailable, detail));
            }
            Ok(None) => return Err(StoreError::NotFound.into()),
            Err(StoreError::NotFound) => return Err(StoreError::NotFound.into()),
            Ok(Some(_)) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
