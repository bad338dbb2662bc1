//! From a node and the run's values to a value, or to the request that a worker performs.

use super::command::Request;
use super::error::{StepError, StepErrorCode};
use super::state::Run;
use crate::definition::{Ai, Definition, Http, Kind, Node, NodeName, Place, Record};
use crate::template::{Context, Language, Part, TemplateError, render_url, split};
use ids::Slug;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DEFAULT_RESPONSE_BYTES: u64 = 256 * 1024;
const DEFAULT_FIND: u32 = 20;
const MAX_BRANCH_CHARS: usize = 100;

/// What a node without effect makes, and the branch that a condition chooses.
pub(super) fn evaluate(
    run: &Run,
    definition: &Definition,
    node: &Node,
    language: &Language,
) -> Result<(Value, Option<String>), StepError> {
    let context = context(run, definition, node, language)?;
    match &node.kind {
        Kind::Source(_) => Ok((run.values.input.clone(), None)),
        Kind::Transform(transform) => {
            let output = language.render_json(&transform.output, &context);
            output.map(|output| (output, None)).map_err(|error| failed("output", &error))
        }
        Kind::Condition(condition) => {
            let result = language.evaluate(&condition.expression, &context);
            let result = result.map_err(|error| failed("expression", &error))?;
            let branch = match &result {
                Value::Bool(flag) => flag.to_string(),
                Value::String(text) if text.chars().count() <= MAX_BRANCH_CHARS => text.clone(),
                _ => {
                    let message =
                        "The condition yields neither true, false nor a text of at most 100 characters.";
                    return Err(StepError::new(StepErrorCode::ConditionType, message));
                }
            };
            Ok((json!({"result": result}), Some(branch)))
        }
        Kind::Ai(_) | Kind::Http(_) | Kind::Record(_) => {
            Err(StepError::new(StepErrorCode::Internal, "This node is performed by a worker."))
        }
    }
}

/// The request of a node with an effect.
pub(super) fn request(
    run: &Run,
    definition: &Definition,
    node: &Node,
    language: &Language,
) -> Result<Request, StepError> {
    let context = context(run, definition, node, language)?;
    let renderer = Renderer { language, context: &context };
    match &node.kind {
        Kind::Ai(ai) => renderer.ai(ai),
        Kind::Http(http) => renderer.http(http),
        Kind::Record(record) => renderer.record(record),
        Kind::Source(_) | Kind::Condition(_) | Kind::Transform(_) => {
            Err(StepError::new(StepErrorCode::Internal, "This node is evaluated by the engine."))
        }
    }
}

/// The values that this node's templates name; large outputs that it does not read are not copied.
fn context(
    run: &Run,
    definition: &Definition,
    node: &Node,
    language: &Language,
) -> Result<Context, StepError> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for slot in node.slots() {
        let sources = match slot.place {
            Place::Expression => vec![slot.text.to_owned()],
            _ => split(slot.text)
                .map_err(|error| failed(&slot.pointer, &error))?
                .into_iter()
                .filter_map(expression)
                .collect(),
        };
        for source in sources {
            named.extend(language.references(&source).map_err(|error| failed(&slot.pointer, &error))?);
        }
    }
    let mut context = Context::default();
    let roots: BTreeSet<&str> = named.iter().filter_map(|name| name.split('.').next()).collect();
    if roots.contains("input") {
        context.set("input", language.take("input".to_owned(), &run.values.input));
    }
    if roots.contains("config") {
        context.set("config", language.take("config".to_owned(), &run.values.config));
    }
    if roots.contains("delivery") {
        let delivery = json!(run.delivery.clone().unwrap_or_default());
        context.set("delivery", language.take("delivery".to_owned(), &delivery));
    }
    let about = json!({"id": run.id, "workflow": run.workflow, "mode": run.mode.as_str()});
    context.set("run", language.take("run".to_owned(), &about));
    let steps: BTreeSet<NodeName> = named
        .iter()
        .filter_map(|name| name.strip_prefix("steps."))
        .filter_map(|name| name.split('.').next()?.parse().ok())
        .collect();
    let position = definition.graph.position(&node.id);
    let upstream = |step: &NodeName| {
        let above = position.zip(definition.graph.position(step));
        above.is_some_and(|(here, above)| definition.graph.upstream[here].contains(&above))
    };
    let outputs = steps.iter().filter(|step| upstream(step));
    context.set_steps(outputs.filter_map(|step| {
        let output = run.values.outputs.get(step)?;
        Some((step.as_str(), language.take(format!("steps.{step}"), output)))
    }));
    Ok(context)
}

