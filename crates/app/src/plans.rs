//! Plans, as the operator sets them.

use crate::isolations::offered;
use crate::{App, operator_log};
use audit::event::Action;
use context::Operator;
use errors::{Code, Problem};
use ids::Slug;
use metering::plan::{Limits, Plan, WithoutSharedLimits};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

const PUT: Action = Action::new("plan.put");

/// A number, or null for unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance(Option<u64>);

impl JsonSchema for Allowance {
    fn schema_name() -> Cow<'static, str> {
        "Allowance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "null"], "minimum": 0, "description": "A number; null is unlimited."})
    }
}

/// What the operator says of a plan. A member that is left out would be unlimited by mistake, so none may be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Model calls in any hour.
    #[serde(deserialize_with = "given")]
    pub ai_calls_per_hour: Allowance,
    /// Calls to outside services in any hour.
    #[serde(deserialize_with = "given")]
    pub api_calls_per_hour: Allowance,
    /// Requests to the server in a second.
    #[serde(deserialize_with = "given")]
    pub requests_per_second: Allowance,
    /// Runs that work at the same time; further ones are queued.
    #[serde(deserialize_with = "given")]
    pub concurrent_runs: Allowance,
    /// Bytes stored; at the limit the tenant is read-only.
    #[serde(deserialize_with = "given")]
    pub storage_bytes: Allowance,
    /// Days that contents of runs are kept; null, or absent, keeps them.
    #[serde(default)]
    pub retention_days: Option<u64>,
    /// What becomes of calls while the limits that servers share cannot be read; `refuse` where absent.
    #[serde(default)]
    pub without_shared_limits: WithoutSharedLimits,
    /// How tenants that are made on this plan are kept apart, where the operator does not say so of a tenant; as the
    /// deployment has it where absent. Tenants that there are stay as they are.
    #[serde(default)]
    pub isolation: Option<Slug>,
    /// The pool of workers that alone carries runs of tenants on this plan out (`tenantry worker --pool`); servers, and
    /// workers of no pool, do where absent.
    #[serde(default)]
    pub pool: Option<Slug>,
}

/// A member that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Allowance, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Allowance)
}

/// A plan, as the operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlanView {
    /// Its name.
    pub name: Slug,
    /// What it grants.
    #[serde(flatten)]
    pub limits: Limits,
    /// How tenants that are made on it are kept apart; as the deployment has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Slug>,
    /// The pool of workers that alone carries their runs out; servers do where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Slug>,
}

impl From<Plan> for PlanView {
    fn from(Plan { name, limits, isolation, pool }: Plan) -> Self {
        Self { name, limits, isolation, pool }
    }
}

/// A plan.
pub async fn get(app: &App, _: &Operator, name: &Slug) -> Result<PlanView, Problem> {
    Ok(app.platform.plan(name).await?.into())
}

/// Writes a plan. It holds from the next request on, for every tenant on it.
pub async fn put(app: &App, operator: &Operator, name: Slug, input: PlanInput) -> Result<PlanView, Problem> {
    operator.must_change()?;
    let limits = Limits {
        ai_calls_per_hour: input.ai_calls_per_hour.0,
        api_calls_per_hour: input.api_calls_per_hour.0,
        requests_per_second: input.requests_per_second.0,
        concurrent_runs: input.concurrent_runs.0,
        storage_bytes: input.storage_bytes.0,
        retention_days: input.retention_days,
        without_shared_limits: input.without_shared_limits,
    };
    if let Some(kind) = &input.isolation {
        offered(app, kind.as_str())?;
    }
    if input.pool.is_some() && !app.store.shared() {
        let detail = "There are pools of workers only where several processes share a store, and here none does. Leave \
            `pool` out.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let plan = Plan { name, limits, isolation: input.isolation, pool: input.pool };
    let work = async {
        app.platform.put_plan(operator, plan.clone()).await?;
        Ok(plan.clone().into())
    };
    operator_log::record(app, operator, PUT, ("plan", plan.name.as_str()), work).await
}

#[cfg(test)]
mod tests {
    use super::PlanInput;
    use serde_json::json;

    #[test]
    fn the_five_members_must_be_there_and_may_be_null() {
        let whole = json!({
            "ai_calls_per_hour": 5, "api_calls_per_hour": null, "requests_per_second": 9,
            "concurrent_runs": 1, "storage_bytes": null,
        });
        let read = |value| serde_json::from_value::<PlanInput>(value);
        let input = read(whole.clone()).unwrap();
        assert_eq!((input.ai_calls_per_hour.0, input.storage_bytes.0), (Some(5), None));
        for member in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(member);
            assert!(read(without).is_err(), "{member}");
        }
    }
}
