//! Filters and orders of records.
//!
//! A filter is what SCIM writes (RFC 7644, section 3.4.2.2) without grouping: comparisons of a field with a
//! JSON value, joined by `and`: `email eq "ada@example.com" and score ge 5`. Fields may be dotted paths.

use serde_json::Value;

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Equal,
    /// Not equal, or absent.
    NotEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Text that contains the value.
    Contains,
    /// Text that starts with the value.
    StartsWith,
    /// Present and not null.
    Present,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The field, as a dotted path.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; null for [`Operator::Present`].
    pub value: Value,
}

/// Comparisons that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(pub Vec<Comparison>);

/// An order by one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The field, as a dotted path, or `created_at` or `updated_at`.
    pub field: String,
    /// From the greatest to the least.
    pub descending: bool,
}

/// The text is not a filter or an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

const MAX_COMPARISONS: usize = 16;
const MAX_FIELD_LENGTH: usize = 128;

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut comparisons = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (comparison, after) = comparison(rest)?;
            comparisons.push(comparison);
            if comparisons.len() > MAX_COMPARISONS {
                return Err(FilterError(format!("A filter has at most {MAX_COMPARISONS} comparisons.")));
            }
            let after = after.trim_start();
            rest = match word(after) {
                ("", _) => "",
                (and, after) if and.eq_ignore_ascii_case("and") && !after.trim_start().is_empty() => {
                    after.trim_start()
                }
                (other, _) => {
                    return Err(FilterError(format!("Expected `and` and a comparison at `{}`.", cut(other))));
                }
            };
        }
        Ok(Self(comparisons))
    }
}

impl Sort {
    /// Reads an order: a field, with `-` before it for descending.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        Ok(Self { field: field(name)?, descending })
    }
}

fn comparison(text: &str) -> Result<(Comparison, &str), FilterError> {
    let (name, after) = word(text);
    let field = field(name)?;
    let (operator, after) = word(after.trim_start());
    let operator = match operator.to_ascii_lowercase().as_str() {
        "eq" => Operator::Equal,
        "ne" => Operator::NotEqual,
        "gt" => Operator::Greater,
        "ge" => Operator::GreaterOrEqual,
        "lt" => Operator::Less,
        "le" => Operator::LessOrEqual,
        "co" => Operator::Contains,
        "sw" => Operator::StartsWith,
        "pr" => return Ok((Comparison { field, operator: Operator::Present, value: Value::Null }, after)),
        other => {
            let known = "eq, ne, gt, ge, lt, le, co, sw, pr";
            return Err(FilterError(format!("`{}` is no comparison; there are {known}.", cut(other))));
        }
    };
    let (value, after) = json_value(after.trim_start())?;
    match (&value, operator) {
        (Value::String(_), _) | (Value::Null | Value::Bool(_), Operator::Equal | Operator::NotEqual) => {}
        (Value::Number(_), Operator::Contains | Operator::StartsWith) => {
            return Err(FilterError("`co` and `sw` compare with text in quotes.".into()));
        }
        (Value::Number(_), _) => {}
        _ => return Err(FilterError("This comparison needs text in quotes or a number.".into())),
    }
    Ok((Comparison { field, operator, value }, after))
}

fn json_value(text: &str) -> Result<(Value, &str), FilterError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Ok((value, &text[values.byte_offset()..])),
        _ => {
            Err(FilterError("A value is JSON: text in double quotes, a number, true, false or null.".into()))
        }
    }
}

/// The characters up to the next space, and the rest.
fn word(text: &str) -> (&str, &str) {
    text.find(' ').map_or((text, ""), |end| text.split_at(end))
}

fn field(name: &str) -> Result<String, FilterError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    if name.len() <= MAX_FIELD_LENGTH && name.split('.').all(plain) {
        Ok(name.to_owned())
    } else {
        Err(FilterError(format!("`{}` is no field: letters, digits, `_`, `-`, joined by dots.", cut(name))))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::{Filter, Operator, Sort};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn filters_read_as_scim_writes_them() {
        let filter = Filter::parse(r#"email eq "a and b" and score ge 5 AND company.name pr"#).unwrap();
        let read: Vec<_> =
            filter.0.iter().map(|it| (it.field.as_str(), it.operator, it.value.clone())).collect();
        assert_eq!(
            read,
            [
                ("email", Operator::Equal, json!("a and b")),
                ("score", Operator::GreaterOrEqual, json!(5)),
                ("company.name", Operator::Present, json!(null)),
            ]
        );
        assert_eq!(Filter::parse("").unwrap(), Filter::default());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "email",
            "email eq",
            "email eq a",
            "a.b. eq 1",
            "a xx 1",
            "a eq 1 or b eq 2",
            "a' eq 1",
            "a co 1",
            "a eq 1 and",
            "a gt true",
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        assert!(Sort::parse("-created_at").unwrap().descending);
        assert!(Sort::parse("a;b").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_fall_over(text in "\\PC{0,200}") {
            let _ = (Filter::parse(&text), Sort::parse(&text));
        }
    }
}
