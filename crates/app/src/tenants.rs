//! Tenants, as the operator makes and administers them.

use crate::App;
use crate::isolations::isolation_of;
use crate::moves::MoveView;
use crate::operator_log::{Ending, record, record_on};
use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use authz::{Role, Scopes};
use context::{CredentialKind, IndexedSubject, Operator, TenantStatus, Throwaway, issue_api_key};
use errors::Problem;
use ids::{KeyId, Slug, TenantId};
use metering::plan::{Limits, Overrides, Plan};
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{ApiKeyRecord, ErasureReceipt, NewTenant, TenantRow};

const CREATE: Action = Action::new("tenant.create");
const CREATE_KEY: Action = Action::new("api_key.create");
const UPDATE: Action = Action::new("tenant.update");
const DELETE: Action = Action::new("tenant.delete");

/// What the operator asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenantInput {
    /// What the operator calls the tenant, 1 to 200 characters.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The operator's own id for it, at most 200 characters; unique.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub external_id: Option<String>,
    /// Where its data rests; the first region of the deployment where absent.
    #[serde(default)]
    pub region: Option<Slug>,
    /// Its plan; `starter` where absent.
    #[serde(default)]
    pub plan: Option<Slug>,
    /// How it is kept apart; as its plan says where absent, and as the deployment has it where its plan says nothing.
    #[serde(default)]
    pub isolation: Option<String>,
}

/// What the operator changes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// The plan. How the tenant is kept apart stays as it is, whatever the plan says: only a move changes that.
    #[serde(default)]
    pub plan: Option<Slug>,
    /// What differs from the plan; replaces what differed before.
    #[serde(default)]
    pub limits: Option<Overrides>,
}

/// A tenant, as the operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// What the operator calls it.
    pub name: String,
    /// The operator's own id for it.
    pub external_id: Option<String>,
    /// The grant to run the attack suite that made it, where one did; it ends with the grant.
    pub verify_grant: Option<KeyId>,
    /// Where its data rests.
    pub region: Slug,
    /// Its plan.
    pub plan: Slug,
    /// What differs from the plan.
    pub limits: Overrides,
    /// The limits that hold.
    pub effective_limits: Limits,
    /// How it is kept apart.
    pub isolation: String,
    /// How its plan says that tenants are kept apart which are made on it, where it says so. One that is kept apart
    /// differently was made before that, or otherwise, and is moved by `POST /v1/tenants/{id}/move` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_isolation: Option<Slug>,
    /// Its last move to another kind of isolation, where there was one and one tenant is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_move: Option<MoveView>,
    /// `active` or `suspended`.
    pub status: String,
    /// When it was made.
    pub created_at: env::Timestamp,
    /// Counts its changes, from 1. Stands in `ETag`.
    pub version: u64,
}

/// A tenant that was just made, with its first key.
pub struct Made {
    /// The tenant.
    pub tenant: TenantView,
    /// The first key's id.
    pub key: KeyId,
    /// The first key, shown this once.
    pub secret: SecretText,
}

/// The plan where none is named.
pub(crate) const DEFAULT_PLAN: &str = "starter";

/// Makes a tenant with its first key. The two are the first events of its log.
pub async fn create(app: &App, operator: &Operator, input: NewTenantInput) -> Result<Made, Problem> {
    operator.must_change()?;
    let row = new_row(app, &input)?;
    let row = match &input.isolation {
        Some(_) => row,
        // As its plan says.
        None => {
            let plan = plan_of(app, &row.plan).await?;
            let isolation = isolation_of(app, plan.isolation.as_ref().map(Slug::as_str))?;
            TenantRow { isolation, ..row }
        }
    };
    create_row(app, operator, row).await
}

/// Makes a throwaway tenant of a grant, which is kept apart as the deployment has it, whatever its plan says.
pub(crate) async fn create_throwaway(
    app: &App,
    maker: &Operator,
    input: &NewTenantInput,
    throwaway: Throwaway,
    overrides: Overrides,
) -> Result<Made, Problem> {
    let row = new_row(app, input)?;
    create_row(app, maker, TenantRow { throwaway: Some(throwaway), overrides, ..row }).await
}

