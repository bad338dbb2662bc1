//! Templates: workflows that the operator publishes for all tenants, in versions that never change.

use crate::{App, operator_log};
use audit::event::Action;
use context::Operator;
use env::Timestamp;
use errors::{Code, Problem};
use ids::{Slug, TemplateId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::Template;

const PUBLISH: Action = Action::new("template.publish");

/// A workflow definition: its text in YAML or JSON, or JSON itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DefinitionInput {
    /// YAML or JSON, as text.
    Text(String),
    /// JSON.
    Document(Map<String, Value>),
}

impl DefinitionInput {
    /// The text that is kept, if it is a valid definition. Otherwise the problem's `errors` lists every
    /// fault with its node and line.
    pub fn checked(self) -> Result<String, Problem> {
        let text = match self {
            Self::Text(text) => text,
            Self::Document(document) => {
                serde_json::to_string_pretty(&document).map_err(|_| Problem::internal())?
            }
        };
        match workflow::validate(&text) {
            Ok(_) => Ok(text),
            Err(faults) => {
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                let detail = format!("The definition has {} faults; the first: {first}.", faults.len());
                let errors = serde_json::to_value(&faults).map_err(|_| Problem::internal())?;
                Err(Problem::new(Code::InvalidDefinition, detail).with("errors", errors))
            }
        }
    }
}

/// What the operator publishes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// The template's name. One that is there already gets another version.
    pub name: Slug,
    /// The definition.
    pub definition: DefinitionInput,
}

/// A template's version.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TemplateView {
    /// The template's id, the same for all versions.
    pub id: TemplateId,
    /// The template's name.
    pub name: Slug,
    /// The version, from 1.
    pub version: u32,
    /// When it was published.
    pub created_at: Timestamp,
}

/// A template's version with its definition.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TemplateContent {
    /// What is known of it.
    #[serde(flatten)]
    pub template: TemplateView,
    /// The definition's text.
    pub definition: String,
}

impl From<Template> for TemplateView {
    fn from(template: Template) -> Self {
        let Template { id, name, version, created_at, .. } = template;
        Self { id, name, version, created_at }
    }
}

/// Publishes a template's next version.
pub async fn publish(app: &App, operator: &Operator, input: NewTemplate) -> Result<TemplateView, Problem> {
    operator.must_change()?;
    let NewTemplate { name, definition } = input;
    let definition = definition.checked()?;
    let work = async {
        let (id, now) = (app.env.id(), app.env.now());
        Ok(app.platform.publish_template(operator, id, &name, definition, now).await?.into())
    };
    operator_log::record(app, operator, PUBLISH, ("template", name.as_str()), work).await
}

/// The newest version of each template, by name, after the given one, at most `limit`.
pub async fn list(
    app: &App,
    _: &Operator,
    after: Option<&Slug>,
    limit: u32,
) -> Result<Vec<TemplateView>, Problem> {
    Ok(app.platform.templates(after, limit).await?.into_iter().map(TemplateView::from).collect())
}

/// One version with its definition.
pub async fn get(app: &App, _: &Operator, name: &Slug, version: u32) -> Result<TemplateContent, Problem> {
    let mut found = app.platform.template(name, Some(version)).await?;
    let definition = std::mem::take(&mut found.definition);
    Ok(TemplateContent { template: found.into(), definition })
}

#[cfg(test)]
mod tests {
    use super::DefinitionInput;
    use errors::Code;

    #[test]
    fn a_definition_is_kept_as_it_was_written_and_a_faulty_one_is_told_of() {
        let text = workflow::INBOUND_LEAD_TRIAGE;
        assert_eq!(DefinitionInput::Text(text.into()).checked().unwrap(), text);
        let problem = DefinitionInput::Text("name: x\nnodes: []\n".into()).checked().unwrap_err();
        assert_eq!(problem.code, Code::InvalidDefinition);
        assert!(problem.members["errors"][0]["line"].is_u64());
    }
}
