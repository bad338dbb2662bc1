//! The audit log.

use crate::tables::{Event, Tables};
use crate::tenant::{Known, pseudonym};
use crate::{MemoryStore, page};
use async_trait::async_trait;
use audit::event::{Draft, View};
use audit::merkle::{Hash, LeafHashes, TooFewLeaves, consistency_proof, inclusion_proof, root};
use context::{Access, AuditLog, AuditUnavailable, Delete, Private, Read, Tenant, on};
use ids::EventId;
use std::sync::Arc;
use store::{
    AuditEvent, AuditQuery, AuditTrail, Commit, Erasure, Happened, Happenings, InclusionProof, Page,
    PageRequest, StoreError,
};

fn hashes(tables: &Tables) -> Vec<Hash> {
    tables.events.iter().map(|event| event.hash).collect()
}

pub(crate) fn checkpoint(known: &Known) -> Result<(u64, String), StoreError> {
    checkpoint_of(known, None)
}

/// The checkpoint of the log when it had this many events.
fn checkpoint_of(known: &Known, size: Option<u64>) -> Result<(u64, String), StoreError> {
    let mut hashes = hashes(&known.tables);
    if let Some(size) = size {
        let size = usize::try_from(size).ok().filter(|size| *size <= hashes.len());
        hashes
            .truncate(size.ok_or_else(|| StoreError::Invalid("The log has fewer events than that.".into()))?);
    }
    let size = hashes.len() as u64;
    let root = root(&LeafHashes(&hashes), size).map_err(|_: TooFewLeaves| StoreError::TenantUnavailable)?;
    Ok((size, known.log.sign(size, root).to_string()))
}

/// A proof that an event is in the log.
pub(crate) fn prove_inclusion(
    known: &Known,
    index: u64,
    size: Option<u64>,
) -> Result<InclusionProof, StoreError> {
    let (size, checkpoint) = checkpoint_of(known, size)?;
    let proof = inclusion_proof(&LeafHashes(&hashes(&known.tables)), index, size);
    let event = usize::try_from(index).ok().and_then(|index| known.tables.events.get(index));
    let (Ok(hashes), Some(event)) = (proof, event) else { return Err(StoreError::NotFound) };
    Ok(InclusionProof { index, leaf: event.leaf.clone(), hashes, checkpoint })
}

/// A proof that the log grew from its first `earlier` events.
pub(crate) fn prove_growth(
    known: &Known,
    earlier: u64,
    size: Option<u64>,
) -> Result<(Vec<Hash>, String), StoreError> {
    let (size, checkpoint) = checkpoint_of(known, size)?;
    let proof = consistency_proof(&LeafHashes(&hashes(&known.tables)), earlier, size)
        .map_err(|_| StoreError::Invalid("The log has fewer events than that.".into()))?;
    Ok((proof, checkpoint))
}

fn is_event(event: &Event, id: EventId) -> bool {
    View::open(&event.leaf, &[]).is_ok_and(|view| view.event_id == id)
}

/// Whether the event is of this actor, by either of its ids.
fn is_by(known: &Known, event: &Event, actor: &str) -> bool {
    event.actor == actor || event.actor == pseudonym(&known.key, actor).to_string()
}

fn wanted(known: &Known, event: &Event, query: &AuditQuery) -> bool {
    let action = |action: &String| {
        event.action == *action
            || event.action.strip_prefix(action.as_str()).is_some_and(|it| it.starts_with('.'))
    };
    query.action.as_ref().is_none_or(action)
        && query.actor.as_ref().is_none_or(|actor| is_by(known, event, actor))
        && query.resource.as_ref().is_none_or(|resource| event.resource == *resource)
        && query.from.is_none_or(|from| event.time >= from)
        && query.to.is_none_or(|to| event.time < to)
}

fn shown(index: u64, event: &Event) -> Result<AuditEvent, StoreError> {
    let view = View::open(&event.leaf, &event.disclosures).map_err(|_| StoreError::TenantUnavailable)?;
    let view = serde_json::to_value(view).map_err(|_| StoreError::TenantUnavailable)?;
    Ok(AuditEvent { index, view })
}

/// A page of a log's events, newest first.
pub(crate) fn page_of_events(
    known: &Known,
    query: &AuditQuery,
    page: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let list = format!("audit/{query:?}");
    let before: u64 = page::place(known, &list, page)?.unwrap_or(u64::MAX);
    let events = (0..).zip(&known.tables.events).collect::<Vec<(u64, _)>>().into_iter().rev();
    let events = events.filter(|(index, event)| *index < before && wanted(known, event, query));
    let found = page::cut(known, &list, page, events, |(index, _)| *index);
    let data = found.data.into_iter().map(|(index, event)| shown(index, event));
    Ok(Page { data: data.collect::<Result<_, _>>()?, next_cursor: found.next_cursor })
}

