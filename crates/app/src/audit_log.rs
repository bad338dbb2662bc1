//! The tenant's audit log, as the tenant reads and checks it.

use crate::{App, Flush};
use context::{Private, Read, Tenant, on};
use errors::Problem;
use store::{AuditEvent, AuditQuery, InclusionProof, Page, PageRequest};

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

/// A signed checkpoint over the whole log.
pub async fn checkpoint<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, String>, Problem> {
    let access = tenant.authorize::<Read<on::Audit>>()?;
    Ok(app.store.checkpoint(&access).await?)
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
