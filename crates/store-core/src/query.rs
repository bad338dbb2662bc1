//! What a filter and an order mean.
//!
//! A value is compared with values of its own JSON type alone: text with text by its characters, numbers
//! with numbers. An absent field is as one that is null. In an order, null comes before numbers, numbers
//! (with false as 0 and true as 1) before text, and a list or object counts as its compact JSON text.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::cmp::Ordering;
use store::{Comparison, FilterOperator, Record, Sort, StoreError};

/// A value as an order sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Key {
    /// Nothing there.
    Null,
    /// A number, or false and true as 0 and 1.
    Number(Number),
    /// Text, or the compact JSON of a list or an object.
    Text(String),
}

impl Key {
    /// What an order sees of a value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Number(u8::from(*truth).into()),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => Self::Text(value.to_string()),
        }
    }

    /// Which of two values comes first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => compare_numbers(one, two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

fn compare_numbers(one: &Number, two: &Number) -> Ordering {
    match (one.as_i64(), two.as_i64()) {
        (Some(one), Some(two)) => one.cmp(&two),
        // Whole numbers beyond 64 bits with a sign are compared as fractions, as JSON readers do.
        _ => one.as_f64().partial_cmp(&two.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// The value of a record's field; null where it is absent.
pub fn field(record: &Record, name: &str) -> Value {
    match name {
        "id" => Value::String(record.id.to_string()),
        "created_at" => Value::from(record.created_at.millis()),
        "updated_at" => Value::from(record.updated_at.millis()),
        _ => {
            let (first, rest) =
                name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
            let mut value = record.data.get(first);
            for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
                value = value.and_then(Value::as_object).and_then(|object| object.get(part));
            }
            value.cloned().unwrap_or_default()
        }
    }
}

/// Refuses what is no field.
pub fn check_field(name: &str) -> Result<(), StoreError> {
    let sort = Sort::parse(name).map_err(|error| StoreError::Invalid(error.to_string()))?;
    if sort.descending { Err(StoreError::Invalid(format!("`{name}` is no field."))) } else { Ok(()) }
}

/// Whether the comparison holds of the record.
pub fn holds(record: &Record, comparison: &Comparison) -> Result<bool, StoreError> {
    check_field(&comparison.field)?;
    let value = field(record, &comparison.field);
    let operand = operand(comparison)?;
    Ok(match comparison.operator {
        FilterOperator::Present => !value.is_null(),
        FilterOperator::Equal => equal(&value, &operand),
        FilterOperator::NotEqual => !equal(&value, &operand),
        FilterOperator::Contains => text(&value, &operand).is_some_and(|(value, part)| value.contains(part)),
        FilterOperator::StartsWith => {
            text(&value, &operand).is_some_and(|(value, part)| value.starts_with(part))
        }
        FilterOperator::Greater => order(&value, &operand).is_some_and(Ordering::is_gt),
        FilterOperator::GreaterOrEqual => order(&value, &operand).is_some_and(Ordering::is_ge),
        FilterOperator::Less => order(&value, &operand).is_some_and(Ordering::is_lt),
        FilterOperator::LessOrEqual => order(&value, &operand).is_some_and(Ordering::is_le),
    })
}

/// What the field is compared with, if it can be.
fn operand(comparison: &Comparison) -> Result<Value, StoreError> {
    use FilterOperator::{Contains, Equal, NotEqual, Present, StartsWith};
    let invalid = |detail: &str| Err(StoreError::Invalid(detail.to_owned()));
    let time = matches!(comparison.field.as_str(), "created_at" | "updated_at");
    match (comparison.operator, &comparison.value) {
        (Present, _) => Ok(Value::Null),
        (Contains | StartsWith, Value::String(text)) if !time => Ok(Value::from(text.as_str())),
        (Contains | StartsWith, _) => invalid("`co` and `sw` compare text with text."),
        (Equal | NotEqual, Value::Null) => Ok(Value::Null),
        (_, Value::String(text)) if time => match text.parse::<env::Timestamp>() {
            Ok(at) => Ok(Value::from(at.millis())),
            Err(_) => invalid("Times are compared as RFC 3339 text."),
        },
        (_, _) if time => invalid("Times are compared as RFC 3339 text."),
        (_, Value::String(_)) => Ok(comparison.value.clone()),
        (Equal | NotEqual, Value::Bool(_)) | (_, Value::Number(_)) if comparison.field != "id" => {
            Ok(comparison.value.clone())
        }
        _ => invalid("This comparison needs text or a number."),
    }
}

fn equal(value: &Value, operand: &Value) -> bool {
    match (value, operand) {
        (Value::Number(one), Value::Number(two)) => compare_numbers(one, two).is_eq(),
        (Value::Array(_) | Value::Object(_), _) => false,
        _ => value == operand,
    }
}

fn order(value: &Value, operand: &Value) -> Option<Ordering> {
    match (value, operand) {
        (Value::Number(one), Value::Number(two)) => Some(compare_numbers(one, two)),
        (Value::String(one), Value::String(two)) => Some(one.cmp(two)),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, operand: &'a Value) -> Option<(&'a str, &'a str)> {
    value.as_str().zip(operand.as_str())
}