pub(crate) async fn create_row(app: &App, operator: &Operator, row: TenantRow) -> Result<Made, Problem> {
    let plan = plan_of(app, &row.plan).await?;
    let key = issue_api_key(row.id, app.env.id(), &app.env);
    let events = first_events(operator, &row, key.id);
    let made = NewTenant {
        key_hash: app.authenticator.hash(CredentialKind::ApiKey, key.text.expose()),
        key: IndexedSubject::ApiKey {
            id: key.id,
            role: Role::Owner,
            scopes: Scopes::everything(),
            agent: None,
        },
        key_record: ApiKeyRecord {
            id: key.id,
            name: "first key".into(),
            role: Role::Owner,
            scopes: Scopes::everything(),
            agent: None,
            created_by: operator.key().to_string(),
            created_at: row.created_at,
            expires_at: None,
            revoked_at: None,
        },
        events,
        row: row.clone(),
    };
    let work = async { Ok(app.platform.create_tenant(operator, made).await?) };
    record(app, operator, CREATE, ("tenant", &row.id.to_string()), work).await?;
    Ok(Made { tenant: view(row, &plan), key: key.id, secret: key.text })
}

pub(crate) fn new_row(app: &App, input: &NewTenantInput) -> Result<TenantRow, Problem> {
    let bounded = |name: &str, text: &str| {
        let length = text.chars().count();
        let printable = text.chars().all(|character| !character.is_control());
        if (1..=200).contains(&length) && printable {
            Ok(text.to_owned())
        } else {
            Err(Problem::invalid(format!("`{name}` must have 1 to 200 printable characters.")))
        }
    };
    let region = match &input.region {
        None => app.regions.first().cloned().ok_or_else(Problem::internal)?,
        Some(region) if app.regions.contains(region) => region.clone(),
        Some(region) => {
            return Err(Problem::invalid(format!("There is no region `{region}` in this deployment.")));
        }
    };
    let isolation = isolation_of(app, input.isolation.as_deref())?;
    let plan = input.plan.clone().map_or_else(|| DEFAULT_PLAN.parse(), Ok);
    Ok(TenantRow {
        id: app.env.id(),
        name: bounded("name", &input.name)?,
        external_id: input.external_id.as_deref().map(|id| bounded("external_id", id)).transpose()?,
        region,
        plan: plan.map_err(|_| Problem::internal())?,
        overrides: Overrides::default(),
        throwaway: None,
        isolation,
        status: TenantStatus::Active,
        created_at: app.env.now(),
        generation: 0,
        version: 1,
    })
}

fn first_events(operator: &Operator, row: &TenantRow, key: KeyId) -> Vec<Draft> {
    let event = |action, kind: &str, id: String| {
        let actor = Actor {
            kind: ActorKind::Operator,
            id: operator.key().to_string(),
            on_behalf_of: Vec::new(),
            auth: AuthMethod::OperatorKey,
        };
        let mut draft = Draft::new(actor, action, Resource { kind: kind.into(), id }, Outcome::Success);
        draft.request_id = Some(operator.request().id);
        draft
    };
    let mut made = event(CREATE, "tenant", row.id.to_string());
    made.details.insert("plan".into(), row.plan.as_str().into());
    made.details.insert("region".into(), row.region.as_str().into());
    let mut keyed = event(CREATE_KEY, "api_key", key.to_string());
    keyed.details.insert("role".into(), Role::Owner.as_str().into());
    vec![made, keyed]
}

async fn plan_of(app: &App, name: &Slug) -> Result<Plan, Problem> {
    app.platform.plan(name).await.map_err(|error| match error {
        store::StoreError::NotFound => Problem::invalid(format!("There is no plan `{name}`.")),
        other => other.into(),
    })
}

