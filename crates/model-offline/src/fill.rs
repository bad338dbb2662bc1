//! Filling a JSON Schema: `type`, `enum`, `const`, `properties`, `required`, `items`, `anyOf`, `oneOf`,
//! `allOf`, `$ref` within the schema, `format`, and the bounds on lengths, counts and numbers are honoured;
//! `pattern`, `not` and conditions are not.
//!
//! A member's value comes from the prompt where its name says what to look for (a labelled value first, then
//! an address, a name, a date, an amount by its form); else it is the schema's `default`, or an empty value of
//! the right type.

use crate::number;
use crate::schema::{is_nullable, kind, merge, parts};
use crate::source::{self, Source, words};
use crate::{classify, source::excerpt};
use serde_json::{Map, Value};
use std::cell::Cell;

/// How many values are made at most: schemas that refer to themselves twice grow without end.
const MAX_VALUES: usize = 2000;
/// How many parts of schemas are copied at most: a large one may be referred to again and again.
const MAX_COPIED: usize = 200_000;
const MAX_DEPTH: usize = 24;
const MAX_ITEMS: usize = 16;
/// The longest text that a schema can make us produce by its `minLength`.
const MAX_MIN_LENGTH: usize = 4096;

/// A value that fits `schema`, from what `source` says of it. `name` says what the value is of.
pub(crate) fn fill(schema: &Value, name: &str, source: &Source) -> Value {
    let mut filling = Filling { root: schema, source, left: MAX_VALUES, copied: Cell::new(0) };
    filling.value(schema, name, 0).value
}

/// A value, and whether the prompt said something about it.
struct Filled {
    value: Value,
    found: bool,
}

impl Filled {
    fn found(value: impl Into<Value>) -> Self {
        Self { value: value.into(), found: true }
    }

    fn made_up(value: impl Into<Value>) -> Self {
        Self { value: value.into(), found: false }
    }
}

struct Filling<'a> {
    root: &'a Value,
    source: &'a Source,
    left: usize,
    copied: Cell<usize>,
}

