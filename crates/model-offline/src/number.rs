//! Numbers that a schema's bounds allow.

use serde_json::{Map, Number, Value};

/// The number nearest to `wanted` that the schema allows, of its type.
pub(crate) fn within(schema: &Map<String, Value>, wanted: f64, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(if whole { 1.0 } else { 0.0 });
    let least = highest(bound("minimum"), bound("exclusiveMinimum").map(|it| it + gap(step)));
    let most = lowest(bound("maximum"), bound("exclusiveMaximum").map(|it| it - gap(step)));
    let mut number = wanted;
    if let Some(most) = most {
        number = number.min(most);
    }
    if let Some(least) = least {
        number = number.max(least);
    }
    if step > 0.0 {
        let down = (number / step).floor() * step;
        number = if least.is_some_and(|least| down < least) { (number / step).ceil() * step } else { down };
    }
    if whole {
        return whole_number(number);
    }
    Number::from_f64(number).map_or_else(|| Value::from(0), Value::Number)
}

/// How far a number keeps from a bound that it must not reach.
fn gap(step: f64) -> f64 {
    if step > 0.0 { step } else { 0.001 }
}

fn highest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn lowest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::min)
}

fn whole_number(number: f64) -> Value {
    // Text is the way from one to the other without a cast that could go wrong in silence.
    format!("{number:.0}").parse::<i64>().map_or_else(|_| Value::from(0), Value::from)
}

#[cfg(test)]
mod tests {
    use super::within;
    use serde_json::{Value, json};

    fn check(schema: Value, wanted: f64, whole: bool, expected: Value) {
        assert_eq!(within(schema.as_object().unwrap(), wanted, whole), expected, "{schema}");
    }

    #[test]
    fn bounds_hold() {
        check(json!({}), 12.0, true, json!(12));
        check(json!({}), 12.5, true, json!(12));
        check(json!({}), 12.5, false, json!(12.5));
        check(json!({ "minimum": 1, "maximum": 5 }), 0.0, true, json!(1));
        check(json!({ "minimum": 1, "maximum": 5 }), 9.0, true, json!(5));
        check(json!({ "minimum": 0.5 }), 0.0, true, json!(1));
        check(json!({ "exclusiveMinimum": 0 }), 0.0, true, json!(1));
        check(json!({ "exclusiveMaximum": 1 }), 4.0, true, json!(0));
        check(json!({ "multipleOf": 5 }), 12.0, true, json!(10));
        check(json!({ "multipleOf": 5, "minimum": 11 }), 0.0, true, json!(15));
    }
}