/// What happened from this index on, as far as it is wanted.
fn happened(
    known: &Known,
    from: Option<u64>,
    wanted: impl Fn(&Happened) -> bool,
) -> Result<Happenings, StoreError> {
    let size = known.tables.events.len() as u64;
    let (from, next) = Happenings::range(from, size);
    let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
    let events = known.tables.events.iter().take(place(next)).skip(place(from));
    let events: Option<Vec<_>> = events.map(|event| Happened::of(&event.leaf)).collect();
    let mut events = events.ok_or(StoreError::TenantUnavailable)?;
    events.retain(wanted);
    Ok(Happenings { epoch: known.log.origin().epoch, size, next, events })
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        self.append_events(tenant, vec![draft]).await.map(drop).map_err(|_| AuditUnavailable)
    }
}

#[async_trait]
impl AuditTrail for MemoryStore {
    async fn append_events(
        &self,
        tenant: &Tenant<'_>,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError> {
        let commit = Commit { events, ..Commit::default() };
        let mut state = self.state();
        let ((), ids) = state.tenants.get_mut(tenant.id())?.commit(commit, self.env(), |_| Ok(()))?;
        Ok(ids)
    }

    async fn events<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<AuditEvent>>, StoreError> {
        self.read(access.tenant(), |known| page_of_events(known, query, page))
    }

    async fn checkpoint<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        self.read(access.tenant(), |known| Ok(checkpoint(known)?.1))
    }

    async fn verifier_key<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, String>, StoreError> {
        self.read(access.tenant(), |known| Ok(known.log.verifier().to_string()))
    }

    async fn prove_inclusion<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        index: u64,
    ) -> Result<Private<'t, InclusionProof>, StoreError> {
        self.read(access.tenant(), |known| prove_inclusion(known, index, None))
    }

    async fn prove_consistency<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        earlier: u64,
    ) -> Result<Private<'t, (Vec<Hash>, String)>, StoreError> {
        self.read(access.tenant(), |known| prove_growth(known, earlier, None))
    }

    async fn leaves<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<Vec<u8>>>, StoreError> {
        self.read(access.tenant(), |known| {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let limit = limit.min(PageRequest::MAX_LIMIT) as usize;
            Ok(known.tables.events.iter().skip(from).take(limit).map(|event| event.leaf.clone()).collect())
        })
    }

    async fn happened<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        self.read(access.tenant(), |known| happened(known, from, |_| true))
    }

    async fn reconfigured<'t>(
        &self,
        access: &Access<'t, Read<on::Account>>,
        from: Option<u64>,
    ) -> Result<Private<'t, Happenings>, StoreError> {
        self.read(access.tenant(), |known| happened(known, from, Happened::configures))
    }

    async fn checkpoint_with_size<'t>(
        &self,
        access: &Access<'t, Read<on::Audit>>,
    ) -> Result<Private<'t, (u64, String)>, StoreError> {
        self.read(access.tenant(), checkpoint)
    }

    async fn erase_disclosures(
        &self,
        access: &Access<'_, Delete<on::Audit>>,
        erasure: &Erasure,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let tenant = access.tenant();
        let key = self.state().tenants.get(tenant.id())?.key.clone();
        let mut erased = 0;
        self.write(tenant, commit, |tables| {
            if let Erasure::Event(id) = erasure
                && !tables.events.iter().any(|event| is_event(event, *id))
            {
                return Err(StoreError::NotFound);
            }
            for event in &mut tables.events {
                let whole = match erasure {
                    Erasure::Event(id) => is_event(event, *id),
                    Erasure::Actor(id) => {
                        event.actor == *id || event.actor == pseudonym(&key, id).to_string()
                    }
                    Erasure::Value(_) => false,
                };
                let value = match erasure {
                    Erasure::Event(_) => None,
                    Erasure::Actor(value) | Erasure::Value(value) => Some(value),
                };
                let before = event.disclosures.len();
                Arc::make_mut(event).disclosures.retain(|it| !whole && value != Some(&it.value));
                erased += (before - event.disclosures.len()) as u64;
            }
            Ok(())
        })?;
        Ok(erased)
    }
}
