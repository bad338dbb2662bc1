//! Objects: keys, agents, workflows and the like, a sealed document each.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::params;
use crate::tenant::{TenantHandle, Txn};
use async_trait::async_trait;
use context::Private;
use store::{Commit, Object, ObjectKind, ObjectScope, ObjectStore, Page, PageRequest, StoreError};
use store_core::cursor;
use store_core::page::{one_more, paged};
use tokio_postgres::Row;

fn object(handle: &TenantHandle, kind: ObjectKind, row: &Row) -> Result<Object, Fault> {
    let id: String = row.try_get(0)?;
    let body = handle.open("object", &[kind.as_str(), &id], row.try_get(3)?)?;
    Ok(Object { id, owner: row.try_get(1)?, version: row.try_get::<_, i64>(2)?.cast_unsigned(), body })
}

#[async_trait]
impl ObjectStore for PostgresStore {
    async fn read_object<'t>(
        &self,
        scope: ObjectScope<'t>,
        id: &str,
    ) -> Result<Private<'t, Object>, StoreError> {
        let kind = scope.kind();
        let select = "SELECT id, owner, version, body FROM object
            WHERE kind = $1 AND id = $2 AND ($3::text IS NULL OR owner = $3)";
        let values = params![kind.as_str() => TEXT, id => TEXT, scope.only_of() => TEXT];
        self.read(scope.tenant(), select, values, |handle, rows| {
            object(handle, kind, rows.first().ok_or(Fault::Answer(StoreError::NotFound))?)
        })
        .await
    }

    async fn list_objects<'t>(
        &self,
        scope: ObjectScope<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError> {
        let kind = scope.kind();
        let list = format!("object/{}", kind.as_str());
        let handle = self.handle(scope.tenant().id()).await?;
        let open = |text: &str| cursor::open::<String>(handle.keys(), &list, text);
        let after = page.cursor.as_deref().map(open).transpose()?.unwrap_or_default();
        let select = "SELECT id, owner, version, body FROM object
            WHERE kind = $1 AND id > $2 AND ($3::text IS NULL OR owner = $3) ORDER BY id LIMIT $4";
        let values = params![kind.as_str() => TEXT, after => TEXT, scope.only_of() => TEXT,
            i64::from(one_more(page)) => INT8];
        self.read(scope.tenant(), select, values, |handle, rows| {
            let objects = rows.iter().map(|row| object(handle, kind, row)).collect::<Result<Vec<_>, _>>()?;
            let seal = |id: String| cursor::seal(handle.keys(), &handle.env, &list, &id);
            Ok(paged(page, objects, |last| last.id.clone(), seal)?)
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
        let (kind, limit) = (scope.kind(), scope.tenant().standing().limits.storage_bytes);
        let handle = self.handle(scope.tenant().id()).await?;
        let work = move |txn: Txn| async move {
            let select = "SELECT version, octet_length(body)::int8 FROM object WHERE kind = $1 AND id = $2";
            let values = params![kind.as_str() => TEXT, object.id => TEXT];
            let found = txn.query_typed_opt(select, values).await?;
            let found =
                found.map(|row| Ok::<(i64, i64), Fault>((row.try_get(0)?, row.try_get(1)?))).transpose()?;
            let (version, length) = found.unwrap_or((0, 0));
            match expected {
                Some(0) if version != 0 => {
                    return Err(StoreError::Exists(format!("{} {}", kind.as_str(), object.id)).into());
                }
                Some(expected) if expected != version.cast_unsigned() => return Err(StoreError::Stale.into()),
                _ => {}
            }
            let body = txn.handle.seal("object", &[kind.as_str(), &object.id], &object.body)?;
            txn.admit(limit, body.len() as i64 - length)?;
            if kind == ObjectKind::Workflow {
                txn.keeps_data();
            }
            let put = "INSERT INTO object(kind, id, owner, version, body) VALUES($1, $2, $3, $4, $5)
                ON CONFLICT (tenant_id, kind, id) DO UPDATE SET owner = $3, version = $4, body = $5";
            let values = params![kind.as_str() => TEXT, object.id => TEXT, object.owner => TEXT,
                version + 1 => INT8, body => BYTEA];
            txn.execute_typed(put, values).await?;
            Ok((version + 1).cast_unsigned())
        };
        Ok(handle.write(commit, work).await?.value)
    }

    async fn remove_object(
        &self,
        scope: ObjectScope<'_>,
        id: &str,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (kind, id, only_of) = (scope.kind(), id.to_owned(), scope.only_of().map(str::to_owned));
        let handle = self.handle(scope.tenant().id()).await?;
        let work = move |txn: Txn| async move {
            let remove = "DELETE FROM object WHERE kind = $1 AND id = $2 AND ($3::text IS NULL OR owner = $3)
                RETURNING version, octet_length(body)::int8";
            let values = params![kind.as_str() => TEXT, id => TEXT, only_of => TEXT];
            let row =
                txn.query_typed_opt(remove, values).await?.ok_or(Fault::Answer(StoreError::NotFound))?;
            // Where it is another version the job fails, and what it removed is there again.
            if expected.is_some_and(|expected| row.try_get(0).ok() != Some(expected.cast_signed())) {
                return Err(StoreError::Stale.into());
            }
            txn.stores(-row.try_get::<_, i64>(1)?);
            Ok(())
        };
        handle.write(commit, work).await?;
        Ok(())
    }
}
