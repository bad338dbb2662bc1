//! Workflows: a tenant's instances of templates, and its own.

mod upgrade;

pub use upgrade::{UpgradeInput, UpgradePreview, preview_upgrade, upgrade};

use crate::definitions::{self, DefinitionInput, is_hooked};
use crate::{App, note};
use audit::event::Action;
use context::{
    Create, CredentialKind, Delete, IndexedSubject, Private, Read, Tenant, Update, door, issue_hook_token, on,
};
use env::Timestamp;
use errors::{Code, Problem};
use ids::WorkflowId;
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{
    Commit, IdempotencyClaim, Objects, Page, PageRequest, StoreError, TemplateRef, Versioned, Workflow,
    WorkflowHook,
};

const CREATE: Action = Action::new("workflow.create");
const UPDATE: Action = Action::new("workflow.update");
const DELETE: Action = Action::new("workflow.delete");
const ROTATE: Action = Action::new("workflow.rotate_hook");
const MAX_NAME: usize = 100;
/// How often others may be faster before a removal that sets no condition is told to come back. Each time one of
/// them has changed something.
const ATTEMPTS: usize = 100;

/// What is asked of a new workflow: a template's version, or a definition of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkflow {
    /// What people call it, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// The template that it is an instance of.
    #[serde(default)]
    pub template: Option<TemplateRef>,
    /// Its own definition.
    #[serde(default)]
    pub definition: Option<DefinitionInput>,
    /// The configuration that the definition's `config_required` asks for.
    #[serde(default)]
    pub config: Map<String, Value>,
}

/// What is changed of a workflow; an absent member stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowChange {
    /// What people call it, 1 to 100 characters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// The configuration, as a whole.
    #[serde(default)]
    pub config: Option<Map<String, Value>>,
}

/// A workflow in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// What people call it.
    pub name: String,
    /// The template version that it is pinned to.
    pub template: Option<TemplateRef>,
    /// Its inbound address, without the token, which is shown once.
    pub hook: Option<WorkflowHook>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A workflow with all that it says.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkflowDetail {
    /// What lists show.
    #[serde(flatten)]
    pub workflow: WorkflowView,
    /// The definition's text.
    pub definition: String,
    /// The configuration.
    pub config: Value,
}

impl From<&Workflow> for WorkflowView {
    fn from(workflow: &Workflow) -> Self {
        Self {
            id: workflow.id,
            name: workflow.name.clone(),
            template: workflow.template.clone(),
            hook: workflow.hook.clone(),
            created_at: workflow.created_at,
            updated_at: workflow.updated_at,
        }
    }
}

impl From<Workflow> for WorkflowDetail {
    fn from(workflow: Workflow) -> Self {
        let view = WorkflowView::from(&workflow);
        Self { workflow: view, definition: workflow.definition, config: workflow.config }
    }
}

/// A workflow that was just made, or has a new inbound address.
pub struct Hooked {
    /// The workflow.
    pub workflow: Workflow,
    /// Its version.
    pub version: u64,
    /// Its inbound address, shown this once.
    pub hook_url: Option<SecretText>,
}

/// Makes a workflow. One that webhooks start gets an inbound address.
pub async fn create<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: NewWorkflow,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Hooked>, Problem> {
    let access = tenant.authorize::<Create<on::Workflow>>()?;
    check_name(&input.name)?;
    let (text, template) = match (input.template, input.definition) {
        (Some(template), None) => {
            (app.platform.template(&template.name, Some(template.version)).await?.definition, Some(template))
        }
        (None, Some(definition)) => (definition.checked(&app.env).await?, None),
        _ => {
            return Err(Problem::invalid("Give either `template` or `definition`."));
        }
    };
    let config = Value::Object(input.config);
    let definition = definitions::read_for(app, tenant, &text, &config).await?;
    let now = app.env.now();
    let hook = is_hooked(&definition).then(|| WorkflowHook { id: app.env.id(), created_at: now });
    let workflow = Workflow {
        id: app.env.id(),
        name: input.name,
        template,
        definition: text,
        config,
        hook,
        created_at: now,
        updated_at: now,
    };
    let details = [("template", json!(workflow.template))];
    let event = note(tenant, CREATE, "workflow", workflow.id.to_string(), details);
    let claim = claim.map(|claim| claim.answered(&json!({"id": workflow.id})));
    let version = app.store.create(&access, &workflow, Commit::event(event).claiming(claim)).await?;
    let hook_url = index_hook(app, tenant, &workflow).await?;
    Ok(Private::sent(tenant, Hooked { workflow, version, hook_url }))
}

/// A page of workflows.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    page: &PageRequest,
) -> Result<Private<'t, Page<WorkflowView>>, Problem> {
    let access = tenant.authorize::<Read<on::Workflow>>()?;
    let found = app.store.list::<Workflow>(&access, page).await?;
    Ok(found.map(|page| page.map(|(workflow, _)| WorkflowView::from(&workflow))))
}

