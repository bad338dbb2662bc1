//! Copying a tenant's rows from one home to another, and comparing them. Rows are sealed for their tenant, table and
//! place in it, so that they are copied as they are. They travel as text by the names of their columns.

use super::side::Side;
use crate::error::Fault;
use crate::home::{OWN, params};
use crate::init::SetupError;
use crate::schema::TENANT_TABLES;
use tokio_postgres::Row;

/// How many rows are under way at once.
const ROWS_AT_ONCE: u32 = 500;

/// Rows that this transaction or a later one has written, as far as their number says: some may be older.
fn changed(since: u64) -> String {
    format!("age(its.xmin) <= age('{since}'::xid8::xid)")
}

/// A hash over a row, in whatever order its columns are.
const HASH: &str = "sha256(convert_to(to_jsonb(its)::text, 'UTF8'))";

/// How many rows there are of a table, and what they hold, in whatever order they and their columns are.
#[derive(PartialEq, Eq)]
struct Content {
    rows: i64,
    hash: String,
}

/// How many rows a table has, and how many of them are meant.
struct Count {
    rows: i64,
    changed: i64,
}

/// What a copy came to.
#[derive(Clone, Default)]
pub(super) struct Copied {
    /// Later changes are those that this did not see.
    pub(super) since: u64,
    /// How many rows were copied.
    pub(super) copied: i64,
    /// How many rows the tenant has.
    pub(super) rows: i64,
}

/// A move's rows on their way.
pub(super) struct Copying<'a> {
    pub(super) source: &'a Side,
    pub(super) target: &'a Side,
}

/// What a round does besides copying what has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It compares how many rows there are, and what was copied.
    Copied,
    /// It compares what all rows hold.
    Everything,
}