pub(crate) async fn viewed(app: &App, row: TenantRow) -> Result<TenantView, Problem> {
    let plan = plan_of(app, &row.plan).await?;
    Ok(view(row, &plan))
}

fn view(row: TenantRow, plan: &Plan) -> TenantView {
    let effective_limits = plan.with(&row.overrides);
    TenantView {
        id: row.id,
        name: row.name,
        external_id: row.external_id,
        verify_grant: row.throwaway.map(|it| it.grant),
        region: row.region,
        plan: row.plan,
        limits: row.overrides,
        effective_limits,
        isolation: row.isolation.to_string(),
        plan_isolation: plan.isolation.clone(),
        last_move: None,
        status: row.status.as_str().to_owned(),
        created_at: row.created_at,
        version: row.version,
    }
}

/// One tenant.
pub async fn get(app: &App, operator: &Operator, id: TenantId) -> Result<TenantView, Problem> {
    let view = viewed(app, app.platform.tenant(operator, id).await?).await?;
    let last_move = app.lifecycle.tenant_move(operator, id).await?.map(MoveView::from);
    Ok(TenantView { last_move, ..view })
}

/// Tenants by id, after the given one, at most `limit`.
pub async fn list(
    app: &App,
    operator: &Operator,
    after: Option<TenantId>,
    limit: u32,
) -> Result<Vec<TenantView>, Problem> {
    let rows = app.platform.tenants(operator, after, limit).await?;
    let mut plans = BTreeMap::new();
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        if !plans.contains_key(&row.plan) {
            plans.insert(row.plan.clone(), plan_of(app, &row.plan).await?);
        }
        let plan = plans.get(&row.plan).ok_or_else(Problem::internal)?;
        views.push(view(row, plan));
    }
    Ok(views)
}

/// Changes a tenant's plan and limits. They hold from its next request on.
pub async fn change(
    app: &App,
    operator: &Operator,
    id: TenantId,
    change: TenantChange,
    expected: Option<u64>,
) -> Result<TenantView, Problem> {
    operator.must_change()?;
    let mut row = found(app, operator, id, expected).await?;
    if let Some(plan) = change.plan {
        plan_of(app, &plan).await?;
        row.plan = plan;
    }
    if let Some(limits) = change.limits {
        row.overrides = limits;
    }
    let work = async { Ok(app.platform.update_tenant(operator, row).await?) };
    let row = record_on(app, operator, UPDATE, id, Ending::InBothLogs, work).await?;
    viewed(app, row).await
}

/// Erases a tenant: keys refused, key destroyed, files gone.
pub async fn delete(
    app: &App,
    operator: &Operator,
    id: TenantId,
    expected: Option<u64>,
) -> Result<ErasureReceipt, Problem> {
    operator.must_change()?;
    let mut row = found(app, operator, id, expected).await?;
    let has_left = row.status == TenantStatus::Leaving;
    let work = async {
        if !has_left && row.status != TenantStatus::Deleting {
            row.status = TenantStatus::Deleting;
            app.platform.update_tenant(operator, row).await?;
        }
        crate::lifecycle::stop_runs(app, operator, id).await?;
        app.halt(operator, id).await;
        let receipt = app.lifecycle.erase(operator, id).await?;
        app.reads.forget(id);
        // Whoever was let in before may have read one, or told something, meanwhile.
        app.definitions.forget(id);
        app.bus.forget(operator, id).await;
        Ok(receipt)
    };
    if has_left {
        // Its log goes on elsewhere, and nothing is added to it here.
        return record(app, operator, DELETE, ("tenant", &id.to_string()), work).await;
    }
    record_on(app, operator, DELETE, id, Ending::InOperatorsLog, work).await
}

pub(crate) async fn found(
    app: &App,
    operator: &Operator,
    id: TenantId,
    expected: Option<u64>,
) -> Result<TenantRow, Problem> {
    let row = app.platform.tenant(operator, id).await?;
    match expected {
        Some(expected) if expected != row.version => Err(store::StoreError::Stale.into()),
        _ => Ok(row),
    }
}
