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
    let order = match &query.sort {
        None => "id".to_owned(),
        Some(sort) => Field::named(&sort.field)?.expression(),
    };
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

/// Where a field's value is.
enum Field {
    /// A column that holds a time.
    Time(&'static str),
    /// The record's id.
    Id,
    /// A place in the record's JSON.
    Json(String),
}

impl Field {
    /// The field with this name. Callers parse names; that this does so again keeps every other text out of
    /// the statement: letters, digits, `_`, `-` and dots can stand in a JSON path, and do so as text that an
    /// index can be made on.
    fn named(name: &str) -> Result<Self, Fault> {
        let sort = store::Sort::parse(name).map_err(|error| StoreError::Invalid(error.to_string()))?;
        match sort.field.as_str() {
            _ if sort.descending => Err(StoreError::Invalid(format!("`{name}` is no field.")).into()),
            "created_at" => Ok(Self::Time("created_at")),
            "updated_at" => Ok(Self::Time("updated_at")),
            "id" => Ok(Self::Id),
            field => Ok(Self::Json(field.split('.').map(|part| format!(".\"{part}\"")).collect())),
        }
    }

    fn expression(&self) -> String {
        match self {
            Self::Time(column) => (*column).to_owned(),
            Self::Id => "id".to_owned(),
            Self::Json(path) => format!("json_extract(data, '${path}')"),
        }
    }

    /// The condition that the value is of this kind: text is only ever compared with text, and a number
    /// with numbers. SQLite alone would take `true` for 1, and order all numbers before all text.
    fn is_kind(&self, kinds: &str) -> String {
        match self {
            Self::Time(_) | Self::Id => String::new(),
            Self::Json(path) => format!(" AND json_type(data, '${path}') IN ({kinds})"),
        }
    }
}

const TEXT: &str = "'text'";
const NUMBER: &str = "'integer', 'real'";

fn condition(sql: &mut String, values: &mut Vec<Cell>, comparison: &Comparison) -> Result<(), Fault> {
    let field = Field::named(&comparison.field)?;
    let expression = field.expression();
    let range = match comparison.operator {
        FilterOperator::Present => {
            let _ = write!(sql, " AND {expression} IS NOT NULL");
            return Ok(());
        }
        FilterOperator::Contains | FilterOperator::StartsWith => {
            let (Value::String(text), Field::Id | Field::Json(_)) = (&comparison.value, &field) else {
                return Err(StoreError::Invalid("`co` and `sw` compare text with text.".into()).into());
            };
            let place = if comparison.operator == FilterOperator::Contains { "> 0" } else { "= 1" };
            let _ = write!(sql, " AND instr({expression}, ?) {place}{}", field.is_kind(TEXT));
            values.push(Cell::from(text.as_str()));
            return Ok(());
        }
        FilterOperator::Equal | FilterOperator::NotEqual => {
            let equal = equality(&field, &expression, values, &comparison.value)?;
            let _ = match comparison.operator {
                FilterOperator::Equal => write!(sql, " AND {equal}"),
                _ => write!(sql, " AND NOT ifnull({equal}, 0)"),
            };
            return Ok(());
        }
        FilterOperator::Greater => ">",
        FilterOperator::GreaterOrEqual => ">=",
        FilterOperator::Less => "<",
        FilterOperator::LessOrEqual => "<=",
    };
    let (place, kinds) = operand(&field, values, &comparison.value)?;
    let _ = write!(sql, " AND {expression} {range} {place}{}", field.is_kind(kinds));
    Ok(())
}

fn equality(field: &Field, expression: &str, values: &mut Vec<Cell>, value: &Value) -> Result<String, Fault> {
    Ok(match (field, value) {
        (_, Value::Null) => format!("({expression} IS NULL)"),
        (Field::Json(_), Value::Bool(truth)) => {
            values.push(Cell::Integer(i64::from(*truth)));
            let kind = if *truth { "'true'" } else { "'false'" };
            format!("({expression} = ?{})", field.is_kind(kind))
        }
        _ => {
            let (place, kinds) = operand(field, values, value)?;
            format!("({expression} = {place}{})", field.is_kind(kinds))
        }
    })
}

/// What stands for a value in the statement, and the kinds that it can be compared with.
fn operand(
    field: &Field,
    values: &mut Vec<Cell>,
    value: &Value,
) -> Result<(&'static str, &'static str), Fault> {
    let invalid = |detail: &str| Fault::Answer(StoreError::Invalid(detail.to_owned()));
    match (field, value) {
        (Field::Time(_), Value::String(text)) => {
            let at: env::Timestamp =
                text.parse().map_err(|_| invalid("Times are compared as RFC 3339 text."))?;
            values.push(Cell::from(at));
            Ok(("?", NUMBER))
        }
        (Field::Time(_), _) => Err(invalid("Times are compared as RFC 3339 text.")),
        (Field::Id | Field::Json(_), Value::String(text)) => {
            values.push(Cell::from(text.as_str()));
            Ok(("?", TEXT))
        }
        (Field::Json(_), Value::Number(number)) => match number.as_i64() {
            Some(whole) => {
                values.push(Cell::Integer(whole));
                Ok(("?", NUMBER))
            }
            // Read by SQLite as it reads the records' own, so that equal texts are equal numbers.
            None => {
                values.push(Cell::from(number.to_string()));
                Ok(("json_extract(?, '$')", NUMBER))
            }
        },
        _ => Err(invalid("This comparison needs text or a number.")),
    }
}

const MAX_INDEXES: usize = 16;

/// Refuses what cannot be indexed.
pub(super) fn check_indexes(settings: &CollectionSettings) -> Result<(), Fault> {
    if settings.fields().count() > MAX_INDEXES {
        return Err(StoreError::Invalid(format!("A collection has at most {MAX_INDEXES} indexes.")).into());
    }
    settings.fields().try_for_each(|field| Field::named(field).map(drop))
}

/// Makes the indexes of a collection's row, partial and for this collection alone. Part of applying the
/// row, so that a database that the journal is folded into anew has them too.
pub(crate) fn make_indexes(tables: &Executor, collection: &str, settings: &str) -> Result<(), Fault> {
    let collection: ids::Slug = collection.parse().map_err(|_| Fault::Damaged("a collection's name"))?;
    let settings: CollectionSettings = super::from_text(settings)?;
    check_indexes(&settings)?;
    let of_collection = format!("record_{}_", short_hash(collection.as_str()));
    let mut wanted = Vec::new();
    for name in settings.fields() {
        let field = Field::named(name)?;
        let index = format!("{of_collection}{}", short_hash(name));
        tables.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {index} ON record({}, id) WHERE collection = '{collection}'",
            field.expression()
        ))?;
        wanted.push(index);
    }
    let mut present = tables.prepare_cached(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND substr(name, 1, length(?1)) = ?1",
    )?;
    let present = present.query_map([&of_collection], |row| row.get::<_, String>(0))?;
    for index in present.collect::<Result<Vec<_>, _>>()? {
        if !wanted.contains(&index) {
            tables.execute_batch(&format!("DROP INDEX {index}"))?;
        }
    }
    Ok(())
}

fn short_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..12])
}
