//! Records: a map by collection and id, and queries that look at all of it.

use crate::{MemoryStore, page};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, Update, on};
use env::Timestamp;
use ids::{RecordId, Slug};
use serde_json::{Map, Value};
use store::{CollectionSettings, Commit, Page, Record, RecordChange, RecordQuery, RecordStore, StoreError};
use store_core::query::{Key, check_field, field, holds};

fn length(data: &Map<String, Value>) -> usize {
    serde_json::to_string(data).map_or(0, |text| text.len())
}

/// A JSON merge patch, word for word as RFC 7396, section 2 has it.
fn merge_patch(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.shift_remove(&name);
        } else {
            let before = target.get(&name).cloned().unwrap_or_default();
            target.insert(name, merge_patch(before, value));
        }
    }
    Value::Object(target)
}

#[async_trait]
impl RecordStore for MemoryStore {
    async fn create_record<'t>(
        &self,
        access: &Access<'t, Create<on::Record>>,
        record: Record,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        self.permit(access.tenant())?;
        let limits = access.tenant().standing().limits.clone();
        self.write(access.tenant(), commit, |tables| {
            let key = (record.collection.clone(), record.id);
            if tables.records.contains_key(&key) {
                return Err(StoreError::Exists(record.id.to_string()));
            }
            tables.admit(&limits, length(&record.data))?;
            tables.records.insert(key, record.clone());
            Ok(record)
        })
    }

    async fn record<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
        id: RecordId,
    ) -> Result<Private<'t, Record>, StoreError> {
        self.read(access.tenant(), |known| {
            known.tables.records.get(&(collection.clone(), id)).cloned().ok_or(StoreError::NotFound)
        })
    }

    async fn records<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        query: &RecordQuery,
    ) -> Result<Private<'t, Page<Record>>, StoreError> {
        self.read(access.tenant(), |known| {
            let sort = query.sort.as_ref();
            sort.map_or(Ok(()), |sort| check_field(&sort.field))?;
            let list = format!("record/{:?}/{:?}/{:?}", query.collection, query.filter, query.sort);
            let after: Option<(Key, RecordId)> = page::place(known, &list, &query.page)?;
            let place = |record: &Record| match sort {
                Some(sort) => (Key::of(&field(record, &sort.field)), record.id),
                None => (Key::Null, record.id),
            };
            let compare = |one: &(Key, RecordId), two: &(Key, RecordId)| {
                let order = one.0.compare(&two.0).then(one.1.cmp(&two.1));
                if sort.is_some_and(|sort| sort.descending) { order.reverse() } else { order }
            };
            let mut found = Vec::new();
            for record in known.tables.records.values().filter(|it| it.collection == query.collection) {
                let mut wanted = true;
                for comparison in &query.filter.0 {
                    wanted &= holds(record, comparison)?;
                }
                wanted &= after.as_ref().is_none_or(|after| compare(&place(record), after).is_gt());
                if wanted {
                    found.push(record.clone());
                }
            }
            found.sort_by(|one, two| compare(&place(one), &place(two)));
            Ok(page::cut(known, &list, &query.page, found.into_iter(), place))
        })
    }

    async fn change_record<'t>(
        &self,
        access: &Access<'t, Update<on::Record>>,
        collection: &Slug,
        id: RecordId,
        change: RecordChange,
        expected: Option<u64>,
        now: Timestamp,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        self.permit(access.tenant())?;
        let limits = access.tenant().standing().limits.clone();
        let claimed = commit.claim.as_ref().map(|claim| claim.key);
        self.write(access.tenant(), commit, |tables| {
            let key = (collection.clone(), id);
            let mut record = tables.records.get(&key).cloned().ok_or(StoreError::NotFound)?;
            if expected.is_some_and(|expected| expected != record.version) {
                return Err(StoreError::Stale);
            }
            let before = length(&record.data);
            record.data = match change {
                RecordChange::Replace(data) => data,
                RecordChange::Merge(patch) => {
                    match merge_patch(Value::Object(record.data), Value::Object(patch)) {
                        Value::Object(data) => data,
                        _ => return Err(StoreError::Unavailable),
                    }
                }
            };
            record.updated_at = now;
            record.version += 1;
            tables.admit(&limits, length(&record.data).saturating_sub(before))?;
            tables.answer(claimed, &record);
            tables.records.insert(key, record.clone());
            Ok(record)
        })
    }

    async fn delete_record<'t>(
        &self,
        access: &Access<'t, Delete<on::Record>>,
        collection: &Slug,
        id: RecordId,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.permit(access.tenant())?;
        self.write(access.tenant(), commit, |tables| {
            let key = (collection.clone(), id);
            let version = tables.records.get(&key).ok_or(StoreError::NotFound)?.version;
            if expected.is_some_and(|expected| expected != version) {
                return Err(StoreError::Stale);
            }
            tables.records.remove(&key);
            Ok(())
        })
        .map(drop)
    }

    async fn declare_collection(
        &self,
        access: &Access<'_, Update<on::Record>>,
        collection: &Slug,
        settings: CollectionSettings,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.write(access.tenant(), commit, |tables| {
            if settings.fields().count() > 16 {
                return Err(StoreError::Invalid("A collection has at most 16 indexes.".into()));
            }
            settings.fields().try_for_each(|field| check_field(field))?;
            tables.collections.insert(collection.clone(), settings);
            Ok(())
        })
        .map(drop)
    }

    async fn collection<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
    ) -> Result<Private<'t, CollectionSettings>, StoreError> {
        self.read(access.tenant(), |known| {
            Ok(known.tables.collections.get(collection).cloned().unwrap_or_default())
        })
    }
}
