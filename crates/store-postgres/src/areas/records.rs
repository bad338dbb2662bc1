//! Records: sealed documents. A filter or an order over their fields is evaluated here and not in the database; a
//! declared index finds what can be equal to a value, and one that is declared for ranges what can be beyond it.

use super::ranges;
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Session, params};
use crate::tenant::{TenantHandle, Txn};
use async_trait::async_trait;
use context::{Access, Create, Delete, Origin, Private, Read, Update, on};
use env::Timestamp;
use ids::{RecordId, Slug};
use serde_json::Value;
use std::sync::Arc;
use store::{
    CollectionSettings, Commit, FilterOperator, Page, Record, RecordChange, RecordQuery, RecordStore,
    StoreError,
};
use store_core::change::change as change_record;
use store_core::cursor;
use store_core::page::{one_more, paged};
use store_core::query::{Key, check_field, field, holds};
use tokio_postgres::Row;

const RECORD: &str = "SELECT id, created_at, updated_at, version, data FROM record WHERE collection = $1";
const DECLARED: &str = "SELECT indexes, range_indexes FROM collection WHERE name = $1";
const MAX_INDEXES: usize = 16;

fn record(handle: &TenantHandle, collection: &Slug, row: &Row) -> Result<Record, Fault> {
    let id: &str = row.try_get(0)?;
    Ok(Record {
        id: id.parse().map_err(|_| Fault::Damaged("a record"))?,
        collection: collection.clone(),
        data: handle.open("record", &[collection.as_str(), id], row.try_get(4)?)?,
        created_at: Timestamp::from_millis(row.try_get(1)?),
        updated_at: Timestamp::from_millis(row.try_get(2)?),
        version: row.try_get::<_, i64>(3)?.cast_unsigned(),
    })
}

async fn find(txn: &Txn, collection: &Slug, id: RecordId) -> Result<(Record, i64), Fault> {
    let select = format!("{RECORD} AND id = $2");
    let values = params![collection.as_str() => TEXT, id.to_string() => TEXT];
    let row = txn.query_typed_opt(&select, values).await?.ok_or(Fault::Answer(StoreError::NotFound))?;
    Ok((record(&txn.handle, collection, &row)?, row.try_get::<_, &[u8]>(4)?.len() as i64))
}

async fn declared(session: &Session, collection: &Slug) -> Result<CollectionSettings, Fault> {
    let row = session.query_typed_opt(DECLARED, params![collection.as_str() => TEXT]).await?;
    row.as_ref().map_or_else(|| Ok(CollectionSettings::default()), settings)
}

pub(crate) fn settings(row: &Row) -> Result<CollectionSettings, Fault> {
    let range_indexes: Option<_> = row.try_get(1)?;
    Ok(CollectionSettings { indexes: row.try_get(0)?, range_indexes: range_indexes.unwrap_or_default() })
}

