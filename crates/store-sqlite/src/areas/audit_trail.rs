//! The audit log: reading, proving, exporting, and erasing what it discloses.

use super::audit_search::{Row, search};
use super::paged;
use crate::error::Fault;
use crate::keys::TenantKeys;
use crate::rows::{Cell, Table};
use crate::tenant::{Append, Database, TenantHandle, Txn};
use crate::tree::{LogBase, Tree};
use crate::{EmbeddedStore, cursor};
use async_trait::async_trait;
use audit::event::{Disclosure, Draft, View};
use audit::merkle::{Hash, ProofError, consistency_proof, inclusion_proof};
use context::{Access, Delete, Private, Read, Tenant, on};
use env::Env;
use ids::EventId;
use sqlcipher::{Executor, OptionalExtension, params};
use store::{
    AuditEvent, AuditQuery, AuditTrail, Commit, Erasure, Happened, Happenings, InclusionProof, Page,
    PageRequest, StoreError,
};

/// Where the log that is being written begins.
fn present(keys: &TenantKeys) -> LogBase {
    LogBase::of(keys.log().origin().epoch)
}

fn tree<'d>(database: &'d Database, keys: &TenantKeys) -> Tree<'d> {
    Tree::new(&database.connection, present(keys))
}

pub(super) fn size(database: &Database, keys: &TenantKeys) -> Result<u64, Fault> {
    present(keys).size(&database.connection)
}

pub(super) fn checkpoint(database: &Database, keys: &TenantKeys, size: u64) -> Result<String, Fault> {
    let root = tree(database, keys).frontier(size)?.root();
    Ok(keys.log().sign(size, root).to_string())
}

/// The size that is asked for, if the log has as many events; else how many it has.
fn size_of(database: &Database, keys: &TenantKeys, wanted: Option<u64>) -> Result<u64, Fault> {
    let size = size(database, keys)?;
    match wanted {
        Some(wanted) if wanted > size => {
            Err(StoreError::Invalid("The log has fewer events than that.".into()).into())
        }
        wanted => Ok(wanted.unwrap_or(size)),
    }
}

/// A proof that an event is in the log that is being written.
pub(super) fn prove_inclusion(
    database: &Database,
    keys: &TenantKeys,
    index: u64,
    of: Option<u64>,
) -> Result<InclusionProof, Fault> {
    let size = size_of(database, keys, of)?;
    let leaf = leaf(database, keys, index)?;
    let hashes = inclusion_proof(&tree(database, keys), index, size).map_err(|error| match error {
        ProofError::NoSuchLeaf { .. } => Fault::Answer(StoreError::NotFound),
        _ => Fault::Damaged("the audit tree"),
    })?;
    Ok(InclusionProof { index, leaf, hashes, checkpoint: checkpoint(database, keys, size)? })
}

/// A proof that the log grew from its first `earlier` events.
pub(super) fn prove_growth(
    database: &Database,
    keys: &TenantKeys,
    earlier: u64,
    of: Option<u64>,
) -> Result<(Vec<Hash>, String), Fault> {
    let size = size_of(database, keys, of)?;
    if earlier > size {
        return Err(StoreError::Invalid("The log has fewer events than that.".into()).into());
    }
    let hashes = consistency_proof(&tree(database, keys), earlier, size)
        .map_err(|_| Fault::Damaged("the audit tree"))?;
    Ok((hashes, checkpoint(database, keys, size)?))
}

fn leaf(database: &Database, keys: &TenantKeys, index: u64) -> Result<Vec<u8>, Fault> {
    let mut select = database.connection.prepare_cached("SELECT leaf FROM audit_event WHERE number = ?1")?;
    let found = select.query_row(params![present(keys).row(index)], |row| row.get(0)).optional()?;
    found.ok_or(Fault::Answer(StoreError::NotFound))
}

fn event((row, leaf, disclosures): Row) -> Result<(u64, AuditEvent), Fault> {
    let disclosures: Vec<Disclosure> =
        disclosures.as_deref().map_or_else(|| Ok(Vec::new()), super::from_text)?;
    let view = View::open(&leaf, &disclosures).map_err(|_| Fault::Damaged("an audit event"))?;
    let view = serde_json::to_value(view).map_err(|_| Fault::Damaged("an audit event"))?;
    Ok((row, AuditEvent { index: LogBase::number(row), view }))
}

