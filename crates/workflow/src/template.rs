//! Values made from data: texts with `{{ expression }}` in them, and bare expressions, in the language
//! of minijinja in strict mode.
//!
//! Only the definition is ever read as a template. Data enters as values, and what is made of it is not
//! read again, so an input that looks like a template stays what it is.

mod address;
mod parts;

pub(crate) use address::render_url;
pub(crate) use parts::{Part, host_end, is_path, only_expression, split};

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value as Dynamic};
use serde_json::{Map, Value};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one rendered text or value may have.
pub(crate) const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// What one expression may spend: a unit an instruction, and one for 64 bytes that it makes or reads. So it
/// makes 12 MiB at the most on its way.
const FUEL: u64 = 200_000;
/// What all expressions of one step of the engine may spend together, and one more expression.
const STEP_FUEL: u64 = 4_000_000;
/// Bytes that cost one unit.
const BYTES_OF_A_UNIT: usize = 64;
/// Part of an expression's fuel that is taken for one that failed; what it spent is not known.
const PART_OF_A_FAILURE: u64 = 4;
/// The filter that is put behind every expression to learn what it spent.
const SPENT: &str = "tenantry_spent";
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
    pub(crate) fn set(&mut self, name: &'static str, value: Dynamic) {
        self.0.insert(name, value);
    }

    /// Sets `steps`, each with its `output`.
    pub(crate) fn set_steps<'a>(&mut self, outputs: impl Iterator<Item = (&'a str, Dynamic)>) {
        let steps: BTreeMap<&str, Dynamic> = outputs
            .map(|(node, output)| (node, Dynamic::from(BTreeMap::from([("output", output)]))))
            .collect();
        self.0.insert("steps", Dynamic::from(steps));
    }

    fn root(&self) -> Dynamic {
        Dynamic::from(self.0.clone())
    }
}

/// The expression language, for one step of the engine: what all expressions spend together is bounded.
pub(crate) struct Language {
    /// Made for the first expression: many steps of the engine have none.
    environment: OnceCell<Environment<'static>>,
    /// What the last expression spent.
    spent: Arc<AtomicU64>,
    left: Cell<u64>,
    /// What was taken in from the run's values, so that each is taken in once.
    taken: RefCell<BTreeMap<String, Dynamic>>,
}

impl Language {
    pub(crate) fn new() -> Self {
        let spent = Arc::new(AtomicU64::new(0));
        Self { environment: OnceCell::new(), spent, left: Cell::new(STEP_FUEL), taken: RefCell::default() }
    }

    fn environment(&self) -> &Environment<'static> {
        self.environment.get_or_init(|| self.make_environment())
    }

    fn make_environment(&self) -> Environment<'static> {
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
        let told = Arc::clone(&self.spent);
        language.add_filter(SPENT, move |state: &State, value: Dynamic| {
            told.store(state.fuel_levels().map_or(FUEL, |(spent, _)| spent), Ordering::Relaxed);
            value
        });
        language
    }

    /// A value of the run as templates see it. `name` is always that of the same value.
    pub(crate) fn take(&self, name: String, value: &Value) -> Dynamic {
        let mut taken = self.taken.borrow_mut();
        taken.entry(name).or_insert_with(|| Dynamic::from(Serde(value))).clone()
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
        let compiled = self.environment().compile_expression(expression).map_err(|error| fault(&error))?;
        let globals: BTreeSet<&str> = self.environment().globals().map(|(name, _)| name).collect();
        let references = compiled.undeclared_variables(true).into_iter();
        Ok(references.filter(|name| !globals.contains(name.as_str())).collect())
    }

    /// Filters and tests that the expression names and that do not exist.
    pub(crate) fn unknown_words(&self, expression: &str) -> Vec<String> {
        let words = parts::filters_and_tests(expression);
        let exists = |name: &str, kind: &str| {
            if name == SPENT {
                return false;
            }
            let question = format!("name is {kind}");
            let asked = self.environment().compile_expression_owned(question);
            let name = BTreeMap::from([("name", name)]);
            asked.and_then(|asked| asked.eval(Dynamic::from(Serde(name)))).is_ok_and(|known| known.is_true())
        };
        let unknown = words.into_iter().filter(|(name, kind)| !exists(name, kind));
        unknown.map(|(name, kind)| format!("{kind} `{name}`")).collect()
    }

    /// The value of an expression. Undefined is an error.
    pub(crate) fn evaluate(&self, expression: &str, context: &Context) -> Result<Value, TemplateError> {
        if self.left.get() == 0 {
            return Err(TemplateError::new(1, "The templates of this part of the run do too much work."));
        }
        // What does not stand by itself could end the brackets that are put around it.
        self.environment().compile_expression(expression).map_err(|error| fault(&error))?;
        let measured = format!("({expression})|{SPENT}");
        let compiled = self.environment().compile_expression(&measured).map_err(|error| fault(&error))?;
        let value = compiled.eval(context.root()).map_err(|error| {
            let failed = matches!(error.kind(), ErrorKind::OutOfFuel);
            self.spend(if failed { FUEL } else { FUEL / PART_OF_A_FAILURE });
            fault(&error)
        })?;
        self.spend(self.spent.load(Ordering::Relaxed));
        if value.is_undefined() {
            let message = format!("`{}` is not defined.", expression.trim());
            return Err(TemplateError::new(1, message));
        }
        let (value, bytes) = plain(&value)?;
        self.spend(u64::try_from(bytes / BYTES_OF_A_UNIT).unwrap_or(FUEL));
        Ok(value)
    }

    fn spend(&self, units: u64) {
        self.left.set(self.left.get().saturating_sub(units));
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
fn plain(value: &Dynamic) -> Result<(Value, usize), TemplateError> {
    let mut bounded = Bounded { written: Vec::new(), left: MAX_OUTPUT_BYTES };
    serde_json::to_writer(&mut bounded, value).map_err(|error| {
        if error.is_io() { too_large() } else { TemplateError::new(1, "The value is not one that JSON has.") }
    })?;
    let plain = serde_json::from_slice(&bounded.written);
    plain
        .map(|plain| (plain, bounded.written.len()))
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
    bytes_up_to(value, usize::MAX).unwrap_or(usize::MAX)
}

/// How many bytes the value's JSON has, if they are no more than `most`.
pub(crate) fn bytes_up_to(value: &Value, most: usize) -> Option<usize> {
    struct Count {
        left: usize,
    }
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.left = self.left.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count { left: most };
    serde_json::to_writer(&mut count, value).ok().map(|()| most - count.left)
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