impl Filling<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Filled {
        let Some(left) = self.left.checked_sub(1).filter(|_| depth < MAX_DEPTH) else {
            return Filled::made_up(Value::Null);
        };
        self.left = left;
        let schema = self.resolved(schema);
        if let Some(fixed) = schema.get("const") {
            return Filled::made_up(fixed.clone());
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.one_of(values, name);
        }
        if let Some(options) = ["anyOf", "oneOf"].iter().find_map(|name| schema.get(*name)?.as_array()) {
            return self.first_that_fits(options, name, depth);
        }
        let filled = match kind(&schema) {
            "object" => self.object(&schema, depth),
            "array" => self.array(&schema, name, depth),
            "string" => self.text(&schema, name),
            "integer" => self.number(&schema, name, true),
            "number" => self.number(&schema, name, false),
            "boolean" => {
                let said = self.source.labelled(name);
                let said = said.as_deref().and_then(|said| match said.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "y" | "on" => Some(true),
                    "false" | "no" | "n" | "off" => Some(false),
                    _ => None,
                });
                said.map_or_else(|| Filled::made_up(classify::speaks_for(name, self.source)), Filled::found)
            }
            _ => Filled::made_up(Value::Null),
        };
        if is_nullable(&schema) && !filled.found { Filled::made_up(Value::Null) } else { filled }
    }

    /// The schema with what it refers to and all of its `allOf` in it.
    fn resolved(&self, schema: &Value) -> Map<String, Value> {
        let mut resolved = self.copy(schema);
        for _ in 0..MAX_DEPTH {
            let target = resolved.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
            let Some(target) =
                target.and_then(|pointer| self.root.pointer(pointer)).filter(|target| target.is_object())
            else {
                break;
            };
            resolved = self.copy(target);
        }
        if let Some(Value::Array(parts)) = resolved.remove("allOf") {
            for part in parts.iter().take(MAX_ITEMS) {
                let target = part.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
                let part = target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(part);
                merge(&mut resolved, &self.copy(part));
            }
        }
        resolved
    }

    /// The schema's members; none once too much was copied.
    fn copy(&self, schema: &Value) -> Map<String, Value> {
        let parts = parts(schema, MAX_COPIED - self.copied.get());
        self.copied.set(parts.map_or(MAX_COPIED, |parts| self.copied.get() + parts));
        parts.and_then(|_| schema.as_object().cloned()).unwrap_or_default()
    }

    fn one_of(&self, values: &[Value], name: &str) -> Filled {
        let texts: Vec<String> = values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        let said = self.source.labelled(name);
        let named =
            texts.iter().position(|text| said.as_ref().is_some_and(|said| said.eq_ignore_ascii_case(text)));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (index, found) =
            named.map_or_else(|| classify::choose(&texts, self.source), |index| (index, true));
        Filled { value: values.get(index).cloned().unwrap_or(Value::Null), found }
    }

    /// Null where it is allowed and the prompt says nothing; else the first option that is not null.
    fn first_that_fits(&mut self, options: &[Value], name: &str, depth: usize) -> Filled {
        let is_null = |option: &&Value| option.get("type").and_then(Value::as_str) == Some("null");
        let nullable = options.iter().any(|option| is_null(&option));
        let Some(option) = options.iter().find(|option| !is_null(option)) else {
            return Filled::made_up(Value::Null);
        };
        let filled = self.value(option, name, depth + 1);
        if nullable && !filled.found { Filled::made_up(Value::Null) } else { filled }
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Filled {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|it| it.as_str() == Some(name)));
        let mut object = Map::new();
        let mut found = false;
        for (member, inner) in properties {
            let filled = self.value(inner, member, depth + 1);
            found |= filled.found;
            let deep = depth + 2 >= MAX_DEPTH || self.left == 0;
            if is_required(member) || filled.found || (required.is_none() && !deep) {
                object.insert(member.clone(), filled.value);
            }
        }
        for member in required.into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(member) {
                object.insert(member.to_owned(), self.source.labelled(member).unwrap_or_default().into());
            }
        }
        Filled { value: Value::Object(object), found }
    }

    fn array(&mut self, schema: &Map<String, Value>, name: &str, depth: usize) -> Filled {
        let bound =
            |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
        let least = bound("minItems").unwrap_or(0).min(MAX_VALUES);
        let most = bound("maxItems").unwrap_or(MAX_ITEMS).max(least);
        let items = schema.get("items").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let singular = name.strip_suffix('s').unwrap_or(name);
        let mut list = Vec::new();
        let values = self.resolved(&items).get("enum").and_then(Value::as_array).cloned();
        if let Some(values) = values {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            if texts.len() == values.len() {
                let fitting = classify::all_that_fit(&texts, self.source);
                list.extend(fitting.into_iter().take(most).map(|index| Value::from(texts[index])));
            }
        } else if most > 0 {
            let one = self.value(&items, singular, depth + 1);
            if one.found {
                list.push(one.value);
            }
        }
        let found = !list.is_empty();
        while list.len() < least && self.left > 0 {
            list.push(self.value(&items, singular, depth + 1).value);
        }
        Filled { value: Value::Array(list), found }
    }

    fn text(&self, schema: &Map<String, Value>, name: &str) -> Filled {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        // A value of another form would not fit, however right its name is.
        let found = match placeholder(format) {
            Some(_) => by_format(format, self.source),
            None => by_name(name, self.source),
        };
        let bound =
            |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
        let least = bound("minLength").unwrap_or(0).min(MAX_MIN_LENGTH);
        let most = bound("maxLength").unwrap_or(usize::MAX);
        let default = schema.get("default").and_then(Value::as_str).map(str::to_owned);
        let is_found = found.is_some();
        let mut text = found.or(default).or_else(|| placeholder(format)).unwrap_or_default();
        if text.chars().count() > most {
            text = text.chars().take(most).collect();
        }
        let missing = least.saturating_sub(text.chars().count());
        if missing > 0 {
            text.extend("unknown ".chars().cycle().take(missing));
        }
        Filled { value: text.into(), found: is_found }
    }

    fn number(&self, schema: &Map<String, Value>, name: &str, whole: bool) -> Filled {
        let labelled = self.source.labelled(name).and_then(|text| first_number(&text));
        let of_money = || is_money(name).then(|| self.source.amount()).flatten();
        let by_words = || words(name).find_map(|word| self.number_beside(&word));
        let of_its_kind = || is_quantity(name).then(|| self.source.numbers().next()).flatten();
        let found = labelled
            .or_else(of_money)
            .or_else(by_words)
            .or_else(of_its_kind)
            .and_then(|text| text.parse::<f64>().ok());
        let default = schema.get("default").and_then(Value::as_f64);
        // A rule has no degrees of certainty: half is as good as any, and says so.
        let unsure =
            words(name).any(|word| matches!(word.as_str(), "confidence" | "probability" | "certainty"));
        let wanted = found.or(default).unwrap_or(if unsure { 0.5 } else { 0.0 });
        Filled { value: number::within(schema, wanted, whole), found: found.is_some() }
    }

    /// The number before or soon after a word: `25 seats`, `seats: 25`, `seats are 25`.
    fn number_beside(&self, word: &str) -> Option<String> {
        let tokens: Vec<&str> = self.source.lower().split_whitespace().collect();
        let is_it = |token: &str| token.trim_matches(|it: char| !it.is_alphanumeric()) == word;
        let at = tokens.iter().position(|token| is_it(token))?;
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        [before, tokens.get(at + 1), tokens.get(at + 2)]
            .into_iter()
            .flatten()
            .find_map(|token| first_number(token))
    }
}

