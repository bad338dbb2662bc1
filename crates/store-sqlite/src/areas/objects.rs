//! Objects: small JSON documents by kind and id.

use super::{from_text, one_more, paged, to_text};
use crate::error::Fault;
use crate::rows::{Cell, Table, Tables};
use crate::tenant::Database;
use crate::{EmbeddedStore, cursor};
use async_trait::async_trait;
use context::Private;
use sqlcipher::{Executor, OptionalExtension, Row, params};
use store::{Commit, Object, ObjectKind, ObjectScope, ObjectStore, Page, PageRequest, StoreError};

fn object(row: &Row<'_>) -> Result<(String, Option<String>, String, u64), sqlcipher::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn read(tables: &Executor, kind: ObjectKind, id: &str, only_of: Option<&str>) -> Result<Object, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT id, owner, body, version FROM object
         WHERE kind = ?1 AND id = ?2 AND (?3 IS NULL OR owner = ?3)",
    )?;
    let found = select.query_row(params![kind.as_str(), id, only_of], object).optional()?;
    let (id, owner, body, version) = found.ok_or(Fault::Answer(StoreError::NotFound))?;
    Ok(Object { id, owner, body: from_text(&body)?, version })
}

#[async_trait]
impl ObjectStore for EmbeddedStore {
    async fn read_object<'t>(
        &self,
        scope: ObjectScope<'t>,
        id: &str,
    ) -> Result<Private<'t, Object>, StoreError> {
        let (kind, id, only_of) = (scope.kind(), id.to_owned(), scope.only_of().map(str::to_owned));
        let found =
            move |database: &Database, _: &_| read(&database.connection, kind, &id, only_of.as_deref());
        self.look_up_private(scope.tenant(), Tables::only(Table::Object), found).await
    }

    async fn list_objects<'t>(
        &self,
        scope: ObjectScope<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError> {
        let (kind, page, only_of) = (scope.kind(), page.clone(), scope.only_of().map(str::to_owned));
        let env = self.env();
        self.read_private(scope.tenant(), move |database, keys| {
            let list = format!("object/{}", kind.as_str());
            let after: Option<String> =
                page.cursor.as_deref().map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
            let mut select = database.connection.prepare_cached(
                "SELECT id, owner, body, version FROM object
                 WHERE kind = ?1 AND id > ?2 AND (?3 IS NULL OR owner = ?3) ORDER BY id LIMIT ?4",
            )?;
            let values = params![kind.as_str(), after.unwrap_or_default(), only_of, one_more(&page)];
            let rows = select.query_map(values, object)?.collect::<Result<Vec<_>, _>>()?;
            let objects = rows
                .into_iter()
                .map(|(id, owner, body, version)| Ok(Object { id, owner, body: from_text(&body)?, version }))
                .collect::<Result<Vec<_>, Fault>>()?;
            paged(&page, objects, |last| last.id.clone(), |id| cursor::seal(keys, &env, &list, &id))
        })
        .await
    }

    async fn write_object(
        &self,
        scope: ObjectScope<'_>,
        object: Object,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let kind = scope.kind();
        // A workflow will store runs; keys, agents and the like are small and few.
        let needs_file = kind == ObjectKind::Workflow;
        let quota = self.quota(scope.tenant());
        let handle = self.handle(scope.tenant()).await?;
        handle
            .write(needs_file, commit, move |txn| {
                let mut select =
                    txn.tables().prepare_cached("SELECT version FROM object WHERE kind = ?1 AND id = ?2")?;
                let found: Option<u64> =
                    select.query_row(params![kind.as_str(), object.id], |row| row.get(0)).optional()?;
                match (expected, found) {
                    (Some(0), Some(_)) => {
                        return Err(StoreError::Exists(format!("{} {}", kind.as_str(), object.id)).into());
                    }
                    (Some(expected), found) if expected != found.unwrap_or(0) => {
                        return Err(StoreError::Stale.into());
                    }
                    _ => {}
                }
                let body = to_text(&object.body)?;
                quota.admit(txn, body.len())?;
                let version = found.unwrap_or(0) + 1;
                let cells = vec![
                    Cell::from(kind.as_str()),
                    Cell::from(object.id),
                    Cell::from(object.owner),
                    Cell::from(body),
                    Cell::from(version),
                ];
                txn.put(Table::Object, cells)?;
                Ok(version)
            })
            .await
    }

    async fn remove_object(
        &self,
        scope: ObjectScope<'_>,
        id: &str,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (kind, id, only_of) = (scope.kind(), id.to_owned(), scope.only_of().map(str::to_owned));
        let handle = self.handle(scope.tenant()).await?;
        handle
            .write(false, commit, move |txn| {
                let found = read(txn.tables(), kind, &id, only_of.as_deref())?;
                if expected.is_some_and(|expected| expected != found.version) {
                    return Err(StoreError::Stale.into());
                }
                txn.delete(Table::Object, vec![Cell::from(kind.as_str()), Cell::from(id)])
            })
            .await
    }
}
