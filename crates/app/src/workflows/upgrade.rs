//! Going over to another version of the template: what would change, and doing it.

use super::{WorkflowDetail, found};
use crate::definitions::{self, beside, config_faults, is_hooked};
use crate::{App, note};
use audit::event::Action;
use context::{Private, Read, Tenant, Update, on};
use errors::{Code, Problem};
use ids::{Slug, WorkflowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{Commit, IdempotencyClaim, Objects, TemplateRef, Versioned, Workflow, WorkflowHook};
use workflow::Fault;
use workflow::definition::{Changes, compare};

const UPGRADE: Action = Action::new("workflow.upgrade");

/// What an upgrade would change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UpgradePreview {
    /// The version that the workflow is pinned to.
    pub from: u32,
    /// The version asked about.
    pub to: u32,
    /// What differs.
    pub changes: Changes,
    /// In what the present configuration does not fit the other version. Empty: it fits.
    pub config_faults: Vec<Fault>,
}

/// An upgrade.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeInput {
    /// The version to go over to; it may be an earlier one.
    pub version: u32,
    /// The configuration from then on; the present one where absent.
    #[serde(default)]
    pub config: Option<Map<String, Value>>,
}

/// What going over to this version of the template would change.
pub async fn preview_upgrade<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: WorkflowId,
    version: u32,
) -> Result<Private<'t, UpgradePreview>, Problem> {
    tenant.authorize::<Read<on::Workflow>>()?;
    let (workflow, _) = found(app, tenant, id, None).await?;
    let pinned = pinned(&workflow)?;
    let text = version_of(app, &pinned.name, version).await?;
    let old = app.definitions.read(tenant, &workflow.definition).await?;
    let new = app.definitions.read(tenant, &text).await?;
    let config_faults = config_faults(&app.env, &new, &workflow.config).await?;
    let changes = beside(&app.env, move || Ok(compare(&old, &new))).await?;
    Ok(Private::sent(tenant, UpgradePreview { from: pinned.version, to: version, changes, config_faults }))
}

/// Goes over to another version of the template. Runs under way keep theirs.
pub async fn upgrade<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: WorkflowId,
    input: UpgradeInput,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Versioned<WorkflowDetail>>, Problem> {
    let access = tenant.authorize::<Update<on::Workflow>>()?;
    let (mut workflow, stored) = found(app, tenant, id, expected).await?;
    let pinned = pinned(&workflow)?;
    let text = version_of(app, &pinned.name, input.version).await?;
    let config = input.config.map_or_else(|| workflow.config.clone(), Value::Object);
    let definition = definitions::read_for(app, tenant, &text, &config).await?;
    let now = app.env.now();
    // An address that exists stays, so that the version before can be gone back to; a version that needs
    // one and has none gets it by rotation.
    if is_hooked(&definition) && workflow.hook.is_none() {
        workflow.hook = Some(WorkflowHook { id: app.env.id(), created_at: now });
    }
    let details = [("from", json!(pinned.version)), ("to", json!(input.version))];
    workflow.template = Some(TemplateRef { name: pinned.name, version: input.version });
    (workflow.definition, workflow.config, workflow.updated_at) = (text, config, now);
    let event = note(tenant, UPGRADE, "workflow", id.to_string(), details);
    let answer = WorkflowDetail::from(workflow.clone());
    let commit = Commit::event(event).claiming(claim.map(|claim| claim.answered(&answer)));
    let version = app.store.put(&access, &workflow, Some(stored), commit).await?;
    Ok(Private::sent(tenant, (answer, version)))
}

fn pinned(workflow: &Workflow) -> Result<TemplateRef, Problem> {
    workflow.template.clone().ok_or_else(|| {
        let detail = "The workflow has a definition of its own and no template to be upgraded from.";
        Problem::new(Code::Conflict, detail)
    })
}

async fn version_of(app: &App, name: &Slug, version: u32) -> Result<String, Problem> {
    Ok(app.platform.template(name, Some(version)).await?.definition)
}
