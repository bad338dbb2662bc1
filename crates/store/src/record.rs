//! Records: a tenant's JSON rows, in collections.

use crate::{Commit, Filter, Page, PageRequest, Sort, StoreError};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, Update, on};
use env::Timestamp;
use ids::{RecordId, Slug};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tenant's JSON row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// The collection that it is in.
    pub collection: Slug,
    /// What it says.
    pub data: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1. Stands in `ETag`.
    pub version: u64,
}

/// How a record is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordChange {
    /// A JSON merge patch (RFC 7396).
    Merge(Map<String, Value>),
    /// New data in place of the old.
    Replace(Map<String, Value>),
}

/// Which records are wanted, in which order.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// The collection.
    pub collection: Slug,
    /// What must hold of them.
    pub filter: Filter,
    /// Their order; by id where it is `None`.
    pub sort: Option<Sort>,
    /// Which part.
    pub page: PageRequest,
}

/// What was declared of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CollectionSettings {
    /// Fields that queries by equality find by an index, and by range and order where the store is embedded.
    #[serde(default)]
    pub indexes: Vec<String>,
    /// Fields that queries by equality, range and order find by an index. On PostgreSQL their values stand in clear, and
    /// those of other fields do not. At most 16 with the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub range_indexes: Vec<String>,
}

impl CollectionSettings {
    /// Every field that is declared, of whichever kind its index is.
    pub fn fields(&self) -> impl Iterator<Item = &String> {
        self.indexes.iter().chain(&self.range_indexes)
    }
}

/// Keeps records.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Adds a record.
    async fn create_record<'t>(
        &self,
        access: &Access<'t, Create<on::Record>>,
        record: Record,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError>;

    /// One record.
    async fn record<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
        id: RecordId,
    ) -> Result<Private<'t, Record>, StoreError>;

    /// A page of records.
    async fn records<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        query: &RecordQuery,
    ) -> Result<Private<'t, Page<Record>>, StoreError>;

    /// Changes a record, if it still has the expected version where one is given.
    #[expect(clippy::too_many_arguments, reason = "one durable step: what, where, when, if, and with what")]
    async fn change_record<'t>(
        &self,
        access: &Access<'t, Update<on::Record>>,
        collection: &Slug,
        id: RecordId,
        change: RecordChange,
        expected: Option<u64>,
        now: Timestamp,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError>;

    /// Removes a record, if it still has the expected version where one is given.
    async fn delete_record<'t>(
        &self,
        access: &Access<'t, Delete<on::Record>>,
        collection: &Slug,
        id: RecordId,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError>;

    /// Declares a collection's indexes.
    async fn declare_collection(
        &self,
        access: &Access<'_, Update<on::Record>>,
        collection: &Slug,
        settings: CollectionSettings,
        commit: Commit,
    ) -> Result<(), StoreError>;

    /// What was declared of a collection.
    async fn collection<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
    ) -> Result<Private<'t, CollectionSettings>, StoreError>;
}