impl Copying<'_> {
    /// Takes away what is there of an earlier try, and copies everything as it is at one moment.
    pub(super) async fn all(&self) -> Result<Copied, SetupError> {
        let ours = self.source.ours().await?;
        self.source.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        self.target.begin("").await?;
        self.target.clear().await?;
        let mut copied = Copied { since: self.since(&ours).await?, ..Copied::default() };
        for table in TENANT_TABLES {
            copied.copied += self.copy(table, None).await?;
        }
        copied.rows = copied.copied;
        self.target.commit().await?;
        self.source.commit().await?;
        Ok(copied)
    }

    /// Brings the copy to what there is at one moment, which later changes come after.
    pub(super) async fn round(&self, before: u64, check: Check) -> Result<Copied, SetupError> {
        let ours = self.source.ours().await?;
        self.source.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        self.target.begin("").await?;
        let since = self.since(&ours).await?;
        let copied = self.catch_up(before, check).await?;
        self.target.commit().await?;
        self.source.commit().await?;
        Ok(Copied { since, ..copied })
    }

    /// Copies what has changed, takes away what is gone, and compares, in transactions that go on. Tables that have not
    /// changed cost nothing but a look at all of them at once, since writes may be waiting.
    pub(super) async fn catch_up(&self, before: u64, check: Check) -> Result<Copied, SetupError> {
        let mut sum = Copied::default();
        let changed = changed(before);
        let there = self.source.counts(&changed).await?;
        for (table, count) in TENANT_TABLES.into_iter().zip(&there).filter(|(_, count)| count.changed > 0) {
            let copied = self.copy(table, Some(before)).await?;
            if copied != count.changed {
                return Err(SetupError::Differs(table));
            }
            sum.copied += copied;
        }
        self.target.renew().await?;
        let here = self.target.counts("false").await?;
        // What refers to rows goes before them.
        for (table, (there, here)) in TENANT_TABLES.into_iter().zip(there.iter().zip(&here)).rev() {
            // All that is at the source was copied, so that there is more at the target where something is gone, and
            // only then.
            let gone = if here.rows > there.rows { self.prune(table).await? } else { 0 };
            if here.rows - gone != there.rows {
                return Err(SetupError::Differs(table));
            }
            sum.rows += there.rows;
        }
        if check == Check::Everything {
            self.compare().await?;
        }
        Ok(sum)
    }

    /// Compares what all rows hold.
    async fn compare(&self) -> Result<(), SetupError> {
        for table in TENANT_TABLES {
            self.source.renew().await?;
            self.target.renew().await?;
            let (there, here) = futures::try_join!(self.source.content(table), self.target.content(table))?;
            if there != here {
                return Err(SetupError::Differs(table));
            }
        }
        Ok(())
    }

    /// The oldest transaction whose changes the source's snapshot may not have, besides ours, of which none writes the
    /// tenant's rows there.
    async fn since(&self, ours: &[String]) -> Result<u64, Fault> {
        let since = "SELECT coalesce(
            (SELECT xip FROM pg_snapshot_xip(pg_current_snapshot()) AS xip
             WHERE xip::xid::text <> ALL($1) ORDER BY xip LIMIT 1),
            pg_snapshot_xmax(pg_current_snapshot()))::text";
        let row = self.source.client.query_typed_one(since, params![ours => TEXT_ARRAY]).await?;
        row.try_get::<_, &str>(0)?.parse().map_err(|_| Fault::Damaged("a transaction's number"))
    }

    /// Copies a table's rows, or those of them that have changed, and compares what has come to stand there; how many.
    async fn copy(&self, table: &'static str, before: Option<u64>) -> Result<i64, SetupError> {
        let (source, target) = (&self.source.client, &self.target.client);
        let which = before.map(|before| format!("WHERE {}", changed(before))).unwrap_or_default();
        self.source.renew().await?;
        let cursor = format!(
            "DECLARE moving NO SCROLL CURSOR FOR SELECT to_json(its)::text, {HASH} FROM {table} AS its {which}"
        );
        source.batch_execute(&cursor).await?;
        let put = self.target.put(table).await?;
        let mut copied = 0;
        loop {
            let rows = source.query_typed(&format!("FETCH {ROWS_AT_ONCE} FROM moving"), &[]).await?;
            if rows.is_empty() {
                break;
            }
            let lines: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            let list = format!("[{}]", lines.join(","));
            self.target.renew().await?;
            let stand = target.query_typed(&put, params![list => TEXT]).await?;
            if hashes(&rows, 1)? != hashes(&stand, 0)? {
                return Err(SetupError::Differs(table));
            }
            copied += stand.len() as i64;
        }
        source.batch_execute("CLOSE moving").await?;
        Ok(copied)
    }

    /// Takes away what is gone from the source; how many rows.
    async fn prune(&self, table: &str) -> Result<i64, Fault> {
        let key = self.target.key(table).await?;
        let keys = format!(
            "SELECT coalesce(json_agg(its), '[]')::text FROM (SELECT {key} FROM {table} WHERE {OWN}) AS its"
        );
        let keys: String = self.source.client.query_typed_one(&keys, &[]).await?.try_get(0)?;
        let of = |name: &str| format!("({name}.{})", key.replace(", ", &format!(", {name}.")));
        let gone = format!(
            "DELETE FROM {table} AS old WHERE {OWN} AND NOT EXISTS(SELECT 1 FROM json_populate_recordset(
                (SELECT its FROM {table} AS its WHERE false), $1::text::json) AS kept WHERE {} = {})",
            of("kept"),
            of("old")
        );
        self.target.renew().await?;
        Ok(self.target.client.execute_typed(&gone, params![keys => TEXT]).await?.cast_signed())
    }
}

/// The hashes of rows, whatever order these come in.
fn hashes(rows: &[Row], column: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let mut hashes = rows.iter().map(|row| row.try_get(column)).collect::<Result<Vec<Vec<u8>>, _>>()?;
    hashes.sort_unstable();
    Ok(hashes)
}

impl Side {
    /// The transactions under way of the administrator's. A row of the queue is held by one of them for as long as the
    /// whole move takes, and whatever came after it would count as changed in every round.
    async fn ours(&self) -> Result<Vec<String>, Fault> {
        let ours = "SELECT coalesce(array_agg(backend_xid::text), '{}') FROM pg_stat_activity
            WHERE usename = session_user AND backend_xid IS NOT NULL";
        Ok(self.client.query_typed_one(ours, &[]).await?.try_get(0)?)
    }