/// What happened from this index on, as far as it is wanted.
fn happened(
    database: &Database,
    keys: &TenantKeys,
    from: Option<u64>,
    wanted: impl Fn(&Happened) -> bool,
) -> Result<Happenings, Fault> {
    let size = size(database, keys)?;
    let (from, next) = Happenings::range(from, size);
    let mut events = Vec::new();
    if from < next {
        let mut select = database.connection.prepare_cached(
            "SELECT leaf FROM audit_event WHERE number >= ?1 AND number < ?2 ORDER BY number",
        )?;
        let range = params![present(keys).row(from), present(keys).row(next)];
        for leaf in select.query_map(range, |row| row.get::<_, Vec<u8>>(0))? {
            let event = Happened::of(&leaf?).ok_or(Fault::Damaged("an audit event"))?;
            events.extend(Some(event).filter(&wanted));
        }
    }
    Ok(Happenings { epoch: keys.log().origin().epoch, size, next, events })
}

/// That nothing has happened since, where that is known without the tables: whoever listens looks over and over.
fn nothing(handle: &TenantHandle, from: Option<u64>) -> Option<Happenings> {
    let size = handle.log_size().filter(|size| from == Some(*size))?;
    Some(Happenings { epoch: handle.keys().log().origin().epoch, size, next: size, events: Vec::new() })
}

/// A page of the tenant's events, newest first, also of logs that have ended.
pub(super) fn page_of_events(
    database: &Database,
    keys: &TenantKeys,
    env: &Env,
    query: &AuditQuery,
    page: &PageRequest,
) -> Result<Page<AuditEvent>, Fault> {
    let list = format!("audit/{query:?}");
    let before: Option<u64> =
        page.cursor.as_deref().map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
    let rows = search(&database.connection, keys, query, before.unwrap_or(i64::MAX as u64), page)?;
    let events = rows.into_iter().map(event).collect::<Result<Vec<_>, Fault>>()?;
    let found = paged(page, events, |(row, _)| *row, |row| cursor::seal(keys, env, &list, &row))?;
    Ok(found.map(|(_, event)| event))
}

#[async_trait]
impl AuditTrail for EmbeddedStore {
    async fn append_events(
        &self,
        tenant: &Tenant<'_>,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError> {
        let handle = self.handle(tenant).await?;
        Ok(handle.append(Append { events, ..Append::default() }).await?)
    }

    async fn events<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<AuditEvent>>, StoreError> {
        let (query, page, env) = (query.clone(), page.clone(), self.env());
        self.read_private(access.tenant(), move |database, keys| {
            page_of_events(database, keys, &env, &query, &page)
        })
        .await
    }

    async fn checkpoint<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        self.read_private(access.tenant(), |database, keys| checkpoint(database, keys, size(database, keys)?))
            .await
    }

    async fn verifier_key<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        self.read_private(access.tenant(), |_, keys| Ok(keys.log().verifier().to_string())).await
    }

    async fn prove_inclusion<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        index: u64,
    ) -> Result<Private<'t, InclusionProof>, StoreError> {
        self.read_private(access.tenant(), move |database, keys| prove_inclusion(database, keys, index, None))
            .await
    }

    async fn prove_consistency<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        earlier: u64,
    ) -> Result<Private<'t, (Vec<Hash>, String)>, StoreError> {
        self.read_private(access.tenant(), move |database, keys| prove_growth(database, keys, earlier, None))
            .await
    }

    async fn leaves<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<Vec<u8>>>, StoreError> {
        self.read_private(access.tenant(), move |database, keys| {
            let mut select = database
                .connection
                .prepare_cached("SELECT leaf FROM audit_event WHERE number >= ?1 ORDER BY number LIMIT ?2")?;
            let rows = select
                .query_map(params![present(keys).row(from), limit.min(PageRequest::MAX_LIMIT)], |row| {
                    row.get(0)
                })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn happened<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        if let Some(nothing) = self.known_private(access.tenant(), |handle| nothing(handle, from)).await? {
            return Ok(nothing);
        }
        self.read_private(access.tenant(), move |database, keys| happened(database, keys, from, |_| true))
            .await
    }

    async fn reconfigured<'t>(
        &self,
        access: &Access<'t, Read<on::Account>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        if let Some(nothing) = self.known_private(access.tenant(), |handle| nothing(handle, from)).await? {
            return Ok(nothing);
        }
        self.read_private(access.tenant(), move |database, keys| {
            happened(database, keys, from, Happened::configures)
        })
        .await
    }

    async fn checkpoint_with_size<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, (u64, String)>, StoreError> {
        self.read_private(access.tenant(), |database, keys| {
            let size = size(database, keys)?;
            Ok((size, checkpoint(database, keys, size)?))
        })
        .await
    }

    async fn erase_disclosures(
        &self,
        access: &Access<'_, Delete<on::Audit>>,
        erasure: &Erasure,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant()).await?;
        let wanted = Wanted::of(erasure, &handle.keys());
        let erased = handle.write(false, commit, move |txn| erase(txn, &wanted)).await?;
        // The journal still has the events as they were written.
        crate::tenant::blocking(move || handle.settle()).await?;
        Ok(erased)
    }
}

