//! Range indexes: of fields that are declared so, what an order sees of each record's value stands in clear, and the
//! database finds and orders by it. Two values that differ may stand there as one, but never in the other order; so
//! what is found may be too much, and is compared again by whoever asks.

use crate::error::Fault;
use crate::home::{Session, params};
use ids::RecordId;
use serde_json::Value;
use store::{Filter, FilterOperator, Record, RecordQuery};
use store_core::page::one_more;
use store_core::query::{Key, field};
use tokio_postgres::Row;

/// How many characters of a text stand there: the database keeps no index of longer ones.
const CHARACTERS: usize = 256;

/// What stands there of a collection's field.
const OF_FIELD: &str = "FROM record_range WHERE collection = $1 AND field = $2";

/// A value as it stands there.
struct Place {
    rank: i16,
    number: f64,
    text: String,
}

impl Place {
    fn of(key: &Key) -> Self {
        let (rank, number, text) = match key {
            Key::Null => (0, 0.0, ""),
            // What is no fraction is less than all that is one.
            Key::Number(number) => (1, number.as_f64().unwrap_or(f64::NEG_INFINITY), ""),
            Key::Text(text) => (2, 0.0, text.as_str()),
        };
        // The database takes no NUL, which comes before every other character, as the end of a text does.
        let text = text.chars().take_while(|character| *character != '\0').take(CHARACTERS).collect();
        Self { rank, number, text }
    }
}

/// Puts what the database orders a record by, in the place of what was there.
pub(super) async fn put(session: &Session, record: &Record, fields: &[String]) -> Result<(), Fault> {
    let (collection, id) = (record.collection.as_str(), record.id.to_string());
    let values = params![collection => TEXT, id => TEXT];
    session.execute_typed("DELETE FROM record_range WHERE collection = $1 AND id = $2", values).await?;
    let places: Vec<_> = fields.iter().map(|name| Place::of(&Key::of(&field(record, name)))).collect();
    let ranks: Vec<_> = places.iter().map(|place| place.rank).collect();
    let numbers: Vec<_> = places.iter().map(|place| place.number).collect();
    let texts: Vec<_> = places.iter().map(|place| place.text.as_str()).collect();
    if !fields.is_empty() {
        let put = "INSERT INTO record_range(collection, id, field, rank, number, text)
            SELECT $1, $2, * FROM unnest($3::text[], $4::int2[], $5::float8[], $6::text[]) ON CONFLICT DO NOTHING";
        let values = params![collection => TEXT, id => TEXT, fields => TEXT_ARRAY, ranks => INT2_ARRAY,
            numbers => FLOAT8_ARRAY, texts => TEXT_ARRAY];
        session.execute_typed(put, values).await?;
    }
    Ok(())
}

/// The records that the filter may find, where it compares one of these fields; `select` reads records of a collection.
pub(super) async fn filtered(
    session: &Session,
    query: &RecordQuery,
    (select, fields): (&str, &[String]),
) -> Result<Option<Vec<Row>>, Fault> {
    let Some(name) = query.filter.0.iter().find(|it| fields.contains(&it.field) && is_a_bound(it)) else {
        return Ok(None);
    };
    let bounds = bounds(&query.filter, &name.field, &name.value);
    let found = match name.value {
        Value::Number(_) => numbers(session, query, (select, &name.field), bounds).await?,
        _ => texts(session, query, (select, &name.field), bounds).await?,
    };
    Ok(Some(found))
}

async fn numbers(
    session: &Session,
    query: &RecordQuery,
    (select, name): (&str, &str),
    [from, to]: [Option<Place>; 2],
) -> Result<Vec<Row>, Fault> {
    let from = from.map_or(f64::NEG_INFINITY, |from| from.number);
    let to = to.map_or(f64::INFINITY, |to| to.number);
    let found =
        format!("{select} AND id IN (SELECT id {OF_FIELD} AND rank = 1 AND number >= $3 AND number <= $4)");
    let values = params![query.collection.as_str() => TEXT, name => TEXT, from => FLOAT8, to => FLOAT8];
    Ok(session.query_typed(&found, values).await?)
}

async fn texts(
    session: &Session,
    query: &RecordQuery,
    (select, name): (&str, &str),
    [from, to]: [Option<Place>; 2],
) -> Result<Vec<Row>, Fault> {
    let from = from.map_or(String::new(), |from| from.text);
    let found =
        format!("{select} AND id IN (SELECT id {OF_FIELD} AND rank = 2 AND number = 0 AND text >= $3");
    let collection = query.collection.as_str();
    Ok(match to.map(|to| to.text) {
        None => {
            let values = params![collection => TEXT, name => TEXT, from => TEXT];
            session.query_typed(&format!("{found})"), values).await?
        }
        Some(to) => {
            let values = params![collection => TEXT, name => TEXT, from => TEXT, to => TEXT];
            session.query_typed(&format!("{found} AND text <= $4)"), values).await?
        }
    })
}

fn is_a_bound(comparison: &store::Comparison) -> bool {
    use FilterOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    matches!(comparison.operator, Equal | Greater | GreaterOrEqual | Less | LessOrEqual)
        && matches!(comparison.value, Value::Number(_) | Value::String(_))
}

/// The first lower and the first upper bound of a field, of the kind of this value.
fn bounds(filter: &Filter, name: &str, like: &Value) -> [Option<Place>; 2] {
    use FilterOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let first = |operators: [FilterOperator; 3]| {
        let bound = filter.0.iter().find(|it| {
            it.field == name
                && operators.contains(&it.operator)
                && it.value.is_number() == like.is_number()
                && is_a_bound(it)
        });
        bound.map(|it| Place::of(&Key::of(&it.value)))
    };
    [first([Equal, Greater, GreaterOrEqual]), first([Equal, Less, LessOrEqual])]
}

/// The records of the next page in the order of one of these fields, and perhaps some more: all that stand as the last
/// one before it, and what comes then, with all that stand as its last.
pub(super) async fn sorted(
    session: &Session,
    query: &RecordQuery,
    (select, fields): (&str, &[String]),
    after: Option<&(Key, RecordId)>,
) -> Result<Option<Vec<Row>>, Fault> {
    let Some(sort) = query.sort.as_ref().filter(|sort| fields.contains(&sort.field)) else { return Ok(None) };
    let (beyond, direction) = if sort.descending { ("<", "DESC") } else { (">", "ASC") };
    let order = format!("ORDER BY rank {direction}, number {direction}, text {direction}");
    let next = |condition: &str| {
        format!(
            "(SELECT id {OF_FIELD} {condition} {order} FETCH FIRST {} ROWS WITH TIES)",
            one_more(&query.page)
        )
    };
    let collection = query.collection.as_str();
    let Some((key, _)) = after else {
        let values = params![collection => TEXT, sort.field => TEXT];
        return Ok(Some(session.query_typed(&format!("{select} AND id IN {}", next("")), values).await?));
    };
    let place = Place::of(key);
    let found = format!(
        "{select} AND id IN (SELECT id {OF_FIELD} AND (rank, number, text) = ($3, $4, $5) UNION ALL {})",
        next(&format!("AND (rank, number, text) {beyond} ($3, $4, $5)"))
    );
    let values = params![collection => TEXT, sort.field => TEXT, place.rank => INT2, place.number => FLOAT8,
        place.text => TEXT];
    Ok(Some(session.query_typed(&found, values).await?))
}
