//! Values made from data: texts with `{{ expression }}` in them, and bare expressions, in the language
//! of minijinja in strict mode.
//!
//! Only the definition is ever read as a template. Data enters as values, and what is made of it is not
//! read again, so an input that looks like a template stays what it is.

mod address;
mod parts;

pub(crate) use address::render_url;
pub(crate) use parts::{Part, host_end, only_expression, split};

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Dynamic};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that one rendered text or value may have.
pub(crate) const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// What one expression may spend: a unit an instruction, and one a byte that it makes.
const FUEL: u64 = 2_000_000;
const MAX_EXPRESSION_BYTES: usize = 8 * 1024;

/// A template could not be read or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct TemplateError {
    pub(crate) message: String,
    /// The line within the template's text, from 1.
    pub(crate) line: u64,
}

impl TemplateError {
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { message: message.into(), line }
    }
}

/// The values that templates see.
#[derive(Default)]
pub(crate) struct Context(BTreeMap<&'static str, Dynamic>);

impl Context {
    pub(crate) fn set(&mut self, name: &'static str, value: &Value) {
        self.0.insert(name, Dynamic::from(Serde(value)));
    }

    /// Sets `steps`, each with its `output`.
    pub(crate) fn set_steps<'a>(&mut self, outputs: impl Iterator<Item = (&'a str, &'a Value)>) {
        let steps: BTreeMap<&str, BTreeMap<&str, &Value>> =
            outputs.map(|(node, output)| (node, BTreeMap::from([("output", output)]))).collect();
        self.0.insert("steps", Dynamic::from(Serde(steps)));
    }

    fn root(&self) -> Dynamic {
        Dynamic::from(Serde(&self.0))
    }
}