fn expression(part: Part) -> Option<String> {
    match part {
        Part::Expression { source, .. } => Some(source),
        Part::Text(_) => None,
    }
}

struct Renderer<'a> {
    language: &'a Language,
    context: &'a Context,
}

impl Renderer<'_> {
    fn text(&self, field: &str, template: &str) -> Result<String, StepError> {
        self.language.render(template, self.context).map_err(|error| failed(field, &error))
    }

    fn maybe(&self, field: &str, template: Option<&String>) -> Result<Option<String>, StepError> {
        template.map(|template| self.text(field, template)).transpose()
    }

    fn slug(&self, field: &str, template: &str) -> Result<Slug, StepError> {
        let text = self.text(field, template)?;
        text.parse().map_err(|error| invalid(field, &format!("is {error}")))
    }

    fn texts(
        &self,
        field: &str,
        templates: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, StepError> {
        let one = |(name, template): (&String, &String)| {
            self.text(&format!("{field}.{name}"), template).map(|text| (name.clone(), text))
        };
        templates.iter().map(one).collect()
    }

    fn members(
        &self,
        field: &str,
        members: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, StepError> {
        let Some(members) = members else { return Ok(Map::new()) };
        self.language.render_map(members, self.context).map_err(|error| failed(field, &error))
    }

    fn ai(&self, ai: &Ai) -> Result<Request, StepError> {
        let model = self.text("model", &ai.model)?;
        if model.trim().is_empty() {
            return Err(invalid("model", "is empty"));
        }
        Ok(Request::Ai {
            model,
            system: self.maybe("system", ai.system.as_ref())?,
            prompt: self.text("prompt", &ai.prompt)?,
            max_tokens: ai.max_tokens,
            temperature: ai.temperature,
            output_schema: ai.output_schema.clone(),
        })
    }

    fn http(&self, http: &Http) -> Result<Request, StepError> {
        let url = render_url(self.language, &http.url, self.context);
        let headers = self.texts("headers", &http.headers)?;
        if let Some((name, _)) = headers.iter().find(|(_, value)| value.chars().any(char::is_control)) {
            return Err(invalid(&format!("headers.{name}"), "holds a control character"));
        }
        let body = http.body.as_ref().map(|body| self.language.render_json(body, self.context)).transpose();
        let credential = http.credential.as_ref().map(|name| self.slug("credential", name)).transpose()?;
        Ok(Request::Http {
            method: http.method,
            url: url.map_err(|error| failed("url", &error))?,
            headers,
            query: self.texts("query", &http.query)?,
            body: body.map_err(|error| failed("body", &error))?,
            credential,
            max_response_bytes: http.max_response_bytes.unwrap_or(DEFAULT_RESPONSE_BYTES),
        })
    }

    fn record(&self, record: &Record) -> Result<Request, StepError> {
        let record_id = self.maybe("record_id", record.record_id.as_ref())?;
        if record_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            return Err(invalid("record_id", "is empty"));
        }
        Ok(Request::Record {
            operation: record.operation,
            collection: self.slug("collection", &record.collection)?,
            record_id,
            matching: self.members("match", record.matching.as_ref())?,
            fields: self.members("fields", record.fields.as_ref())?,
            limit: record.limit.unwrap_or(DEFAULT_FIND),
        })
    }
}

fn failed(field: &str, error: &TemplateError) -> StepError {
    let field = field.trim_start_matches('/');
    StepError::new(
        StepErrorCode::TemplateFailed,
        format!("`{field}`, line {}: {}", error.line, error.message),
    )
}

fn invalid(field: &str, what: &str) -> StepError {
    StepError::new(StepErrorCode::InvalidRequest, format!("`{field}` {what}."))
}
