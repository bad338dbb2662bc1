//! Imports the price data of the package `genai-prices` into `metering`'s own table.
//!
//! Numbers are read as the decimal text they are written in and never become floating point. What our
//! usage cannot tell apart (image, video and citation tokens) and what is not priced by tokens keeps its
//! match rule but no price, so that such a model is unpriced and no wider rule catches it. A rule or a
//! constraint that is not understood stops the import.

use anyhow::{Context as _, Result, bail, ensure};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Places kept of a price a million tokens: a token then costs at most 15 places, exactly.
const PLACES: u32 = 9;

/// The data's keys that our token vector tells apart, and their names in our table.
const RATES: [(&str, &str); 8] = [
    ("input_mtok", "input"),
    ("cache_read_mtok", "cache_read"),
    ("cache_write_mtok", "cache_write"),
    ("cache_write_1h_mtok", "cache_write_1h"),
    ("input_audio_mtok", "input_audio"),
    ("output_mtok", "output"),
    ("output_reasoning_mtok", "reasoning"),
    ("output_audio_mtok", "output_audio"),
];
const PER_THOUSAND_CALLS: (&str, &str) = ("requests_kcount", "thousand_calls");
/// Keys that may be left out of a price: each costs something only in calls that the gateway does not
/// make (provider-side searches), or is covered by a dearer rate (cached audio is charged as fresh audio).
const LEFT_OUT: [&str; 3] = ["web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok"];