/// The expression language. Cheap to make; holds no data.
pub(crate) struct Language(Environment<'static>);

impl Language {
    pub(crate) fn new() -> Self {
        let mut language = Environment::new();
        language.set_undefined_behavior(UndefinedBehavior::Strict);
        language.set_fuel(Some(FUEL));
        for global in ["debug", "namespace"] {
            language.remove_global(global);
        }
        // HTML escaping means nothing here, and one-letter names read badly.
        for filter in ["safe", "escape", "e", "d", "pprint"] {
            language.remove_filter(filter);
        }
        language.add_filter("truncate", truncate);
        language.add_filter("urlencode", |text: &str| address::encode(text));
        Self(language)
    }

    /// The variables that the expression reads, such as `steps.score.output.label`. An error says why it
    /// cannot be read.
    pub(crate) fn references(&self, expression: &str) -> Result<BTreeSet<String>, TemplateError> {
        if expression.trim().is_empty() {
            return Err(TemplateError::new(1, "The expression is empty. Say which value is meant."));
        }
        if expression.len() > MAX_EXPRESSION_BYTES {
            return Err(TemplateError::new(1, "The expression is too long."));
        }
        let compiled = self.0.compile_expression(expression).map_err(|error| fault(&error))?;
        let globals: BTreeSet<&str> = self.0.globals().map(|(name, _)| name).collect();
        let references = compiled.undeclared_variables(true).into_iter();
        Ok(references.filter(|name| !globals.contains(name.as_str())).collect())
    }

    /// Filters and tests that the expression names and that do not exist.
    pub(crate) fn unknown_words(&self, expression: &str) -> Vec<String> {
        let words = parts::filters_and_tests(expression);
        let exists = |name: &str, kind: &str| {
            let question = format!("name is {kind}");
            let asked = self.0.compile_expression_owned(question);
            let name = BTreeMap::from([("name", name)]);
            asked.and_then(|asked| asked.eval(Dynamic::from(Serde(name)))).is_ok_and(|known| known.is_true())
        };
        let unknown = words.into_iter().filter(|(name, kind)| !exists(name, kind));
        unknown.map(|(name, kind)| format!("{kind} `{name}`")).collect()
    }

    /// The value of an expression. Undefined is an error.
    pub(crate) fn evaluate(&self, expression: &str, context: &Context) -> Result<Value, TemplateError> {
        let compiled = self.0.compile_expression(expression).map_err(|error| fault(&error))?;
        let value = compiled.eval(context.root()).map_err(|error| fault(&error))?;
        if value.is_undefined() {
            let message = format!("`{}` is not defined.", expression.trim());
            return Err(TemplateError::new(1, message));
        }
        plain(&value)
    }

    /// A text with its expressions replaced. Null becomes nothing; lists and objects become JSON.
    pub(crate) fn render(&self, template: &str, context: &Context) -> Result<String, TemplateError> {
        let mut rendered = String::new();
        for part in split(template)? {
            match part {
                Part::Text(text) => rendered.push_str(&text),
                Part::Expression { source, line } => {
                    let value = self.evaluate(&source, context).map_err(|error| within(error, line))?;
                    rendered.push_str(&text_of(&value));
                }
            }
            if rendered.len() > MAX_OUTPUT_BYTES {
                return Err(too_large());
            }
        }
        Ok(rendered)
    }

    /// JSON with its texts rendered. A text that is exactly one expression becomes the expression's value.
    pub(crate) fn render_json(&self, template: &Value, context: &Context) -> Result<Value, TemplateError> {
        let mut left = MAX_OUTPUT_BYTES;
        self.render_within(template, context, &mut left)
    }

    pub(crate) fn render_map(
        &self,
        template: &Map<String, Value>,
        context: &Context,
    ) -> Result<Map<String, Value>, TemplateError> {
        let mut left = MAX_OUTPUT_BYTES;
        let rendered = template.iter().map(|(name, value)| {
            self.render_within(value, context, &mut left).map(|value| (name.clone(), value))
        });
        rendered.collect()
    }

    fn render_within(
        &self,
        template: &Value,
        context: &Context,
        left: &mut usize,
    ) -> Result<Value, TemplateError> {
        match template {
            Value::String(text) => {
                let value = match only_expression(text)? {
                    Some(source) => self.evaluate(&source, context)?,
                    None => Value::String(self.render(text, context)?),
                };
                *left = left.checked_sub(bytes_of(&value)).ok_or_else(too_large)?;
                Ok(value)
            }
            Value::Array(items) => items.iter().map(|item| self.render_within(item, context, left)).collect(),
            Value::Object(members) => {
                let mut rendered = Map::new();
                for (name, value) in members {
                    rendered.insert(name.clone(), self.render_within(value, context, left)?);
                }
                Ok(Value::Object(rendered))
            }
            plain => Ok(plain.clone()),
        }
    }
}

/// The value as JSON. Values of expressions may be lazy and longer than memory, so they are written with a
/// bound before they are taken in.
fn plain(value: &Dynamic) -> Result<Value, TemplateError> {
    let mut bounded = Bounded { written: Vec::new(), left: MAX_OUTPUT_BYTES };
    serde_json::to_writer(&mut bounded, value).map_err(|error| {
        if error.is_io() { too_large() } else { TemplateError::new(1, "The value is not one that JSON has.") }
    })?;
    serde_json::from_slice(&bounded.written)
        .map_err(|_| TemplateError::new(1, "The value is nested too deeply."))
}

struct Bounded {
    written: Vec<u8>,
    left: usize,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let full = std::io::ErrorKind::StorageFull;
        self.left = self.left.checked_sub(bytes.len()).ok_or(full)?;
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How many bytes the value's JSON has.
pub(crate) fn bytes_of(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// A value as it stands inside a text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The first `length` characters, with `…` where something was cut.
fn truncate(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn within(error: TemplateError, line: u64) -> TemplateError {
    TemplateError { line: line + error.line.saturating_sub(1), ..error }
}

fn too_large() -> TemplateError {
    TemplateError::new(1, format!("What the template makes is over {MAX_OUTPUT_BYTES} bytes."))
}

fn fault(error: &minijinja::Error) -> TemplateError {
    let line = error.line().and_then(|line| u64::try_from(line).ok()).unwrap_or(1).max(1);
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, _) => "A value that the expression reads is not defined.".to_owned(),
        (ErrorKind::OutOfFuel, _) => "The expression does too much work.".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}."),
        (kind, None) => format!("{kind}."),
    };
    TemplateError { message, line }
}

#[cfg(test)]
mod tests;
