//! The tenant's audit log, as the tenant reads, checks and takes it away.

use crate::{App, Flush, note};
use audit::event::Action;
use context::{Admission, Delete, Private, Read, Tenant, door, on};
use errors::Problem;
use ids::EventId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    AuditEvent, AuditQuery, Commit, Erasure, IdempotencyClaim, InclusionProof, Page, PageRequest, StoreError,
};

const EXPORT: Action = Action::new("audit.export");
const ERASE: Action = Action::new("audit.erase_personal");

/// Which personal values are erased. Give one of the three.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ErasePersonal {
    /// All that this event discloses.
    pub event: Option<EventId>,
    /// All that the events of this actor disclose, and its id wherever it is disclosed. It is the id in the
    /// log, or the one that the tenant's tokens have for the person.
    pub actor: Option<String>,
    /// This very value, wherever it is disclosed.
    pub value: Option<String>,
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErasedPersonal {
    /// How many values.
    pub erased: u64,
}

/// Erases personal values from the log. Its events, their hashes and all proofs stay as they are; in the
/// place of each value is what the leaf commits to.
pub async fn erase_personal<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: ErasePersonal,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, ErasedPersonal>, Problem> {
    let access = tenant.authorize::<Delete<on::Audit>>()?;
    // The event says by what was asked, and never the person.
    let (erasure, kind, id) = match input {
        ErasePersonal { event: Some(event), actor: None, value: None } => {
            (Erasure::Event(event), "event", event.to_string())
        }
        ErasePersonal { event: None, actor: Some(actor), value: None } if !actor.is_empty() => {
            (Erasure::Actor(actor), "actor", "personal".to_owned())
        }
        ErasePersonal { event: None, actor: None, value: Some(value) } if !value.is_empty() => {
            (Erasure::Value(value), "value", "personal".to_owned())
        }
        _ => return Err(Problem::invalid("Give one of `event`, `actor` and `value`.")),
    };
    // What was noted by the minute is in the log before anything is erased from it.
    app.reads.flush(app.store.as_ref(), app.env.now(), Flush::Tenant(tenant.id())).await?;
    let event = note(tenant, ERASE, "audit", id, [("by", json!(kind))]);
    let erased = app.store.erase_disclosures(&access, &erasure, Commit::event(event).claiming(claim)).await?;
    Ok(Private::sent(tenant, ErasedPersonal { erased }))
}

/// A page of events, newest first. Whatever was acknowledged before is in it, reads too.
pub async fn events<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    query: &AuditQuery,
    page: &PageRequest,
) -> Result<Private<'t, Page<AuditEvent>>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    app.reads.flush(app.store.as_ref(), app.env.now(), Flush::Tenant(tenant.id())).await?;
    Ok(app.store.events(&access, query, page).await?)
}

/// How many events the log has, and a signed checkpoint over exactly that many.
pub async fn checkpoint<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, (u64, String)>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    Ok(app.store.checkpoint_with_size(&access).await?)
}

/// The verifier key.
pub async fn verifier_key<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, String>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    Ok(app.store.verifier_key(&access).await?)
}

/// A proof that an event is in the log.
pub async fn prove_inclusion<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    index: u64,
) -> Result<Private<'t, InclusionProof>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    Ok(app.store.prove_inclusion(&access, index).await?)
}

/// The hashes that show that an earlier log is a prefix of the present one, and the present checkpoint.
pub async fn prove_consistency<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    size: u64,
) -> Result<Private<'t, (Vec<[u8; 32]>, String)>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    Ok(app.store.prove_consistency(&access, size).await?)
}

/// The beginning of an export: how many leaves it will have, and the checkpoint over exactly those.
pub struct ExportBeginning {
    /// How many leaves.
    pub size: u64,
    /// The signed checkpoint over them.
    pub checkpoint: String,
}

/// Begins an export. That somebody takes the log away is its last event.
pub async fn begin_export(app: &App, admission: &Admission) -> Result<ExportBeginning, Problem> {
    admission
        .clone()
        .enter(async |tenant| {
            let access = tenant.authorize::<Read<on::Audit>>()?;
            app.reads.flush(app.store.as_ref(), app.env.now(), Flush::Tenant(tenant.id())).await?;
            let event = note(&tenant, EXPORT, "audit", "events", []);
            app.store.append_events(&tenant, vec![event]).await?;
            let found = app.store.checkpoint_with_size(&access).await?;
            let (size, checkpoint) = door::export(&tenant, found).map_err(StoreError::from)?;
            Ok(ExportBeginning { size, checkpoint })
        })
        .await
}

/// The exact leaves from `from` on, as many as one page holds and none from `size` on. Each page is a visit
/// of its own, so a long export holds nothing of the tenant's between two of them.
pub async fn export_page(
    app: &App,
    admission: &Admission,
    from: u64,
    size: u64,
) -> Result<Vec<Vec<u8>>, Problem> {
    let limit = u32::try_from(size.saturating_sub(from)).unwrap_or(u32::MAX).min(PageRequest::MAX_LIMIT);
    admission
        .clone()
        .enter(async |tenant| {
            let access = tenant.authorize::<Read<on::Audit>>()?;
            let found = app.store.leaves(&access, from, limit).await?;
            Ok(door::export(&tenant, found).map_err(StoreError::from)?)
        })
        .await
}
