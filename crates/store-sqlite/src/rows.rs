//! Rows: the one form in which tables change, so that the journal can carry every write and fold it again.
//!
//! A change puts a whole row or deletes one by its key. Applying the same changes twice, or a later prefix
//! of them again, ends in the same tables.

use crate::areas::Sums;
use crate::error::Fault;
use crate::tree::Tree;
use serde::{Deserialize, Serialize};
use sqlcipher::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use sqlcipher::{Executor, ToSql, params_from_iter};
use std::collections::HashSet;

macro_rules! tables {
    ($($variant:ident $name:literal $keys:literal [$($column:literal),*];)*) => {
        /// The tables of a tenant's database.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub(crate) enum Table { $($variant,)* }

        impl Table {
            pub(crate) const fn put_statement(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!(
                        "INSERT OR REPLACE INTO ", $name, " VALUES(", tables!(@marks $($column)*), ")"
                    ),)*
                }
            }

            const fn column_count(self) -> usize {
                match self { $(Self::$variant => [$($column),*].len(),)* }
            }

            fn delete_statement(self) -> String {
                let (name, columns, keys): (&str, &[&str], usize) = match self {
                    $(Self::$variant => ($name, &[$($column),*], $keys),)*
                };
                let wheres: Vec<_> = columns[..keys].iter().map(|column| format!("{column} = ?")).collect();
                format!("DELETE FROM {name} WHERE {}", wheres.join(" AND "))
            }

            /// The table's columns, in the order of its rows' values.
            #[cfg(test)]
            pub(crate) const fn columns(self) -> (&'static str, &'static [&'static str]) {
                match self { $(Self::$variant => ($name, &[$($column),*]),)* }
            }

            /// Every table.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
    (@marks $first:literal $($rest:literal)*) => { concat!("?", $(tables!(@mark $rest),)*) };
    (@mark $column:literal) => { ", ?" };
}

// name, length of the primary key, columns with the key's first
tables! {
    Object "object" 2 ["kind", "id", "owner", "body", "version"];
    Collection "collection" 1 ["name", "settings"];
    Record "record" 2 ["collection", "id", "data", "created_at", "updated_at", "version"];
    Run "run" 1 ["id", "workflow", "status", "finished_at", "cursor", "body", "state"];
    RunSource "run_source" 1 ["run", "definition", "config", "input"];
    Step "step" 2 ["run", "id", "body", "state"];
    RunEvent "run_event" 2 ["run", "number", "at", "body"];
    Delivery "delivery" 2 ["workflow", "delivery", "run"];
    Call "call" 1 ["id", "kind", "started_at", "status", "body", "outcome"];
    AuditEvent "audit_event" 1 ["number", "time", "action", "actor", "resource", "leaf", "hash", "disclosures"];
    Remembered "remembered" 1 ["key", "request", "until", "status", "body"];
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Cell {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A value as SQLite has it.
    pub(crate) fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            // The tables hold what Rust strings were, so nothing is lost.
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, sqlcipher::Error> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Integer(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(SqlValue::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Cell {
    /// Numbers above what SQLite holds do not occur: they count rows and milliseconds.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<env::Timestamp> for Cell {
    fn from(at: env::Timestamp) -> Self {
        Self::Integer(at.millis())
    }
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum RowChange {
    /// The row is as given, whatever it was.
    Put(Table, Vec<Cell>),
    /// There is no row with this key.
    Delete(Table, Vec<Cell>),
    /// The call's row is as given, unless its outcome is known: what a call cost is said once, and only
    /// where nothing was known can it be said later.
    Settle(Vec<Cell>),
}

/// Makes changes, in their order. What a later one of them puts once more is not written before.
pub(crate) fn apply_all(rows: &[RowChange], connection: &Executor) -> Result<(), Fault> {
    let superseded = superseded(rows);
    let settled = rows.iter().filter_map(|row| match row {
        RowChange::Settle(cells) => call_id(cells),
        _ => None,
    });
    let settled: HashSet<&str> = settled.collect();
    let mut sums = Sums::default();
    for (place, row) in rows.iter().enumerate() {
        match row {
            _ if superseded.contains(&place) => {}
            // Its outcome comes along and puts the whole row, so it need not be there before.
            RowChange::Put(Table::Call, cells) if call_id(cells).is_some_and(|id| settled.contains(id)) => {}
            row => row.gather(connection, &mut sums)?,
        }
    }
    sums.write(connection)
}

/// Where rows of runs and their steps stand that are put again further on: a run is put with each of its moves.
fn superseded(rows: &[RowChange]) -> HashSet<usize> {
    let mut later = HashSet::new();
    let mut superseded = HashSet::new();
    for (place, row) in rows.iter().enumerate().rev() {
        let key = match row {
            RowChange::Put(table @ Table::Run, cells) => (table, cells.first().and_then(Cell::text), None),
            RowChange::Put(table @ Table::Step, cells) => {
                (table, cells.first().and_then(Cell::text), cells.get(1).and_then(Cell::text))
            }
            _ => continue,
        };
        if !later.insert(key) {
            superseded.insert(place);
        }
    }
    superseded
}

fn call_id(cells: &[Cell]) -> Option<&str> {
    cells.first().and_then(Cell::text)
}

/// Some of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables(u16);

impl Tables {
    /// Every table.
    pub(crate) const ALL: Self = Self(u16::MAX);
    /// How many tables there may be.
    pub(crate) const MOST: usize = 16;

    /// One table.
    pub(crate) const fn only(table: Table) -> Self {
        Self(1 << table as u16)
    }

    /// Whether one of them is among the others.
    pub(crate) const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The tables that changes are made in.
    pub(crate) fn changed_by(rows: &[RowChange]) -> Self {
        rows.iter().fold(Self::default(), |tables, row| Self(tables.0 | Self::only(row.table()).0))
    }

    /// Each table's place among all.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |place| self.0 & (1 << place) != 0)
    }
}

impl RowChange {
    const fn table(&self) -> Table {
        match self {
            Self::Put(table, _) | Self::Delete(table, _) => *table,
            Self::Settle(_) => Table::Call,
        }
    }

    /// Makes the change.
    pub(crate) fn apply(&self, connection: &Executor) -> Result<(), Fault> {
        apply_all(std::slice::from_ref(self), connection)
    }

    /// Makes the change but for what it does to the sums of usage.
    fn gather(&self, connection: &Executor, sums: &mut Sums) -> Result<(), Fault> {
        match self {
            Self::Put(Table::Call, cells) => {
                // What a call cost is summed up with its outcome, so its beginning never comes after that.
                let begin = "INSERT INTO call VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE
                     SET kind = ?2, started_at = ?3, status = ?4, body = ?5 WHERE outcome IS NULL";
                connection.prepare_cached(begin)?.execute(params_from_iter(cells))?;
            }
            Self::Put(table, cells) => {
                // What an earlier version put into the journal lacks the columns that came later.
                let (added, empty) = (table.column_count().saturating_sub(cells.len()), Cell::from(""));
                let whole = params_from_iter(cells.iter().chain(std::iter::repeat_n(&empty, added)));
                connection.prepare_cached(table.put_statement())?.execute(whole)?;
                match (table, cells.as_slice()) {
                    (Table::AuditEvent, cells) => complete_nodes(connection, cells)?,
                    (Table::Collection, [Cell::Text(name), Cell::Text(settings)]) => {
                        crate::areas::make_indexes(connection, name, settings)?;
                    }
                    _ => {}
                }
            }
            Self::Settle(cells) => sums.note_outcome(connection, cells)?,
            Self::Delete(table, key) => {
                connection.prepare_cached(&table.delete_statement())?.execute(params_from_iter(key))?;
            }
        }
        Ok(())
    }
}

/// Adds what the event of a row completes in its log's tree.
fn complete_nodes(connection: &Executor, cells: &[Cell]) -> Result<(), Fault> {
    let damaged = || Fault::Damaged("an audit row");
    let (Some(Cell::Integer(number)), Some(Cell::Blob(hash))) = (cells.first(), cells.get(6)) else {
        return Err(damaged());
    };
    let row = u64::try_from(*number).map_err(|_| damaged())?;
    Tree::complete(connection, row, hash.as_slice().try_into().map_err(|_| damaged())?)
}