#[derive(Deserialize)]
struct Provider {
    id: String,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    #[serde(rename = "match")]
    rule: Value,
    prices: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dated {
    #[serde(default)]
    constraint: Option<Constraint>,
    prices: Rates,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Constraint {
    start_date: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tiered {
    base: Box<RawValue>,
    tiers: Vec<Tier>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    start: u64,
    price: Box<RawValue>,
}

type Rates = BTreeMap<String, Box<RawValue>>;

/// Reads the unpacked package `genai-prices` at `source` and writes our table to `out`.
pub fn import(source: &Path, out: &Path) -> Result<()> {
    let text = fs::read_to_string(source.join("data/prices.json")).context("the package's data file")?;
    let manifest = fs::read_to_string(source.join("Cargo.toml")).context("the package's manifest")?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = ")?.strip_prefix('"')?.strip_suffix('"'))
        .context("the package's version")?;
    let mut providers: Vec<Provider> = serde_json::from_str(&text).context("the package's data file")?;
    providers.sort_by(|one, other| one.id.cmp(&other.id));
    fs::write(out, table(version, &providers)?).with_context(|| format!("write {}", out.display()))
}

/// The whole table as text, one model a line, so that a new import is reviewed line by line.
fn table(version: &str, providers: &[Provider]) -> Result<String> {
    let mut newest = String::new();
    let mut body = String::new();
    for (index, provider) in providers.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(body, "{separator}\n{}: [", Value::from(provider.id.as_str()))?;
        for (index, model) in provider.models.iter().enumerate() {
            let line = line(model, &mut newest)
                .with_context(|| format!("provider {} model {}", provider.id, model.id))?;
            let separator = if index == 0 { "" } else { "," };
            write!(body, "{separator}\n{line}")?;
        }
        body.push_str("\n]");
    }
    let source = format!("genai-prices {version} (https://github.com/pydantic/genai-prices)");
    let licence =
        "MIT, Copyright (c) Pydantic Services Inc. 2025 to present; its text is in NOTICE beside this";
    Ok(format!(
        "{{\n\"source\": {},\n\"licence\": {},\n\"newest_date\": {},\n\"providers\": {{{body}\n}}\n}}\n",
        Value::from(source),
        Value::from(licence),
        Value::from(newest),
    ))
}

fn line(model: &Model, newest: &mut String) -> Result<Value> {
    let text = model.prices.get();
    let dated: Vec<Dated> = if text.starts_with('[') {
        serde_json::from_str(text)?
    } else {
        vec![Dated { constraint: None, prices: serde_json::from_str(text)? }]
    };
    let mut prices = Vec::new();
    for one in &dated {
        let mut entry = match &one.constraint {
            None => Map::new(),
            Some(constraint) => when(constraint, newest)?,
        };
        entry.extend(rates(&one.prices)?);
        prices.push(Value::Object(entry));
    }
    let mut line = json!({ "match": rule(&model.rule)?, "model": model.id, "prices": prices });
    // The order of members must not depend on serde_json's features, or every import would differ.
    line.sort_all_objects();
    Ok(line)
}

fn when(constraint: &Constraint, newest: &mut String) -> Result<Map<String, Value>> {
    let Constraint { start_date, start_time, end_time } = constraint;
    let entry = match (start_date, start_time, end_time) {
        (Some(date), None, None) => {
            if *date > *newest {
                newest.clone_from(date);
            }
            ("from".to_owned(), Value::from(date.as_str()))
        }
        (None, Some(start), Some(end)) => {
            let utc = |time: &str| time.strip_suffix('Z').map(str::to_owned).context("a time not in UTC");
            ("between".to_owned(), json!([utc(start)?, utc(end)?]))
        }
        _ => bail!("a constraint that is neither a start date nor a time of day"),
    };
    Ok(Map::from_iter([entry]))
}

/// The rates that we know, or the reason why there is no price.
fn rates(rates: &Rates) -> Result<Map<String, Value>> {
    let known = |key: &str| RATES.iter().chain([&PER_THOUSAND_CALLS]).find(|(theirs, _)| *theirs == key);
    let unpriced = |why: String| Ok(Map::from_iter([("unpriced".to_owned(), Value::from(why))]));
    if rates.is_empty() {
        return unpriced("no price is published".to_owned());
    }
    if !rates.contains_key("input_mtok") {
        return unpriced("not priced by tokens".to_owned());
    }
    let mut entry = Map::new();
    for (key, value) in rates {
        match known(key) {
            Some((_, ours)) => drop(entry.insert((*ours).to_owned(), rate(value)?)),
            None if LEFT_OUT.contains(&key.as_str()) => {}
            None => return unpriced(format!("usage does not tell apart what {key} prices")),
        }
    }
    Ok(entry)
}

fn rate(value: &RawValue) -> Result<Value> {
    if !value.get().starts_with('{') {
        return decimal(value).map(Value::from);
    }
    let mut tiered: Tiered = serde_json::from_str(value.get())?;
    tiered.tiers.sort_by_key(|tier| tier.start);
    let above = tiered.tiers.iter().map(|tier| Ok(json!([tier.start, decimal(&tier.price)?])));
    Ok(json!({ "base": decimal(&tiered.base)?, "above": above.collect::<Result<Vec<_>>>()? }))
}

/// The number as decimal text. Rounding takes away the noise that floating point left in a few of them.
fn decimal(number: &RawValue) -> Result<String> {
    let text = number.get();
    let exact = match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(text),
        false => Decimal::from_str_exact(text),
    };
    let exact = exact.with_context(|| format!("the price {text}"))?;
    ensure!(!exact.is_sign_negative(), "a negative price: {text}");
    let kept = exact.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointNearestEven);
    ensure!(kept.is_zero() == exact.is_zero(), "a price too small to keep: {text}");
    Ok(kept.normalize().to_string())
}

fn rule(theirs: &Value) -> Result<Value> {
    let operation =
        theirs.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let (name, argument) = operation.context("a match rule is one operation")?;
    let text = || argument.as_str().with_context(|| format!("{name} takes a text"));
    let list = || -> Result<Vec<Value>> {
        argument.as_array().with_context(|| format!("{name} takes a list"))?.iter().map(rule).collect()
    };
    Ok(match name.as_str() {
        "and" => json!({ "all": list()? }),
        "or" => json!({ "any": list()? }),
        "regex" => pattern(text()?)?,
        "equals" | "starts_with" | "ends_with" | "contains" => json!({ name: text()?.to_lowercase() }),
        _ => bail!("the match operation {name} is not known"),
    })
}