/// Which events lose which of their values.
struct Wanted {
    /// The id of one event.
    event: Option<String>,
    /// The ids of one actor.
    actor: Option<[String; 2]>,
    /// A value that goes wherever it is.
    value: Option<String>,
}

impl Wanted {
    fn of(erasure: &Erasure, keys: &TenantKeys) -> Self {
        let nothing = Self { event: None, actor: None, value: None };
        match erasure {
            Erasure::Event(id) => Self { event: Some(id.to_string()), ..nothing },
            Erasure::Value(value) => Self { value: Some(value.clone()), ..nothing },
            Erasure::Actor(id) => {
                let actor = Some([id.clone(), keys.pseudonym(id).to_string()]);
                Self { actor, value: Some(id.clone()), ..nothing }
            }
        }
    }

    /// What is kept of what an event discloses.
    fn kept<'d>(&self, whole: bool, all: &'d [Disclosure]) -> Vec<&'d Disclosure> {
        all.iter().filter(|it| !whole && self.value.as_ref() != Some(&it.value)).collect()
    }
}

fn erase(txn: &mut Txn<'_>, wanted: &Wanted) -> Result<u64, Fault> {
    let rows = disclosing(txn.tables(), wanted)?;
    if wanted.event.is_some() && rows.is_empty() {
        return Err(Fault::Answer(StoreError::NotFound));
    }
    let mut erased = 0;
    for (mut cells, whole, text) in rows {
        let all: Vec<Disclosure> = super::from_text(&text)?;
        let kept = wanted.kept(whole, &all);
        if kept.len() < all.len() {
            erased += (all.len() - kept.len()) as u64;
            cells.push(Cell::from(super::to_text(&kept)?));
            txn.put(Table::AuditEvent, cells)?;
        }
    }
    Ok(erased)
}

/// The rows that may lose something: their first cells, whether all goes, and what they disclose.
fn disclosing(tables: &Executor, wanted: &Wanted) -> Result<Vec<(Vec<Cell>, bool, String)>, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT number, time, action, actor, resource, leaf, hash, disclosures,
                coalesce(instr(leaf, CAST('\"event_id\":\"' || ?1 || '\"' AS BLOB)) > 0, 0)
                OR coalesce(actor IN (?2, ?3), 0) AS whole
         FROM audit_event WHERE whole OR instr(disclosures, ?4) > 0",
    )?;
    // A JSON text holds the value as JSON writes it, without the quotes.
    let quoted = wanted.value.as_ref().map(super::to_text).transpose()?;
    let quoted = quoted.as_deref().map(|text| text.trim_matches('"'));
    let [one, other] = wanted.actor.as_ref().map_or([None, None], |[one, other]| [Some(one), Some(other)]);
    let rows = select.query_map(params![wanted.event, one, other, quoted], |row| {
        let cells = vec![
            Cell::Integer(row.get(0)?),
            Cell::Integer(row.get(1)?),
            Cell::Text(row.get(2)?),
            Cell::Text(row.get(3)?),
            Cell::Text(row.get(4)?),
            Cell::Blob(row.get(5)?),
            Cell::Blob(row.get(6)?),
        ];
        let text: Option<String> = row.get(7)?;
        Ok((cells, row.get(8)?, text.unwrap_or_else(|| "[]".to_owned())))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
