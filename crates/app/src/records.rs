//! Records: a tenant's JSON rows.

use crate::{App, note};
use audit::event::Action;
use context::{Create, Delete, Private, Read, Tenant, Update, on};
use errors::{Code, Problem};
use ids::{RecordId, Slug};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{CollectionSettings, Commit, IdempotencyClaim, Page, Record, RecordChange, RecordQuery};

const CREATE: Action = Action::new("record.create");
const UPDATE: Action = Action::new("record.update");
const DELETE: Action = Action::new("record.delete");
const DECLARE: Action = Action::new("collection.declare");

/// The largest record, in bytes of JSON.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// What is declared of a collection. It replaces what was declared before.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Fields that queries by equality find by an index, and by range and order where the store is embedded. At most 16.
    #[schemars(
        length(max = 16),
        inner(length(max = 128), regex(pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"))
    )]
    pub indexes: Vec<String>,
    /// Fields that queries by equality, range and order find by an index. On PostgreSQL the values of these fields stand
    /// in clear in the database. At most 16 with the others.
    #[serde(default)]
    #[schemars(
        length(max = 16),
        inner(length(max = 128), regex(pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"))
    )]
    pub range_indexes: Vec<String>,
}

/// Adds a record.
pub async fn create<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    collection: Slug,
    data: Map<String, Value>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Record>, Problem> {
    create_as(app, tenant, app.env.id(), collection, data, claim).await
}

/// Adds a record under an id that the caller made, so that a repeat of the same work meets what the first
/// one left instead of adding another.
pub async fn create_as<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: RecordId,
    collection: Slug,
    data: Map<String, Value>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Record>, Problem> {
    let access = tenant.authorize::<Create<on::Record>>()?;
    check_size(&data)?;
    let now = app.env.now();
    let record = Record { id, collection, data, created_at: now, updated_at: now, version: 1 };
    let event =
        note(tenant, CREATE, "record", record.id.to_string(), [("collection", json!(record.collection))]);
    let claim = claim.map(|claim| claim.answered(&record));
    Ok(app.store.create_record(&access, record, Commit::event(event).claiming(claim)).await?)
}

/// One record.
pub async fn get<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    collection: &Slug,
    id: RecordId,
) -> Result<Private<'t, Record>, Problem> {
    let access = tenant.authorize::<Read<on::Record>>()?;
    Ok(app.store.record(&access, collection, id).await?)
}

/// A page of records.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    query: &RecordQuery,
) -> Result<Private<'t, Page<Record>>, Problem> {
    let access = tenant.authorize::<Read<on::Record>>()?;
    Ok(app.store.records(&access, query).await?)
}

/// Merges a patch into a record (RFC 7396).
pub async fn change<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    collection: &Slug,
    id: RecordId,
    patch: Map<String, Value>,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Record>, Problem> {
    let access = tenant.authorize::<Update<on::Record>>()?;
    check_size(&patch)?;
    let event = note(tenant, UPDATE, "record", id.to_string(), [("collection", json!(collection))]);
    let commit = Commit::event(event).claiming(claim);
    let change = RecordChange::Merge(patch);
    Ok(app.store.change_record(&access, collection, id, change, expected, app.env.now(), commit).await?)
}

/// Removes a record.
pub async fn delete(
    app: &App,
    tenant: &Tenant<'_>,
    collection: &Slug,
    id: RecordId,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::Record>>()?;
    let event = note(tenant, DELETE, "record", id.to_string(), [("collection", json!(collection))]);
    Ok(app
        .store
        .delete_record(&access, collection, id, expected, Commit::event(event).claiming(claim))
        .await?)
}

/// Declares a collection's indexes.
pub async fn declare<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    collection: &Slug,
    declaration: Declaration,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, CollectionSettings>, Problem> {
    let access = tenant.authorize::<Update<on::Record>>()?;
    let Declaration { indexes, range_indexes } = declaration;
    let settings = CollectionSettings { indexes, range_indexes };
    let event = note(
        tenant,
        DECLARE,
        "collection",
        collection.as_str(),
        [("indexes", json!(settings.indexes.len())), ("range_indexes", json!(settings.range_indexes.len()))],
    );
    let commit = Commit::event(event).claiming(claim.map(|claim| claim.answered(&settings)));
    app.store.declare_collection(&access, collection, settings.clone(), commit).await?;
    Ok(Private::sent(tenant, settings))
}

fn check_size(data: &Map<String, Value>) -> Result<(), Problem> {
    let bytes = serde_json::to_vec(data).map_or(usize::MAX, |bytes| bytes.len());
    if bytes > MAX_RECORD_BYTES {
        let detail =
            format!("A record holds at most {MAX_RECORD_BYTES} bytes of JSON; this one has {bytes}.");
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    Ok(())
}
