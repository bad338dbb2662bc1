//! A change of the data key: everything sealed is sealed anew, in one transaction with the name of the new key.
//! The key itself is in the platform's database before that, beside the old one, and takes its place afterwards.

use super::lifecycle::hold_head;
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, OWN, Session, params};
use crate::tenant::TenantHandle;
use ids::TenantId;
use std::sync::Arc;
use store_core::keys::{NamedKey, WrappedKeys};

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
        let begin = |home: Arc<Home>| async move {
            let (session, _) = home.begin(id, "BEGIN").await?;
            let head = hold_head(&session).await?;
            Ok((session, head, home))
        };
        let (session, head, home) = self.handle(id).await?.there(begin).await?;
        let elsewhere = home.platform_session().await?;
        let platform = elsewhere.as_ref().unwrap_or(&session);
        let region = inner.platform.region_in(platform, id).await?;
        // Nobody else changes the key while the log's head is held, so that what an earlier change left is settled.
        inner.platform.settle_key(platform, id, &head).await?;
        let (wrapped, _) = inner.platform.keys_in(platform, id).await?.ok_or(Fault::KeyGone)?;
        let age = inner.platform.log_age_in(platform, id).await?;
        let old = self.unborn(id, &home, &region, &wrapped, age).await?;
        let wrapped = wrapped.with_new_data_key(inner.kms.as_ref(), id, &env).await?;
        let new = self.unborn(id, &home, &region, &wrapped, age).await?;
        inner.platform.put_next_key(platform, id, &wrapped.data).await?;
        for (table, column, parts) in SEALED {
            seal_column(&session, &old, &new, (table, column, parts)).await?;
        }
        let name = format!("UPDATE log_head SET data_key = $1 WHERE {OWN}");
        session.execute_typed(&name, params![wrapped.data.name => TEXT]).await?;
        match elsewhere {
            None => {
                inner.platform.settle_key(&session, id, &wrapped.data.name).await?;
                session.commit().await?;
            }
            // Which of the two keys holds the head says, so that a crash between these leaves it clear.
            Some(platform) => {
                session.commit().await?;
                inner.platform.settle_key(&platform, id, &wrapped.data.name).await?;
            }
        }
        self.forget(id);
        Ok(())
    }

    /// The tenant's keys, with the data key that its tables are sealed under: a change of it may have ended between
    /// the tables and the platform.
    pub(crate) async fn settled(
        &self,
        home: &Home,
        id: TenantId,
        (keys, next): (WrappedKeys, Option<NamedKey>),
    ) -> Result<WrappedKeys, Fault> {
        let Some(next) = next else { return Ok(keys) };
        let rows = home.read_one(id, ("SELECT data_key FROM log_head", &[])).await?;
        let head: &str = rows.first().ok_or(Fault::KeyGone)?.try_get(0)?;
        if head == next.name { Ok(WrappedKeys { data: next, ..keys }) } else { Ok(keys) }
    }
}

async fn seal_column(
    session: &Session,
    old: &TenantHandle,
    new: &TenantHandle,
    (table, column, parts): (&str, &str, &str),
) -> Result<(), Fault> {
    let select = format!(
        "SELECT ctid::text, {parts}::text[], {column} FROM {table} WHERE {OWN} AND {column} IS NOT NULL"
    );
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