/// The token of a field's value, which is the same for all that a filter takes for equal. Only text, numbers and
/// truth values have one.
fn token(handle: &TenantHandle, name: &str, value: &Value) -> Option<Vec<u8>> {
    let text = match value {
        Value::String(text) => format!("text {text}"),
        // Numbers that differ may share one; what a token finds is compared again.
        Value::Number(number) => format!("number {:?}", number.as_f64()? + 0.0),
        Value::Bool(truth) => format!("bool {truth}"),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(handle.token(&[b"record", name.as_bytes(), text.as_bytes()]))
}

/// Puts a record's tokens for these fields.
async fn put_tokens(
    session: &Session,
    handle: &TenantHandle,
    record: &Record,
    fields: &[String],
) -> Result<(), Fault> {
    let tokens: Vec<_> = fields.iter().filter_map(|name| token(handle, name, &field(record, name))).collect();
    let (collection, id) = (record.collection.as_str(), record.id.to_string());
    let values = params![collection => TEXT, id => TEXT];
    session.execute_typed("DELETE FROM record_token WHERE collection = $1 AND id = $2", values).await?;
    if !tokens.is_empty() {
        let put = "INSERT INTO record_token(collection, id, token) SELECT $1, $2, unnest($3::bytea[])
            ON CONFLICT DO NOTHING";
        session.execute_typed(put, params![collection => TEXT, id => TEXT, tokens => BYTEA_ARRAY]).await?;
    }
    Ok(())
}

/// Puts every record of a collection into its indexes, as is declared of them.
pub(crate) async fn index_anew(
    session: &Session,
    handle: &TenantHandle,
    collection: &Slug,
) -> Result<(), Fault> {
    let declared = declared(session, collection).await?;
    for row in session.query_typed(RECORD, params![collection.as_str() => TEXT]).await? {
        put_indexes(session, handle, &record(handle, collection, &row)?, &declared).await?;
    }
    Ok(())
}

/// Writes a record that takes the place of `length` sealed bytes.
async fn put(txn: &Txn, record: &Record, length: i64, limit: Option<u64>) -> Result<(), Fault> {
    let (collection, id) = (record.collection.as_str(), record.id.to_string());
    let data = txn.handle.seal("record", &[collection, &id], &record.data)?;
    txn.admit(limit, data.len() as i64 - length)?;
    txn.keeps_data();
    let put = "INSERT INTO record(collection, id, created_at, updated_at, version, data)
        VALUES($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, collection, id) DO UPDATE SET updated_at = $4, version = $5, data = $6";
    let values = params![collection => TEXT, id => TEXT, record.created_at.millis() => INT8,
        record.updated_at.millis() => INT8, record.version.cast_signed() => INT8, data => BYTEA];
    txn.execute_typed(put, values).await?;
    let declared = declared(txn, &record.collection).await?;
    if declared.indexes.is_empty() && declared.range_indexes.is_empty() {
        return Ok(());
    }
    put_indexes(txn, &txn.handle, record, &declared).await
}

async fn put_indexes(
    session: &Session,
    handle: &TenantHandle,
    record: &Record,
    declared: &CollectionSettings,
) -> Result<(), Fault> {
    put_tokens(session, handle, record, &declared.indexes).await?;
    ranges::put(session, record, &ranged(declared)).await
}

/// The fields with a range index. The record's own columns need none.
fn ranged(declared: &CollectionSettings) -> Vec<String> {
    declared.range_indexes.iter().filter(|name| !is_column(name)).cloned().collect()
}

fn is_column(name: &str) -> bool {
    matches!(name, "id" | "created_at" | "updated_at")
}

/// The records that may be what the query asks for: by an index where one helps, else the whole collection.
async fn candidates(
    handle: &TenantHandle,
    session: &Session,
    query: &RecordQuery,
    after: Option<&(Key, RecordId)>,
) -> Result<Vec<Row>, Fault> {
    let collection = query.collection.as_str();
    let declared = declared(session, &query.collection).await?;
    let indexed = |name: &String| declared.indexes.contains(name) && !is_column(name);
    let equal = query.filter.0.iter().filter(|it| it.operator == FilterOperator::Equal && indexed(&it.field));
    let tokens: Vec<_> = equal.filter_map(|it| token(handle, &it.field, &it.value)).collect();
    if let Some(token) = tokens.first() {
        let select =
            format!("{RECORD} AND id IN (SELECT id FROM record_token WHERE collection = $1 AND token = $2)");
        return Ok(session.query_typed(&select, params![collection => TEXT, token => BYTEA]).await?);
    }
    let ranged = ranged(&declared);
    if let Some(found) = ranges::filtered(session, query, (RECORD, &ranged)).await? {
        return Ok(found);
    }
    if query.filter.0.is_empty()
        && let Some(found) = ranges::sorted(session, query, (RECORD, &ranged), after).await?
    {
        return Ok(found);
    }
    Ok(session.query_typed(RECORD, params![collection => TEXT]).await?)
}

/// A page of a collection in the order of its ids, which the database has.
async fn plain_page(
    handle: &TenantHandle,
    session: &Session,
    query: &RecordQuery,
    after: Option<(Key, RecordId)>,
) -> Result<Vec<Record>, Fault> {
    let after = after.map_or(String::new(), |(_, id)| id.to_string());
    let select = format!("{RECORD} AND id > $2 ORDER BY id LIMIT $3");
    let values =
        params![query.collection.as_str() => TEXT, after => TEXT, i64::from(one_more(&query.page)) => INT8];
    let rows = session.query_typed(&select, values).await?;
    rows.iter().map(|row| record(handle, &query.collection, row)).collect()
}

async fn page(handle: &TenantHandle, session: &Session, query: &RecordQuery) -> Result<Page<Record>, Fault> {
    let sort = query.sort.as_ref();
    sort.map_or(Ok(()), |sort| check_field(&sort.field))?;
    let list = format!("record/{:?}/{:?}/{:?}", query.collection, query.filter, query.sort);
    let open = |text: &str| cursor::open(handle.keys(), &list, text);
    let after: Option<(Key, RecordId)> = query.page.cursor.as_deref().map(open).transpose()?;
    let place = |record: &Record| match sort {
        Some(sort) => (Key::of(&field(record, &sort.field)), record.id),
        None => (Key::Null, record.id),
    };
    let seal = |place: (Key, RecordId)| cursor::seal(handle.keys(), &handle.env, &list, &place);
    if sort.is_none() && query.filter.0.is_empty() {
        let found = plain_page(handle, session, query, after).await?;
        return Ok(paged(&query.page, found, place, seal)?);
    }
    let compare = |one: &(Key, RecordId), two: &(Key, RecordId)| {
        let order = one.0.compare(&two.0).then(one.1.cmp(&two.1));
        if sort.is_some_and(|sort| sort.descending) { order.reverse() } else { order }
    };
    // What is no comparison is refused even where there is no record to compare.
    let nothing = Record {
        id: ids::Id::from_bytes([0; 16]),
        collection: query.collection.clone(),
        data: serde_json::Map::new(),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
        version: 0,
    };
    query.filter.0.iter().try_for_each(|comparison| holds(&nothing, comparison).map(drop))?;
    let mut found = Vec::new();
    for row in candidates(handle, session, query, after.as_ref()).await? {
        let record = record(handle, &query.collection, &row)?;
        let mut wanted = after.as_ref().is_none_or(|after| compare(&place(&record), after).is_gt());
        for comparison in &query.filter.0 {
            wanted = wanted && holds(&record, comparison)?;
        }
        if wanted {
            found.push((place(&record), record));
        }
    }
    found.sort_by(|(one, _), (two, _)| compare(one, two));
    Ok(paged(&query.page, found, |(place, _)| place.clone(), seal)?.map(|(_, record)| record))
}

#[async_trait]
impl RecordStore for PostgresStore {
    async fn create_record<'t>(
        &self,
        access: &Access<'t, Create<on::Record>>,
        record: Record,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        let limit = access.tenant().standing().limits.storage_bytes;
        self.write(access.tenant(), commit, move |txn| async move {
            let select = "SELECT 1 FROM record WHERE collection = $1 AND id = $2";
            let values = params![record.collection.as_str() => TEXT, record.id.to_string() => TEXT];
            if txn.query_typed_opt(select, values).await?.is_some() {
                return Err(StoreError::Exists(record.id.to_string()).into());
            }
            put(&txn, &record, 0, limit).await?;
            Ok(record)
        })
        .await
    }

    async fn record<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
        id: RecordId,
    ) -> Result<Private<'t, Record>, StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        let (origin, row) = handle.seek(collection.as_str(), &id.to_string()).await?;
        let found = record(&handle, collection, &row.ok_or(StoreError::NotFound)?)?;
        Ok(Private::arrived(access.tenant(), Origin::authenticated(origin), found))
    }

    async fn records<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        query: &RecordQuery,
    ) -> Result<Private<'t, Page<Record>>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            page(&handle, &session, query).await
        };
        self.read_with(access.tenant(), read).await
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
        let limit = access.tenant().standing().limits.storage_bytes;
        let collection = collection.clone();
        self.write(access.tenant(), commit, move |txn| async move {
            let (mut record, length) = find(&txn, &collection, id).await?;
            if expected.is_some_and(|expected| expected != record.version) {
                return Err(StoreError::Stale.into());
            }
            change_record(&mut record, change, now);
            put(&txn, &record, length, limit).await?;
            txn.answer(&record).await?;
            Ok(record)
        })
        .await
    }

    async fn delete_record<'t>(
        &self,
        access: &Access<'t, Delete<on::Record>>,
        collection: &Slug,
        id: RecordId,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (collection, handle) = (collection.clone(), self.handle(access.tenant().id()).await?);
        let work = move |txn: Txn| async move {
            let (record, length) = find(&txn, &collection, id).await?;
            if expected.is_some_and(|expected| expected != record.version) {
                return Err(StoreError::Stale.into());
            }
            let values = params![collection.as_str() => TEXT, id.to_string() => TEXT];
            txn.execute_typed("DELETE FROM record WHERE collection = $1 AND id = $2", values).await?;
            txn.stores(-length);
            Ok(())
        };
        handle.write_under(access.tenant().lease(), commit, work).await?;
        Ok(())
    }

    async fn declare_collection(
        &self,
        access: &Access<'_, Update<on::Record>>,
        collection: &Slug,
        settings: CollectionSettings,
        commit: Commit,
    ) -> Result<(), StoreError> {
        if settings.fields().count() > MAX_INDEXES {
            return Err(StoreError::Invalid(format!("A collection has at most {MAX_INDEXES} indexes.")));
        }
        settings.fields().try_for_each(|field| check_field(field))?;
        let (collection, handle) = (collection.clone(), self.handle(access.tenant().id()).await?);
        let work = move |txn: Txn| async move {
            let put = "INSERT INTO collection(name, indexes, range_indexes) VALUES($1, $2, $3)
                ON CONFLICT (tenant_id, name) DO UPDATE SET indexes = $2, range_indexes = $3";
            let values = params![collection.as_str() => TEXT, settings.indexes => TEXT_ARRAY,
                settings.range_indexes => TEXT_ARRAY];
            txn.execute_typed(put, values).await?;
            index_anew(&txn, &txn.handle, &collection).await
        };
        handle.write(commit, work).await?;
        Ok(())
    }

    async fn collection<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
    ) -> Result<Private<'t, CollectionSettings>, StoreError> {
        self.read(access.tenant(), DECLARED, params![collection.as_str() => TEXT], |_, rows| {
            rows.first().map_or_else(|| Ok(CollectionSettings::default()), settings)
        })
        .await
    }
}
