//! Agents, as far as a key may name one.

use crate::{App, note};
use audit::event::Action;
use context::{Create, Delete, Private, Read, Tenant, Update, door, on};
use errors::{Code, Problem};
use ids::AgentId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use store::{Agent, Commit, IdempotencyClaim, Objects, Page, PageRequest, StoreError, Versioned};

const CREATE: Action = Action::new("agent.create");
const UPDATE: Action = Action::new("agent.update");
const DELETE: Action = Action::new("agent.delete");

const MAX_NAME: usize = 100;
const MAX_DESCRIPTION: usize = 1_000;

/// What is asked of a new agent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// What people call it, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What it is for, at most 1,000 characters.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub description: Option<String>,
}

/// What is changed of an agent; an absent member stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentChange {
    /// What people call it, 1 to 100 characters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// What it is for, at most 1,000 characters; null takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schemars(length(max = 1000))]
    pub description: Option<Option<String>>,
}

/// A member that is there, be it `null`; an absent one never gets here.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

fn check(name: Option<&str>, description: Option<&str>) -> Result<(), Problem> {
    if name.is_some_and(|name| !(1..=MAX_NAME).contains(&name.chars().count())) {
        return Err(Problem::invalid("`name` must have 1 to 100 characters."));
    }
    if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        return Err(Problem::invalid("`description` has at most 1,000 characters."));
    }
    Ok(())
}

/// Makes an agent.
pub async fn create<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: NewAgent,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Versioned<Agent>>, Problem> {
    let access = tenant.authorize::<Create<on::Agent>>()?;
    check(Some(&input.name), input.description.as_deref())?;
    let NewAgent { name, description } = input;
    let agent = Agent { id: app.env.id(), name, description, created_at: app.env.now() };
    let event = note(tenant, CREATE, "agent", agent.id.to_string(), []);
    let claim = claim.map(|claim| claim.answered(&agent));
    let version = app.store.create(&access, &agent, Commit::event(event).claiming(claim)).await?;
    Ok(Private::sent(tenant, (agent, version)))
}

/// A page of agents.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    page: &PageRequest,
) -> Result<Private<'t, Page<Agent>>, Problem> {
    let access = tenant.authorize::<Read<on::Agent>>()?;
    Ok(app.store.list::<Agent>(&access, page).await?.map(|page| page.map(|(agent, _)| agent)))
}

/// One agent.
pub async fn get<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: AgentId,
) -> Result<Private<'t, Versioned<Agent>>, Problem> {
    let access = tenant.authorize::<Read<on::Agent>>()?;
    Ok(app.store.get::<Agent>(&access, &id.to_string()).await?)
}

/// Changes an agent, if it still has the expected version where one is given.
pub async fn change<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: AgentId,
    change: AgentChange,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Versioned<Agent>>, Problem> {
    let access = tenant.authorize::<Update<on::Agent>>()?;
    let reading = tenant.authorize::<Read<on::Agent>>()?;
    check(change.name.as_deref(), change.description.as_ref().and_then(Option::as_deref))?;
    let found = app.store.get::<Agent>(&reading, &id.to_string()).await?;
    // The changed agent is what the caller is answered with, so it passes the caller's door already here.
    let (mut agent, version) = door::answer(tenant, found).map_err(StoreError::from)?;
    if expected.is_some_and(|expected| expected != version) {
        return Err(StoreError::Stale.into());
    }
    agent.name = change.name.unwrap_or(agent.name);
    agent.description = change.description.unwrap_or(agent.description);
    let event = note(tenant, UPDATE, "agent", id.to_string(), []);
    let commit = Commit::event(event).claiming(claim.map(|claim| claim.answered(&agent)));
    let version = app.store.put(&access, &agent, Some(version), commit).await?;
    Ok(Private::sent(tenant, (agent, version)))
}

/// Removes an agent that no key names any more.
pub async fn delete(
    app: &App,
    tenant: &Tenant<'_>,
    id: AgentId,
    expected: Option<u64>,
    claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::Agent>>()?;
    let reading = tenant.authorize::<Read<on::Agent>>()?;
    let id = id.to_string();
    app.store.get::<Agent>(&reading, &id).await?;
    if app.store.has_keys(&access, &id).await? {
        let detail = "API keys name this agent, and would go on acting as it. Revoke them first.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let event = note(tenant, DELETE, "agent", id.clone(), []);
    Ok(app.store.remove::<Agent>(&access, &id, expected, Commit::event(event).claiming(claim)).await?)
}
