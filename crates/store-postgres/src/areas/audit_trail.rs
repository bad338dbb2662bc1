//! The audit trail: pages, checkpoints, proofs, and erasing what events disclose.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Session, params};
use crate::tenant::{HEAD, TenantHandle, Tree, Txn, head_row};
use async_trait::async_trait;
use audit::event::{Disclosure, Draft, View};
use audit::merkle::{Hash, ProofError, consistency_proof, inclusion_proof, root};
use context::{Access, Delete, Private, Read, Tenant, on};
use ids::EventId;
use std::sync::Arc;
use store::{
    AuditEvent, AuditQuery, AuditTrail, Commit, Erasure, Happened, Happenings, InclusionProof, Page,
    PageRequest, StoreError,
};
use store_core::cursor;
use store_core::log::LogHead;
use store_core::page::{one_more, paged};
use tokio_postgres::Row;

/// What is read of an event: its number, its leaf, what it discloses.
const EVENT: &str = "number, leaf, disclosures FROM audit_event WHERE epoch = $1";

fn few() -> Fault {
    StoreError::Invalid("The log has fewer events than that.".into()).into()
}

fn leaf(handle: &TenantHandle, number: i64, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    let place = format!("{}/{number}", handle.keys().log().origin().epoch);
    handle.open_bytes("audit_event", &[&place, "leaf"], sealed)
}

fn disclosures(handle: &TenantHandle, number: i64, sealed: &[u8]) -> Result<Vec<Disclosure>, Fault> {
    let place = format!("{}/{number}", handle.keys().log().origin().epoch);
    handle.open("audit_event", &[&place, "disclosures"], sealed)
}

fn event(handle: &TenantHandle, row: &Row) -> Result<(i64, AuditEvent), Fault> {
    let number: i64 = row.try_get(0)?;
    let damaged = |_| Fault::Damaged("an audit event");
    let (leaf, shown) =
        (leaf(handle, number, row.try_get(1)?)?, disclosures(handle, number, row.try_get(2)?)?);
    let view = View::open(&leaf, &shown).map_err(|_| Fault::Damaged("an audit event"))?;
    let view = serde_json::to_value(view).map_err(damaged)?;
    Ok((number, AuditEvent { index: number.cast_unsigned(), view }))
}

fn epoch(handle: &TenantHandle) -> i64 {
    handle.keys().log().origin().epoch.cast_signed()
}

/// A page of the events that the query asks for, the latest first.
pub(super) async fn page_of_events(
    handle: &TenantHandle,
    session: &Session,
    query: &AuditQuery,
    page: &PageRequest,
) -> Result<Page<AuditEvent>, Fault> {
    let list = format!("audit/{query:?}");
    let open = |text: &str| cursor::open(handle.keys(), &list, text);
    let before: Option<i64> = page.cursor.as_deref().map(open).transpose()?;
    let actors = query.actor.as_ref().map(|id| vec![id.clone(), handle.keys().pseudonym(id).to_string()]);
    // An action's family is what its name and a dot begin; a slash is what follows a dot.
    let family = query.action.as_ref().map(|action| [format!("{action}."), format!("{action}/")]);
    let (from, to) = family.unzip2();
    let statement = format!(
        "SELECT {EVENT} AND number < $2 AND time >= $3 AND time < $4
         AND ($5::text IS NULL OR action = $5 OR (action >= $6 AND action < $7))
         AND ($8::text[] IS NULL OR actor = ANY($8)) AND ($9::text IS NULL OR resource = $9)
         ORDER BY number DESC LIMIT $10"
    );
    let values = params![epoch(handle) => INT8, before.unwrap_or(i64::MAX) => INT8,
        query.from.map_or(i64::MIN, env::Timestamp::millis) => INT8,
        query.to.map_or(i64::MAX, env::Timestamp::millis) => INT8,
        query.action => TEXT, from => TEXT, to => TEXT, actors => TEXT_ARRAY, query.resource => TEXT,
        i64::from(one_more(page)) => INT8];
    let rows = session.query_typed(&statement, values).await?;
    let events = rows.iter().map(|row| event(handle, row)).collect::<Result<Vec<_>, _>>()?;
    let seal = |number: i64| cursor::seal(handle.keys(), &handle.env, &list, &number);
    Ok(paged(page, events, |(number, _)| *number, seal)?.map(|(_, event)| event))
}

