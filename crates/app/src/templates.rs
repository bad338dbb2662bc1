//! Templates: workflows that the operator publishes for all tenants, in versions that never change.

use crate::definitions::DefinitionInput;
use crate::{App, operator_log};
use audit::event::Action;
use context::Operator;
use env::Timestamp;
use errors::Problem;
use ids::{Slug, TemplateId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Template;

const PUBLISH: Action = Action::new("template.publish");
const WITHDRAW: Action = Action::new("template.withdraw");

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
    let definition = definition.checked(&app.env).await?;
    let work = async {
        let (id, now) = (app.env.id(), app.env.now());
        Ok(app.platform.publish_template(operator, id, &name, definition, now).await?.into())
    };
    operator_log::record(app, operator, PUBLISH, ("template", name.as_str()), work).await
}

/// Takes a template away with all its versions. Workflows keep the definition that they were made from; the
/// name, published again, begins at version 1 under another id.
pub async fn withdraw(app: &App, operator: &Operator, name: &Slug) -> Result<(), Problem> {
    operator.must_change()?;
    let work = async { Ok(app.platform.withdraw_template(operator, name).await?) };
    operator_log::record(app, operator, WITHDRAW, ("template", name.as_str()), work).await
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
