//! Record queries as SQL. Field names come from a parser that lets only plain names through and are still
//! bound as values; only the shape of the statement depends on the query.

use crate::error::Fault;
use crate::rows::Cell;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlcipher::{Executor, Row};
use std::fmt::Write;
use store::{CollectionSettings, Comparison, FilterOperator, RecordQuery, StoreError};

/// A statement with its values.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Cell>,
}

/// Where a list goes on: the order's value of the last row, and its id.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Place {
    value: Cell,
    id: String,
}

impl Place {
    /// Reads the place of a row: the id, and the order's value in the column after a record's.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, sqlcipher::Error> {
        let value = Cell::read(row.get_ref(6)?);
        Ok(Self { value, id: row.get(1)? })
    }
}

/// The list's name, with all that its order and content depend on: a cursor fits no other query.
pub(super) fn list_name(query: &RecordQuery) -> String {
    let text = format!("{:?}{:?}{:?}", query.collection, query.filter, query.sort);
    format!("record/{}", hex::encode(Sha256::digest(text)))
}

/// The query's statement, for the rows after `after`.
pub(super) fn build(query: &RecordQuery, after: Option<Place>, limit: u32) -> Result<Statement, Fault> {
    let columns = super::records::RecordRow::COLUMNS;
    let order = query.sort.as_ref().map_or_else(|| "id".to_owned(), |sort| expression(&sort.field));
    let mut values = Vec::new();
    // The collection is a slug and stands as text, since the partial indexes are found only so.
    let mut sql = format!("SELECT {columns}, {order} FROM record WHERE collection = '{}'", query.collection);
    for comparison in &query.filter.0 {
        condition(&mut sql, &mut values, comparison)?;
    }
    let descending = query.sort.as_ref().is_some_and(|sort| sort.descending);
    let (direction, beyond) = if descending { ("DESC", "<") } else { ("ASC", ">") };
    if let Some(place) = after {
        // Nulls come first in ascending order, so a place at null is followed by the other nulls and then by
        // everything else, or by nothing else where the order descends.
        let rest = if descending { "0" } else { "1" };
        let _ = match place.value {
            Cell::Null => {
                write!(sql, " AND (({order} IS NULL AND id {beyond} ?) OR ({order} IS NOT NULL AND {rest}))")
            }
            ref value => {
                values.push(value.clone());
                values.push(value.clone());
                let nulls = if descending { format!(" OR {order} IS NULL") } else { String::new() };
                write!(sql, " AND ({order} {beyond} ? OR ({order} = ? AND id {beyond} ?){nulls})")
            }
        };
        values.push(Cell::from(place.id));
    }
    let _ = write!(sql, " ORDER BY {order} {direction}, id {direction} LIMIT {limit}");
    Ok(Statement { sql, values })
}

/// The SQL expression of a field. The name has passed the filter's parser: letters, digits, `_`, `-` and
/// dots, so it can stand in a JSON path and does so as text that an index can be made on.
fn expression(field: &str) -> String {
    match field {
        "created_at" | "updated_at" | "id" => field.to_owned(),
        _ => {
            let path: String = field.split('.').map(|part| format!(".\"{part}\"")).collect();
            format!("json_extract(data, '${path}')")
        }
    }
}

fn condition(sql: &mut String, values: &mut Vec<Cell>, comparison: &Comparison) -> Result<(), Fault> {
    let field = expression(&comparison.field);
    let operator = match comparison.operator {
        FilterOperator::Present => {
            let _ = write!(sql, " AND {field} IS NOT NULL");
            return Ok(());
        }
        FilterOperator::Contains | FilterOperator::StartsWith => {
            let Value::String(text) = &comparison.value else {
                return Err(StoreError::Invalid("`co` and `sw` compare with text.".into()).into());
            };
            let place = if comparison.operator == FilterOperator::Contains { "> 0" } else { "= 1" };
            let _ = write!(sql, " AND instr({field}, ?) {place}");
            values.push(Cell::from(text.as_str()));
            return Ok(());
        }
        FilterOperator::Equal => "IS",
        FilterOperator::NotEqual => "IS NOT",
        FilterOperator::Greater => ">",
        FilterOperator::GreaterOrEqual => ">=",
        FilterOperator::Less => "<",
        FilterOperator::LessOrEqual => "<=",
    };
    let _ = write!(sql, " AND {field} {operator} ?");
    values.push(value(&comparison.field, &comparison.value)?);
    if matches!(operator, ">" | ">=" | "<" | "<=") {
        // SQLite orders all numbers before all text; a comparison with one kind is about that kind alone.
        let kind = if comparison.value.is_number() { "('integer', 'real')" } else { "('text', 'integer')" };
        let _ = write!(sql, " AND typeof({field}) IN {kind}");
    }
    Ok(())
}

fn value(field: &str, value: &Value) -> Result<Cell, Fault> {
    let invalid = |detail: &str| Fault::Answer(StoreError::Invalid(detail.to_owned()));
    Ok(match (field, value) {
        ("created_at" | "updated_at", Value::String(text)) => {
            let at: env::Timestamp =
                text.parse().map_err(|_| invalid("Times are compared as RFC 3339 text."))?;
            Cell::from(at)
        }
        (_, Value::Null) => Cell::Null,
        (_, Value::Bool(value)) => Cell::Integer(i64::from(*value)),
        (_, Value::String(text)) => Cell::from(text.as_str()),
        (_, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Integer(whole),
            (None, Some(fraction)) => Cell::Real(fraction),
            (None, None) => return Err(invalid("The number is too large.")),
        },
        _ => return Err(invalid("A field is compared with text, a number, true, false or null.")),
    })
}

const MAX_INDEXES: usize = 16;

/// Refuses what cannot be indexed.
pub(super) fn check_indexes(settings: &CollectionSettings) -> Result<(), Fault> {
    if settings.indexes.len() > MAX_INDEXES {
        return Err(StoreError::Invalid(format!("A collection has at most {MAX_INDEXES} indexes.")).into());
    }
    for field in &settings.indexes {
        store::Sort::parse(field).map_err(|error| StoreError::Invalid(error.to_string()))?;
    }
    Ok(())
}

/// Makes the indexes of a collection's row, partial and for this collection alone. Part of applying the
/// row, so that a database that the journal is folded into anew has them too.
pub(crate) fn make_indexes(tables: &Executor, collection: &str, settings: &str) -> Result<(), Fault> {
    let collection: ids::Slug = collection.parse().map_err(|_| Fault::Damaged("a collection's name"))?;
    let settings: CollectionSettings = super::from_text(settings)?;
    check_indexes(&settings)?;
    for field in &settings.indexes {
        let name = hex::encode(&Sha256::digest(format!("{collection}/{field}"))[..12]);
        tables.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS record_{name} ON record({}, id) WHERE collection = '{collection}'",
            expression(field)
        ))?;
    }
    Ok(())
}
