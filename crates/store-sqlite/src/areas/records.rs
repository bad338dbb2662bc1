//! Records: JSON rows in collections.

use super::record_query::{self, Place};
use super::{from_text, one_more, paged, to_text};
use crate::error::Fault;
use crate::rows::{Cell, Table, Tables};
use crate::tenant::{Database, Txn};
use crate::{EmbeddedStore, cursor};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, Update, on};
use env::Timestamp;
use ids::{RecordId, Slug};
use sqlcipher::{Executor, OptionalExtension, Row, params, params_from_iter};
use store::{CollectionSettings, Commit, Page, Record, RecordChange, RecordQuery, RecordStore, StoreError};
use store_core::change::change as change_record;

pub(super) struct RecordRow {
    collection: String,
    id: String,
    data: String,
    created_at: i64,
    updated_at: i64,
    version: u64,
}

impl RecordRow {
    pub(super) const COLUMNS: &'static str = "collection, id, data, created_at, updated_at, version";

    pub(super) fn read(row: &Row<'_>) -> Result<Self, sqlcipher::Error> {
        Ok(Self {
            collection: row.get(0)?,
            id: row.get(1)?,
            data: row.get(2)?,
            created_at: row.get(3)?,
            updated_at: row.get(4)?,
            version: row.get(5)?,
        })
    }

    pub(super) fn into_record(self) -> Result<Record, Fault> {
        Ok(Record {
            id: self.id.parse().map_err(|_| Fault::Damaged("a record's id"))?,
            collection: self.collection.parse().map_err(|_| Fault::Damaged("a record's collection"))?,
            data: from_text(&self.data)?,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            version: self.version,
        })
    }
}

fn find(tables: &Executor, collection: &Slug, id: RecordId) -> Result<Record, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT collection, id, data, created_at, updated_at, version FROM record
         WHERE collection = ?1 AND id = ?2",
    )?;
    let row = select.query_row(params![collection.as_str(), id.to_string()], RecordRow::read).optional()?;
    row.ok_or(Fault::Answer(StoreError::NotFound))?.into_record()
}

fn find_version(
    tables: &Executor,
    collection: &Slug,
    id: RecordId,
    expected: Option<u64>,
) -> Result<Record, Fault> {
    let record = find(tables, collection, id)?;
    if expected.is_some_and(|expected| expected != record.version) {
        return Err(StoreError::Stale.into());
    }
    Ok(record)
}

fn put(txn: &mut Txn<'_>, record: &Record, data: String) -> Result<(), Fault> {
    let cells = vec![
        Cell::from(record.collection.as_str()),
        Cell::from(record.id.to_string()),
        Cell::from(data),
        Cell::from(record.created_at),
        Cell::from(record.updated_at),
        Cell::from(record.version),
    ];
    txn.put(Table::Record, cells)
}

#[async_trait]
impl RecordStore for EmbeddedStore {
    async fn create_record<'t>(
        &self,
        access: &Access<'t, Create<on::Record>>,
        record: Record,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        self.inner().leases.permit(access.tenant())?;
        let quota = self.quota(access.tenant());
        self.write_private(access.tenant(), true, commit, move |txn| {
            if !matches!(
                find(txn.tables(), &record.collection, record.id),
                Err(Fault::Answer(StoreError::NotFound))
            ) {
                return Err(StoreError::Exists(record.id.to_string()).into());
            }
            let data = to_text(&record.data)?;
            quota.admit(txn, data.len())?;
            put(txn, &record, data)?;
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
        let collection = collection.clone();
        let found = move |database: &Database, _: &_| find(&database.connection, &collection, id);
        self.look_up_private(access.tenant(), Tables::only(Table::Record), found).await
    }

    async fn records<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        query: &RecordQuery,
    ) -> Result<Private<'t, Page<Record>>, StoreError> {
        let query = query.clone();
        let env = self.env();
        self.read_private(access.tenant(), move |database, keys| {
            let list = record_query::list_name(&query);
            let after: Option<Place> =
                query.page.cursor.as_deref().map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
            let statement = record_query::build(&query, after, one_more(&query.page))?;
            let mut select = database.connection.prepare_cached(&statement.sql)?;
            let rows = select.query_map(params_from_iter(&statement.values), |row| {
                Ok((RecordRow::read(row)?, Place::read(row)?))
            })?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let page = paged(
                &query.page,
                rows,
                |(_, place)| place.clone(),
                |place| cursor::seal(keys, &env, &list, &place),
            )?;
            let data = page.data.into_iter().map(|(row, _)| row.into_record()).collect::<Result<_, _>>()?;
            Ok(Page { data, next_cursor: page.next_cursor })
        })
        .await
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
        self.inner().leases.permit(access.tenant())?;
        let collection = collection.clone();
        let quota = self.quota(access.tenant());
        self.write_private(access.tenant(), true, commit, move |txn| {
            let mut record = find_version(txn.tables(), &collection, id, expected)?;
            let before = to_text(&record.data)?.len();
            change_record(&mut record, change, now);
            let data = to_text(&record.data)?;
            quota.admit(txn, data.len().saturating_sub(before))?;
            put(txn, &record, data)?;
            txn.answer(&record)?;
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
        self.inner().leases.permit(access.tenant())?;
        let collection = collection.clone();
        let handle = self.handle(access.tenant()).await?;
        handle
            .write(false, commit, move |txn| {
                find_version(txn.tables(), &collection, id, expected)?;
                txn.delete(Table::Record, vec![Cell::from(collection.as_str()), Cell::from(id.to_string())])
            })
            .await
    }

    async fn declare_collection(
        &self,
        access: &Access<'_, Update<on::Record>>,
        collection: &Slug,
        settings: CollectionSettings,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let collection = collection.clone();
        let handle = self.handle(access.tenant()).await?;
        handle
            .write(true, commit, move |txn| {
                record_query::check_indexes(&settings)?;
                let cells = vec![Cell::from(collection.as_str()), Cell::from(to_text(&settings)?)];
                txn.put(Table::Collection, cells)
            })
            .await
    }

    async fn collection<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
    ) -> Result<Private<'t, CollectionSettings>, StoreError> {
        let collection = collection.clone();
        self.read_private(access.tenant(), move |database, _| {
            let mut select =
                database.connection.prepare_cached("SELECT settings FROM collection WHERE name = ?1")?;
            let found: Option<String> =
                select.query_row(params![collection.as_str()], |row| row.get(0)).optional()?;
            found.map_or_else(|| Ok(CollectionSettings::default()), |text| from_text(&text))
        })
        .await
    }
}