/// Both ends of a range, where there is one.
trait Unzip2 {
    fn unzip2(self) -> (Option<String>, Option<String>);
}

impl Unzip2 for Option<[String; 2]> {
    fn unzip2(self) -> (Option<String>, Option<String>) {
        self.map_or((None, None), |[from, to]| (Some(from), Some(to)))
    }
}

/// Proofs about the log as one transaction sees it.
pub(super) struct Proofs<'a> {
    handle: &'a TenantHandle,
    session: &'a Session,
    head: LogHead,
}

impl<'a> Proofs<'a> {
    pub(super) async fn at(handle: &'a TenantHandle, session: &'a Session) -> Result<Self, Fault> {
        let row = session.query_typed_opt(HEAD, &[]).await?.ok_or(Fault::KeyGone)?;
        Ok(Self { handle, session, head: head_row(&row, handle.keys().log().origin())? })
    }

    fn size(&self, of: Option<u64>) -> Result<u64, Fault> {
        let size = self.head.frontier.size();
        if of.is_some_and(|of| of > size) { Err(few()) } else { Ok(of.unwrap_or(size)) }
    }

    /// The signed checkpoint, of the present size or an earlier one.
    pub(super) async fn checkpoint(&self, of: Option<u64>) -> Result<(u64, String), Fault> {
        let size = self.size(of)?;
        let root = if size == self.head.frontier.size() {
            self.head.frontier.root()
        } else {
            let questions = |asked: &_| {
                let _ = root(asked, size);
            };
            let tree = Tree::of(self.session, self.head.place.epoch, questions).await?;
            root(&tree, size).map_err(|_| Fault::Damaged("the audit tree"))?
        };
        Ok((size, self.handle.keys().log().sign(size, root).to_string()))
    }

    pub(super) async fn inclusion(&self, index: u64, of: Option<u64>) -> Result<InclusionProof, Fault> {
        let (size, checkpoint) = self.checkpoint(of).await?;
        let questions = |asked: &_| drop(inclusion_proof(asked, index, size));
        let tree = Tree::of(self.session, self.head.place.epoch, questions).await?;
        let hashes = inclusion_proof(&tree, index, size).map_err(|error| match error {
            ProofError::NoSuchLeaf { .. } => Fault::Answer(StoreError::NotFound),
            _ => Fault::Damaged("the audit tree"),
        })?;
        let number = index.cast_signed();
        let select = "SELECT leaf FROM audit_event WHERE epoch = $1 AND number = $2";
        let values = params![epoch(self.handle) => INT8, number => INT8];
        let row = self.session.query_typed_opt(select, values).await?;
        let row = row.ok_or(Fault::Answer(StoreError::NotFound))?;
        Ok(InclusionProof { index, leaf: leaf(self.handle, number, row.try_get(0)?)?, hashes, checkpoint })
    }

    pub(super) async fn growth(&self, earlier: u64, of: Option<u64>) -> Result<(Vec<Hash>, String), Fault> {
        let (size, checkpoint) = self.checkpoint(of).await?;
        if earlier > size {
            return Err(few());
        }
        let questions = |asked: &_| drop(consistency_proof(asked, earlier, size));
        let tree = Tree::of(self.session, self.head.place.epoch, questions).await?;
        let hashes = consistency_proof(&tree, earlier, size).map_err(|_| Fault::Damaged("the audit tree"))?;
        Ok((hashes, checkpoint))
    }
}

/// What happened from this index on, where these actions alone are wanted or all are.
async fn happened(
    handle: &TenantHandle,
    session: &Session,
    from: Option<u64>,
    wanted: Option<&[&str]>,
) -> Result<Happenings, Fault> {
    let Proofs { head, .. } = Proofs::at(handle, session).await?;
    let size = head.frontier.size();
    let (from, next) = Happenings::range(from, size);
    let mut events = Vec::new();
    if from < next {
        let select = "SELECT number, leaf FROM audit_event WHERE epoch = $1 AND number >= $2 AND number < $3
             AND ($4::text[] IS NULL OR action = ANY($4)) ORDER BY number";
        let values = params![epoch(handle) => INT8, from.cast_signed() => INT8, next.cast_signed() => INT8,
            wanted => TEXT_ARRAY];
        for row in session.query_typed(select, values).await? {
            let leaf = leaf(handle, row.try_get(0)?, row.try_get(1)?)?;
            events.push(Happened::of(&leaf).ok_or(Fault::Damaged("an audit event"))?);
        }
    }
    // What the leaves say holds, whatever stands beside them.
    events.retain(|event| wanted.is_none() || event.configures());
    Ok(Happenings { epoch: head.place.epoch, size, next, events })
}