fn by_format(format: &str, source: &Source) -> Option<String> {
    match format {
        "email" => source.email(),
        "uri" | "url" => source.url(),
        "date" => source.date(),
        "date-time" => source.date().map(|date| format!("{date}T00:00:00Z")),
        _ => None,
    }
}

/// A value of the right form where the prompt has none.
fn placeholder(format: &str) -> Option<String> {
    let text = match format {
        "email" => "unknown@example.com",
        "uri" | "url" => "https://example.com/",
        "date" => "1970-01-01",
        "date-time" => "1970-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "ipv4" => "0.0.0.0",
        "ipv6" => "::",
        _ => return None,
    };
    Some(text.to_owned())
}

fn by_name(name: &str, source: &Source) -> Option<String> {
    if let Some(value) = source.labelled(name) {
        return Some(value);
    }
    let words: Vec<String> = words(name).collect();
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    if has(&["email", "mail"]) {
        source.email()
    } else if has(&["url", "website", "link", "homepage"]) {
        source.url()
    } else if has(&["phone", "telephone", "mobile"]) {
        source.phone()
    } else if has(&["date", "deadline", "due"]) {
        source.date()
    } else if has(&["company", "organization", "organisation", "employer", "account"]) {
        source.company()
    } else if has(&["first", "given"]) {
        source.person().and_then(|name| name.split(' ').next().map(str::to_owned))
    } else if has(&["last", "family", "surname"]) {
        source.person().and_then(|name| name.split_once(' ').map(|(_, last)| last.to_owned()))
    } else if has(&["name", "contact", "person", "sender", "customer", "author"]) {
        source.person()
    } else if has(&["amount", "price", "budget", "total"]) {
        source.amount().or_else(|| source.numbers().next())
    } else if has(&["summary", "subject", "title"]) {
        Some(source.excerpt()).filter(|text| !text.is_empty())
    } else if has(&["reason", "reasoning", "rationale", "explanation"]) {
        Some("Chosen by the offline model's fixed rules.".to_owned())
    } else if has(&[
        "message",
        "text",
        "body",
        "content",
        "description",
        "query",
        "question",
        "input",
        "note",
        "notes",
        "reply",
        "answer",
        "response",
    ]) {
        Some(excerpt(&source.excerpt(), 120)).filter(|text| !text.is_empty())
    } else {
        None
    }
}

fn first_number(text: &str) -> Option<String> {
    let between = |it: char| it.is_whitespace() || "$€£()[]\"'".contains(it);
    let mut parts =
        text.split(between).map(|part| part.trim_end_matches(['.', ',', '!', '?', '%', '+', ';', ':']));
    parts.find_map(source::number)
}

fn is_money(name: &str) -> bool {
    const SUMS: [&str; 7] = ["amount", "price", "budget", "total", "value", "cost", "revenue"];
    words(name).any(|word| SUMS.contains(&word.as_str()))
}

fn is_quantity(name: &str) -> bool {
    const QUANTITIES: [&str; 14] = [
        "amount",
        "price",
        "budget",
        "total",
        "value",
        "cost",
        "quantity",
        "count",
        "number",
        "size",
        "seats",
        "users",
        "employees",
        "age",
    ];
    words(name).any(|word| QUANTITIES.contains(&word.as_str()))
}

#[cfg(test)]
#[path = "fill/tests.rs"]
mod tests;
