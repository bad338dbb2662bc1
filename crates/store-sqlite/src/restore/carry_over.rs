//! What a restore brings along from the present tables.

use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::Database;
use sqlcipher::{Connection, Executor, params};

const OBJECTS: &str = "SELECT kind, id, owner, body, version FROM object WHERE kind IN";
/// Kinds that are as they are now: a key that was revoked stays revoked, and one that was made since can
/// still be seen and revoked.
const AS_NOW: &str = "('api_key', 'signing_key')";
/// Kinds of which the present ones take the place of older ones: a refresh token that was used up must not
/// be presented again, and a key must not name an agent that is not there.
const NEWER_FIRST: &str = "('agent', 'credential')";

/// Brings what must not be taken back from the present tables into the staged ones, and lets the staged
/// ones count as folded as far as the present ones are. A transaction of the staged tables: all or nothing.
pub(super) fn carry_over(present: &Database, staged: &Connection) -> Result<(), Fault> {
    staged.execute_batch("BEGIN IMMEDIATE")?;
    let carried = carry(present, staged).and_then(|()| Ok(staged.execute_batch("COMMIT")?));
    if carried.is_err()
        && let Err(error) = staged.execute_batch("ROLLBACK")
    {
        tracing::debug!(%error, "there was nothing to roll back");
    }
    carried
}

fn carry(present: &Database, staged: &Connection) -> Result<(), Fault> {
    let from = &present.connection;
    let events = "SELECT number, time, action, actor, resource, leaf, hash, disclosures FROM audit_event";
    let last: Option<i64> = staged.query_row("SELECT max(number) FROM audit_event", [], |row| row.get(0))?;
    let last = last.unwrap_or(-1);
    copy_rows(from, &format!("{events} WHERE number > {last} ORDER BY number"), Table::AuditEvent, staged)?;
    erase_again(from, staged, last)?;
    for table in ["call", "usage_hour", "call_ended"] {
        take_as_it_is(from, table, staged)?;
    }
    staged.execute(&format!("DELETE FROM object WHERE kind IN {AS_NOW}"), [])?;
    for kinds in [AS_NOW, NEWER_FIRST] {
        copy_rows(from, &format!("{OBJECTS} {kinds}"), Table::Object, staged)?;
    }
    staged.execute("UPDATE folded SET through = ?1", params![present.folded])?;
    Ok(())
}

/// What was erased since the backup of what the log discloses stays erased.
fn erase_again(present: &Executor, staged: &Connection, last: i64) -> Result<(), Fault> {
    let mut select = present.prepare("SELECT number, disclosures FROM audit_event WHERE number <= ?1")?;
    let mut update = staged.prepare("UPDATE audit_event SET disclosures = ?2 WHERE number = ?1")?;
    let mut rows = select.query(params![last])?;
    while let Some(row) = rows.next()? {
        update.execute(params![row.get::<_, u64>(0)?, row.get::<_, Option<String>>(1)?])?;
    }
    Ok(())
}

/// Puts the present rows of a table in the place of the staged ones.
fn take_as_it_is(from: &Executor, table: &str, to: &Connection) -> Result<(), Fault> {
    to.execute(&format!("DELETE FROM {table}"), [])?;
    let mut select = from.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let marks = vec!["?"; columns].join(", ");
    let mut insert = to.prepare(&format!("INSERT INTO {table} VALUES({marks})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute(sqlcipher::params_from_iter(cells(row, columns)?))?;
    }
    Ok(())
}

fn cells(row: &sqlcipher::Row<'_>, columns: usize) -> Result<Vec<Cell>, Fault> {
    let cells = (0..columns).map(|at| Ok(Cell::read(row.get_ref(at)?)));
    Ok(cells.collect::<Result<_, sqlcipher::Error>>()?)
}

fn copy_rows(from: &Executor, select: &str, table: Table, to: &Connection) -> Result<(), Fault> {
    let mut select = from.prepare(select)?;
    let columns = select.column_count();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        RowChange::Put(table, cells(row, columns)?).apply(to)?;
    }
    Ok(())
}
