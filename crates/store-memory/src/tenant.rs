//! One tenant: its key, its log's key and its tables; and the atomic commit.

use crate::tables::{Event, Tables};
use audit::event::{Draft, NO_PREVIOUS_LEAF, Position, hide_people, seal};
use audit::note::{LogKey, Origin};
use env::Env;
use ids::{EventId, Id, Slug, TenantId, UserId};
use kms::Purpose;
use secret::SecretBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Commit, StoreError};

/// Pseudonyms of people in the audit log.
const PEOPLE: Purpose = Purpose::new("people in the audit log");

/// A tenant that has a store.
pub(crate) struct Known {
    pub(crate) id: TenantId,
    pub(crate) key: SecretBytes<32>,
    pub(crate) log: LogKey,
    pub(crate) tables: Tables,
}

impl Known {
    pub(crate) fn new(id: TenantId, region: Slug, env: &Env) -> Self {
        let key = SecretBytes::fill_with(|bytes| env.fill(bytes));
        let seed = SecretBytes::fill_with(|bytes| env.fill(bytes));
        let log = LogKey::from_seed(Origin { tenant: id, region, epoch: 1 }, &seed);
        Self { id, key, log, tables: Tables::default() }
    }

    /// Carries out a write on a copy of the tables, which takes their place where all went well. Gives back
    /// the ids of the commit's events.
    pub(crate) fn commit<T>(
        &mut self,
        commit: Commit,
        env: &Env,
        work: impl FnOnce(&mut Tables) -> Result<T, StoreError>,
    ) -> Result<(T, Vec<EventId>), StoreError> {
        let Commit { events, marks, claim } = commit;
        let mut next = self.tables.clone();
        if let Some(claim) = claim {
            next.claim(claim)?;
        }
        let value = work(&mut next)?;
        let ids = events
            .into_iter()
            .map(|mut draft| {
                hide_people(&mut draft, |id| pseudonym(&self.key, id));
                append(&mut next, &self.log, draft, env)
            })
            .collect::<Result<_, _>>()?;
        marks.into_iter().for_each(|mark| next.mark(mark));
        self.tables = next;
        Ok((value, ids))
    }
}

/// What the audit log calls a person who is known by this id elsewhere.
pub(crate) fn pseudonym(key: &SecretBytes<32>, id: &str) -> UserId {
    let derived = kms::derive(key, &PEOPLE, id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&derived.expose()[..16]);
    UserId::from_bytes(bytes)
}

fn append(tables: &mut Tables, log: &LogKey, draft: Draft, env: &Env) -> Result<EventId, StoreError> {
    let place = Position {
        index: tables.events.len() as u64,
        prev_leaf_hash: tables.events.last().map_or(NO_PREVIOUS_LEAF, |event| event.hash),
        ..Position::start(log.origin().clone())
    };
    let (action, actor) = (draft.action.to_string(), draft.actor.id.clone());
    let resource = draft.resource.id.clone();
    let sealed = seal(draft, &place, env).map_err(|error| StoreError::Invalid(error.to_string()))?;
    let (time, leaf, hash) = (sealed.time, sealed.leaf, sealed.leaf_hash);
    let disclosures = sealed.disclosures;
    tables.events.push(Arc::new(Event { time, action, actor, resource, leaf, hash, disclosures }));
    Ok(sealed.event_id)
}

/// All tenants' stores.
#[derive(Default)]
pub(crate) struct TenantStores(pub(crate) BTreeMap<TenantId, Known>);

impl TenantStores {
    pub(crate) fn get(&self, id: TenantId) -> Result<&Known, StoreError> {
        self.0.get(&id).ok_or(StoreError::TenantUnavailable)
    }

    pub(crate) fn get_mut(&mut self, id: TenantId) -> Result<&mut Known, StoreError> {
        self.0.get_mut(&id).ok_or(StoreError::TenantUnavailable)
    }
}
