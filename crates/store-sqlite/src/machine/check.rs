//! The isolation check of what was put back: each tenant's key, identity, journal entries, log and credentials go
//! together, and nothing of one tenant opens under the next one's key.

use crate::EmbeddedStore;
use crate::error::Fault;
use crate::journal::{Journal, JournalKey};
use crate::keys::TenantKeys;
use crate::platform::subject_id;
use crate::tenant::{Database, Home, TenantHandle, blocking};
use crate::tree::{LogBase, Tree};
use audit::export::follow_leaves;
use context::IndexedSubject;
use env::Timestamp;
use ids::TenantId;
use serde::Serialize;
use serde_json::Value;
use sqlcipher::{OptionalExtension, params};
use std::sync::Arc;
use store::{ApiKeyRecord, Entity, SigningKey};

/// A tenant of whom not everything goes together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedCheck {
    /// The tenant.
    pub tenant: TenantId,
    /// What does not.
    pub reason: String,
}

/// What the check has gone through.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) events: u64,
    pub(super) failed: Vec<FailedCheck>,
}

/// Checks every one of these tenants.
pub(super) async fn check(store: &EmbeddedStore, tenants: &[TenantId]) -> Checked {
    let mut checked = Checked::default();
    for (place, id) in tenants.iter().enumerate() {
        // Whose key must not open what is this tenant's.
        let other = tenants[(place + 1) % tenants.len()];
        match check_one(store, *id, other).await {
            Ok(events) => checked.events += events,
            Err(fault) => {
                checked.failed.push(FailedCheck { tenant: *id, reason: fault.to_string() });
            }
        }
    }
    checked
}

async fn check_one(store: &EmbeddedStore, id: TenantId, other: TenantId) -> Result<u64, Fault> {
    let handle = store.handle_of(id).await?;
    let lines = store.inner().platform.lines_of(id).await?;
    // A neighbour whose own key is damaged fails in its turn.
    let other = match other == id {
        true => None,
        false => store.handle_of(other).await.ok().map(|other| other.keys()),
    };
    let checked = blocking(move || {
        if let Some(other) = other {
            opens_for_nobody_else(&handle, &other)?;
        }
        let checked = handle.with_database(|database| {
            authenticate(database)?;
            lines.iter().try_for_each(|(subject, end)| is_held(database, subject, *end))?;
            follow_log(database, &handle.keys())
        });
        handle.close()?;
        checked
    })
    .await;
    // Thousands of tenants are gone through, one after the other.
    store.inner().handles.discard(id).await?;
    checked
}

/// Another tenant's key opens neither the file nor an entry in the journal.
fn opens_for_nobody_else(handle: &TenantHandle, other: &Arc<TenantKeys>) -> Result<(), Fault> {
    let options = crate::sqlite::tenant_options(false);
    if handle.path().exists() && sqlcipher::open(handle.path(), other.content(), &options).is_ok() {
        return Err(Fault::WrongTenant);
    }
    let journal: &Journal = handle.journal();
    for entry in journal.entries(handle.id, 0, 1)? {
        if JournalKey::derive(other.data(), handle.id, entry.segment).open(&entry.sealed).is_ok() {
            return Err(Fault::WrongTenant);
        }
    }
    Ok(())
}

/// Every page of the file authenticates under the tenant's key, and so every row is of what it wrote.
fn authenticate(database: &Database) -> Result<(), Fault> {
    if database.home == Home::Memory {
        return Ok(());
    }
    sqlcipher::integrity(&database.connection).map_err(|_| Fault::Damaged("the tenant's file"))
}

/// A key that the index takes for this tenant's is one that the tenant has, and gives what the tenant's row says. A
/// key's row is written before its line and removed after it, so that this holds at every moment. The line of an
/// inbound address may outlive its workflow, and leads nowhere then.
fn is_held(database: &Database, subject: &IndexedSubject, end: Option<Timestamp>) -> Result<(), Fault> {
    let held = match subject {
        IndexedSubject::ApiKey { id, role, scopes, agent } => {
            let row: Option<ApiKeyRecord> = stored(database, &id.to_string())?;
            row.is_some_and(|row| {
                row.role == *role && row.scopes == *scopes && row.agent == *agent && row.expires_at == end
            })
        }
        IndexedSubject::SigningKey { id, algorithm, public_jwk, role } => {
            let row: Option<SigningKey> = stored(database, &id.to_string())?;
            let jwk: Option<Value> = serde_json::from_str(public_jwk).ok();
            row.is_some_and(|row| row.alg == *algorithm && row.role == *role && Some(row.public_jwk) == jwk)
        }
        IndexedSubject::Hook { .. } => true,
        // None of these is any tenant's here: no tenant of this backend has a worker of its own.
        IndexedSubject::Operator { .. }
        | IndexedSubject::VerifyGrant { .. }
        | IndexedSubject::Worker { .. } => false,
    };
    if held { Ok(()) } else { Err(Fault::ForeignCredential(subject_id(subject))) }
}

fn stored<E: Entity>(database: &Database, id: &str) -> Result<Option<E>, Fault> {
    let mut select =
        database.connection.prepare_cached("SELECT body FROM object WHERE kind = ?1 AND id = ?2")?;
    let body: Option<String> =
        select.query_row(params![E::KIND.as_str(), id], |row| row.get(0)).optional()?;
    let read = |body: String| serde_json::from_str(&body).map_err(|_| Fault::Damaged("a credential's row"));
    body.map(read).transpose()
}

/// Opening has checked whose file it is, and that the journal's entries open under the tenant's key. The log's
/// leaves must follow each other and have the root that the tree has.
fn follow_log(database: &mut Database, keys: &TenantKeys) -> Result<u64, Fault> {
    let origin = keys.log().origin();
    let log = LogBase::of(origin.epoch);
    let connection = &database.connection;
    let size = log.size(connection)?;
    let mut followed = follow_leaves(origin);
    let mut select = connection.prepare("SELECT leaf FROM audit_event WHERE number >= ?1 ORDER BY number")?;
    let mut rows = select.query([log.row(0)])?;
    while let Some(row) = rows.next()? {
        let leaf: Vec<u8> = row.get(0)?;
        followed.take(&leaf).map_err(|fault| {
            tracing::error!(tenant.id = %database.identity, %fault, "a restored audit log is not whole");
            Fault::Damaged("the audit log")
        })?;
    }
    let root = Tree::new(connection, log).frontier(size)?.root();
    if followed.size_and_root() == (size, root) { Ok(size) } else { Err(Fault::Damaged("the audit tree")) }
}