#[async_trait]
impl AuditTrail for PostgresStore {
    async fn append_events(
        &self,
        tenant: &Tenant<'_>,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError> {
        let handle = self.handle(tenant.id()).await?;
        let commit = Commit { events, ..Commit::default() };
        Ok(handle.write(commit, |_| async { Ok(()) }).await?.ids)
    }

    async fn events<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<AuditEvent>>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            page_of_events(&handle, &session, query, page).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn checkpoint<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        Ok(self.checkpoint_with_size(access).await?.map(|(_, checkpoint)| checkpoint))
    }

    async fn verifier_key<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        self.read(access.tenant(), "SELECT 1", &[], |handle, _| {
            Ok(handle.keys().log().verifier().to_string())
        })
        .await
    }

    async fn prove_inclusion<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        index: u64,
    ) -> Result<Private<'t, InclusionProof>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.inclusion(index, None).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn prove_consistency<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        earlier: u64,
    ) -> Result<Private<'t, (Vec<Hash>, String)>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.growth(earlier, None).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn leaves<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<Vec<u8>>>, StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        let statement = format!("SELECT {EVENT} AND number >= $2 ORDER BY number LIMIT $3");
        let values = params![epoch(&handle) => INT8, i64::try_from(from).unwrap_or(i64::MAX) => INT8,
            i64::from(limit.min(PageRequest::MAX_LIMIT)) => INT8];
        self.read(access.tenant(), &statement, values, |handle, rows| {
            rows.iter().map(|row| leaf(handle, row.try_get(0)?, row.try_get(1)?)).collect()
        })
        .await
    }

    async fn happened<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            happened(&handle, &session, from, None).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn reconfigured<'t>(
        &self,
        access: &Access<'t, Read<on::Account>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            happened(&handle, &session, from, Some(&Happened::CONFIGURING)).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn checkpoint_with_size<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, (u64, String)>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.checkpoint(None).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn erase_disclosures(
        &self,
        access: &Access<'_, Delete<on::Audit>>,
        erasure: &Erasure,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let erasure = erasure.clone();
        let handle = self.handle(access.tenant().id()).await?;
        Ok(handle.write(commit, move |txn| async move { erase(&txn, &erasure).await }).await?.value)
    }
}

/// Takes values out of what events disclose, and says how many. Which events name a value only their sealed
/// disclosures say, so all are looked through.
async fn erase(txn: &Txn, erasure: &Erasure) -> Result<u64, Fault> {
    let (event, actors, value) = match erasure {
        Erasure::Event(id) => (Some(id.to_string()), None, None),
        Erasure::Actor(id) => {
            (None, Some([id.clone(), txn.handle.keys().pseudonym(id).to_string()]), Some(id))
        }
        Erasure::Value(value) => (None, None, Some(value)),
    };
    let select = "SELECT number, disclosures, actor, epoch FROM audit_event
        WHERE ($1::text IS NULL OR event_id = $1) ORDER BY number";
    let rows = txn.query_typed(select, params![event => TEXT]).await?;
    if event.is_some() && rows.is_empty() {
        return Err(StoreError::NotFound.into());
    }
    let mut erased = 0;
    for row in rows {
        let (number, sealed, actor): (i64, &[u8], String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let all = disclosures(&txn.handle, number, sealed)?;
        let whole = event.is_some() || actors.as_ref().is_some_and(|actors| actors.contains(&actor));
        let kept: Vec<_> = all.iter().filter(|it| !whole && value != Some(&it.value)).collect();
        if kept.len() < all.len() {
            erased += (all.len() - kept.len()) as u64;
            let place = format!("{}/{number}", row.try_get::<_, i64>(3)?);
            let body = txn.handle.seal("audit_event", &[&place, "disclosures"], &kept)?;
            txn.stores(body.len() as i64 - sealed.len() as i64);
            let put = "UPDATE audit_event SET disclosures = $3 WHERE epoch = $1 AND number = $2";
            let values = params![row.try_get::<_, i64>(3)? => INT8, number => INT8, body => BYTEA];
            txn.execute_typed(put, values).await?;
        }
    }
    Ok(erased)
}