/// The one pattern with a look-ahead in the data: anything but a text-to-speech variant.
const NOT_SPEECH: &str = "^(?!.*-[tT][tT][sS](?:$|-))";

/// A regular expression as a shape, in which `#` is a digit and a last `*` anything.
fn pattern(regex: &str) -> Result<Value> {
    if regex == NOT_SPEECH {
        return Ok(json!({ "not": { "any": [{ "ends_with": "-tts" }, { "contains": "-tts-" }] } }));
    }
    let unknown = || format!("the pattern {regex} is not of a kind that this import knows");
    let mut rest = regex.strip_prefix('^').with_context(unknown)?;
    let mut shapes = vec![String::new()];
    loop {
        if rest.is_empty() {
            shapes.iter_mut().for_each(|shape| shape.push('*'));
            break;
        }
        if rest == "$" {
            break;
        }
        let choices: Vec<String>;
        (choices, rest) = piece(rest).with_context(unknown)?;
        shapes = shapes
            .iter()
            .flat_map(|shape| choices.iter().map(move |choice| format!("{shape}{choice}")))
            .collect();
    }
    let mut rules: Vec<Value> = shapes.iter().map(|shape| json!({ "shape": shape.to_lowercase() })).collect();
    Ok(if rules.len() == 1 { rules.remove(0) } else { json!({ "any": rules }) })
}

/// The first piece of a pattern as the texts that it stands for, and what follows it.
fn piece(pattern: &str) -> Option<(Vec<String>, &str)> {
    if let Some(after) = pattern.strip_prefix(r"\d") {
        let counted = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        return match counted {
            Some((count, after)) => Some((vec!["#".repeat(count.parse().ok()?)], after)),
            None => Some((vec!["#".to_owned()], after)),
        };
    }
    if let Some(after) = pattern.strip_prefix('\\') {
        let literal = after.chars().next().filter(|letter| ".[]-/".contains(*letter))?;
        return Some((vec![literal.to_string()], &after[1..]));
    }
    if let Some(after) = pattern.strip_prefix('[') {
        let (class, after) = after.split_once(']')?;
        let plain = class.chars().all(|letter| "-@:/".contains(letter));
        return plain.then(|| (class.chars().map(String::from).collect(), after));
    }
    let literal = pattern
        .chars()
        .next()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-/=:@_".contains(*letter))?;
    Some((vec![literal.to_string()], &pattern[1..]))
}

#[cfg(test)]
mod tests {
    use super::{decimal, pattern, rule};
    use serde_json::json;
    use serde_json::value::RawValue;

    #[test]
    fn patterns_become_shapes() {
        let check = |regex: &str, expected: serde_json::Value| assert_eq!(pattern(regex).unwrap(), expected);
        check(r"^gpt-5\.4-\d{4}-\d{2}$", json!({ "shape": "gpt-5.4-####-##" }));
        check(r"^a\[fast=true\]$", json!({ "shape": "a[fast=true]" }));
        check(r"^flash-\d", json!({ "shape": "flash-#*" }));
        check(r"^x[-@]\d$", json!({ "any": [{ "shape": "x-#" }, { "shape": "x@#" }] }));
        for unknown in [r"gpt-\d", "^a.b$", "^a+$", "^(a|b)$", "^[a-z]$", r"^\w$"] {
            assert!(pattern(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_is_an_error() {
        assert!(rule(&json!({ "sounds_like": "gpt" })).is_err());
        assert!(rule(&json!({ "equals": "a", "contains": "b" })).is_err());
    }

    #[test]
    fn numbers_stay_decimal() {
        let check = |text: &str, expected: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            assert_eq!(decimal(&raw).unwrap(), expected);
        };
        check("0.18000000000000002", "0.18");
        check("2.5", "2.5");
        check("3e-5", "0.00003");
        check("0", "0");
        let tiny = RawValue::from_string("1e-12".to_owned()).unwrap();
        assert!(decimal(&tiny).is_err(), "rounding must not make a price free");
    }
}