    /// The counts of all tables, in their order.
    async fn counts(&self, which: &str) -> Result<Vec<Count>, Fault> {
        let counts = TENANT_TABLES.map(|table| {
            format!("(SELECT count(*), count(*) FILTER (WHERE {which}) FROM {table} AS its) AS of_{table}")
        });
        let select = format!("SELECT * FROM {}", counts.join(", "));
        let row = self.client.query_typed_one(&select, &[]).await?;
        let count = |at: usize| Ok(Count { rows: row.try_get(2 * at)?, changed: row.try_get(2 * at + 1)? });
        (0..TENANT_TABLES.len()).map(count).collect()
    }

    /// What the rows of a table hold.
    async fn content(&self, table: &str) -> Result<Content, Fault> {
        let select = format!(
            "SELECT count(*), coalesce(encode(sha256(string_agg(hash, ''::bytea ORDER BY hash)), 'hex'), '')
             FROM (SELECT {HASH} AS hash FROM {table} AS its) AS hashed"
        );
        let row = self.client.query_typed_one(&select, &[]).await?;
        Ok(Content { rows: row.try_get(0)?, hash: row.try_get(1)? })
    }

    /// The columns of a table's key.
    async fn key(&self, table: &str) -> Result<String, Fault> {
        let select = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indrelid = $1::text::regclass AND indisprimary";
        let key: Option<String> =
            self.client.query_typed_one(select, params![table => TEXT]).await?.try_get(0)?;
        key.ok_or(Fault::Damaged("a table's key"))
    }

    /// The statement that puts a list of rows, each in the place of the one with its key, and tells their hashes.
    async fn put(&self, table: &str) -> Result<String, Fault> {
        let select = "SELECT string_agg(attname, ', ' ORDER BY attnum),
                string_agg('excluded.' || attname, ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
        let row = self.client.query_typed_one(select, params![table => TEXT]).await?;
        let (columns, excluded): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let key = self.key(table).await?;
        Ok(format!(
            "INSERT INTO {table} AS its({columns}) SELECT {columns} FROM json_populate_recordset(
                (SELECT no FROM {table} AS no WHERE false), $1::text::json)
             ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW({excluded}) RETURNING {HASH}"
        ))
    }

    /// Takes all rows of the tenant's away, in a transaction that goes on.
    pub(super) async fn clear(&self) -> Result<(), Fault> {
        for table in TENANT_TABLES.into_iter().rev() {
            self.renew().await?;
            self.client.execute_typed(&format!("DELETE FROM {table} WHERE {OWN}"), &[]).await?;
        }
        Ok(())
    }

    /// The tenant's work that is not over, as a list. Nobody changes it before the transaction has ended.
    pub(super) async fn held_work(&self) -> Result<String, Fault> {
        let select = format!(
            "SELECT coalesce(json_agg(its), '[]')::text
             FROM (SELECT * FROM {} WHERE tenant_id = $1 FOR UPDATE) AS its",
            self.work()
        );
        let id = super::bytes(self.tenant);
        Ok(self.client.query_typed_one(&select, params![id => BYTEA]).await?.try_get(0)?)
    }

    /// Takes the runs that are carried out from whoever has them: only the tenant's own worker carries any out here.
    pub(super) async fn take_runs_away(&self) -> Result<(), Fault> {
        let take = format!(
            "UPDATE {} SET fence = fence + 1, revoked = true
             WHERE tenant_id = $1 AND kind = 'run' AND held_until > clock_timestamp() AND NOT revoked",
            self.work()
        );
        self.client.execute_typed(&take, params![super::bytes(self.tenant) => BYTEA]).await?;
        Ok(())
    }

    /// Puts the tenant's work in the place of what is there, over a connection to the same database.
    pub(super) async fn put_work(&self, on: &tokio_postgres::Client, list: &str) -> Result<(), Fault> {
        let id = super::bytes(self.tenant);
        let clear = format!("DELETE FROM {} WHERE tenant_id = $1", self.work());
        on.execute_typed(&clear, params![id => BYTEA]).await?;
        on.execute_typed(&self.put(self.work()).await?, params![list => TEXT]).await?;
        Ok(())
    }
}
