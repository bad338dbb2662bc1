//! A change of the data key: everything sealed is sealed anew, and the key with it changed, in one transaction.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Session, params};
use crate::tenant::TenantHandle;
use ids::{Id as _, TenantId};
use store::StoreError;
use store_core::keys::WrappedKeys;

/// Every sealed column, with the parts of the place that it is sealed for.
const SEALED: [(&str, &str, &str); 11] = [
    ("audit_event", "leaf", "ARRAY[epoch::text || '/' || number::text, 'leaf']"),
    ("audit_event", "disclosures", "ARRAY[epoch::text || '/' || number::text, 'disclosures']"),
    ("object", "body", "ARRAY[kind, id]"),
    ("record", "data", "ARRAY[collection, id]"),
    ("run", "run", "ARRAY[id, 'run']"),
    ("run", "frozen", "ARRAY[id, 'frozen']"),
    ("run", "state", "ARRAY[id, 'state']"),
    ("run_part", "body", "ARRAY[run, kind, place]"),
    ("call", "body", "ARRAY[id, 'body']"),
    ("call", "outcome", "ARRAY[id, 'outcome']"),
    ("remembered", "body", "ARRAY[encode(key, 'hex')]"),
];

impl PostgresStore {
    /// Seals a tenant's content under a fresh key. Nobody writes for the tenant meanwhile.
    pub(super) async fn seal_anew(&self, id: TenantId) -> Result<(), Fault> {
        let (inner, env) = (self.inner(), self.env());
        let (session, _) = self.home().begin(id, "BEGIN").await?;
        let head = session.query_typed_opt("SELECT 1 FROM log_head FOR UPDATE", &[]).await?;
        head.ok_or(Fault::Answer(StoreError::NotFound))?;
        let region = inner.platform.region_in(&session, id).await?;
        let wrapped = inner.platform.keys_in(&session, id).await?.ok_or(Fault::KeyGone)?;
        let old = self.unborn(id, &region, &wrapped).await?;
        let wrapped = wrapped.with_new_data_key(inner.kms.as_ref(), id, &env).await?;
        let new = self.unborn(id, &region, &wrapped).await?;
        for (table, column, parts) in SEALED {
            seal_column(&session, &old, &new, (table, column, parts)).await?;
        }
        let (bytes, key) = (id.to_bytes(), wrapped.data.wrapped.to_bytes());
        let put = "UPDATE tenantry.tenant_key SET name = $3, wrapped = $4 WHERE tenant = $1 AND kind = $2";
        let values = params![bytes.as_slice() => BYTEA, WrappedKeys::DATA => TEXT, wrapped.data.name => TEXT,
            key => BYTEA];
        session.execute_typed(put, values).await?;
        let name = "UPDATE log_head SET data_key = $1";
        session.execute_typed(name, params![wrapped.data.name => TEXT]).await?;
        session.commit().await?;
        self.forget(id);
        Ok(())
    }
}

async fn seal_column(
    session: &Session,
    old: &TenantHandle,
    new: &TenantHandle,
    (table, column, parts): (&str, &str, &str),
) -> Result<(), Fault> {
    let select =
        format!("SELECT ctid::text, {parts}::text[], {column} FROM {table} WHERE {column} IS NOT NULL");
    let (mut places, mut values) = (Vec::new(), Vec::new());
    for row in session.query_typed(&select, &[]).await? {
        let parts: Vec<&str> = row.try_get(1)?;
        let plain = old.open_bytes(table, &parts, row.try_get(2)?)?;
        values.push(new.seal_bytes(table, &parts, &plain)?);
        places.push(row.try_get::<_, String>(0)?);
    }
    // Nobody else changes the rows while the log's head is held, so that they stay where they are.
    let put = format!(
        "UPDATE {table} SET {column} = anew.value FROM unnest($1::text[], $2::bytea[]) AS anew(at, value)
         WHERE {table}.ctid = anew.at::tid"
    );
    let count = places.len() as u64;
    let changed = session.execute_typed(&put, params![places => TEXT_ARRAY, values => BYTEA_ARRAY]).await?;
    if changed == count { Ok(()) } else { Err(Fault::Damaged("a table whose rows moved")) }
}