/// One workflow.
pub async fn get<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: WorkflowId,
) -> Result<Private<'t, Versioned<WorkflowDetail>>, Problem> {
    let access = tenant.authorize::<Read<on::Workflow>>()?;
    let found = app.store.get::<Workflow>(&access, &id.to_string()).await?;
    Ok(found.map(|(workflow, version)| (workflow.into(), version)))
}

/// Changes a workflow's name or configuration. Runs under way keep theirs.
pub async fn change<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: WorkflowId,
    change: WorkflowChange,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Versioned<WorkflowDetail>>, Problem> {
    let access = tenant.authorize::<Update<on::Workflow>>()?;
    let (mut workflow, version) = found(app, tenant, id, expected).await?;
    if let Some(name) = change.name {
        check_name(&name)?;
        workflow.name = name;
    }
    if let Some(config) = change.config {
        let config = Value::Object(config);
        definitions::read_for(app, tenant, &workflow.definition, &config).await?;
        workflow.config = config;
    }
    workflow.updated_at = app.env.now();
    let event = note(tenant, UPDATE, "workflow", id.to_string(), []);
    let answer = WorkflowDetail::from(workflow.clone());
    let commit = Commit::event(event).claiming(claim.map(|claim| claim.answered(&answer)));
    let version = app.store.put(&access, &workflow, Some(version), commit).await?;
    Ok(Private::sent(tenant, (answer, version)))
}

/// Removes a workflow and its inbound address. Its runs end as they would.
pub async fn delete(
    app: &App,
    tenant: &Tenant<'_>,
    id: WorkflowId,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::Workflow>>()?;
    for _ in 0..ATTEMPTS {
        let (workflow, version) = found(app, tenant, id, expected).await?;
        let event = note(tenant, DELETE, "workflow", id.to_string(), []);
        let commit = Commit::event(event).claiming(claim.clone());
        // At the version that was looked at: its hook is the one that is revoked below.
        match app.store.remove::<Workflow>(&access, &id.to_string(), Some(version), commit).await {
            // Another request was faster; whether a condition holds still is seen above.
            Err(StoreError::Stale) => continue,
            removed => removed?,
        }
        // From here on its hook leads to no workflow, and is refused whether or not this is done.
        if let Some(hook) = &workflow.hook {
            app.platform.revoke_credential(tenant, &hook.id.to_string()).await?;
        }
        return Ok(());
    }
    // No condition failed, since there was none.
    Err(StoreError::Unavailable.into())
}

/// Gives a workflow another inbound address. The one before is refused from the next delivery on.
pub async fn rotate_hook<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: WorkflowId,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Hooked>, Problem> {
    let access = tenant.authorize::<Update<on::Workflow>>()?;
    let (mut workflow, version) = found(app, tenant, id, expected).await?;
    if !is_hooked(&*app.definitions.read(tenant, &workflow.definition).await?) {
        let detail = "The workflow's source is `manual`: it takes no deliveries.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let now = app.env.now();
    let before = workflow.hook.replace(WorkflowHook { id: app.env.id(), created_at: now });
    workflow.updated_at = now;
    let event = note(tenant, ROTATE, "workflow", id.to_string(), []);
    let claim = claim.map(|claim| claim.answered(&json!({"id": id})));
    let version =
        app.store.put(&access, &workflow, Some(version), Commit::event(event).claiming(claim)).await?;
    if let Some(before) = before {
        app.platform.revoke_credential(tenant, &before.id.to_string()).await?;
    }
    let hook_url = index_hook(app, tenant, &workflow).await?;
    Ok(Private::sent(tenant, Hooked { workflow, version, hook_url }))
}

/// The workflow with the version that it must have.
async fn found(
    app: &App,
    tenant: &Tenant<'_>,
    id: WorkflowId,
    expected: Option<u64>,
) -> Result<Versioned<Workflow>, Problem> {
    let access = tenant.authorize::<Read<on::Workflow>>()?;
    let found = app.store.get::<Workflow>(&access, &id.to_string()).await?;
    // It is changed and written back into the store that it came from, or shown to the caller.
    let (workflow, version) = door::answer(tenant, found).map_err(StoreError::from)?;
    match expected {
        Some(expected) if expected != version => Err(StoreError::Stale.into()),
        _ => Ok((workflow, version)),
    }
}

/// Puts the token of the workflow's hook into the credential index; gives back the address.
async fn index_hook(
    app: &App,
    tenant: &Tenant<'_>,
    workflow: &Workflow,
) -> Result<Option<SecretText>, Problem> {
    let Some(hook) = &workflow.hook else { return Ok(None) };
    let token = issue_hook_token(&app.env).0;
    let hash = app.authenticator.hash(CredentialKind::Hook, token.expose());
    let subject = IndexedSubject::Hook { id: hook.id, workflow: workflow.id };
    app.platform.index_credential(tenant, hash, subject, None).await?;
    Ok(Some(SecretText::new(format!("{}/hooks/{}", app.public_url, token.expose()))))
}

fn check_name(name: &str) -> Result<(), Problem> {
    if (1..=MAX_NAME).contains(&name.chars().count()) {
        Ok(())
    } else {
        Err(Problem::invalid("`name` must have 1 to 100 characters."))
    }
}
