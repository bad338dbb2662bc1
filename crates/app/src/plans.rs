//! Plans, as the operator sets them.

use crate::App;
use audit::event::Action;
use context::{Operator, event::operator_draft};
use errors::Problem;
use ids::Slug;
use metering::plan::{Limits, Plan};

const PUT: Action = Action::new("plan.put");

/// A plan's limits.
pub async fn get(app: &App, _: &Operator, name: &Slug) -> Result<Plan, Problem> {
    Ok(app.platform.plan(name).await?)
}

/// Writes a plan. It holds from the next request on, for every tenant on it.
pub async fn put(app: &App, operator: &Operator, name: Slug, limits: Limits) -> Result<Plan, Problem> {
    operator.must_change()?;
    let plan = Plan { name, limits };
    app.platform
        .append_operator_events(vec![operator_draft(operator, PUT, "plan", plan.name.as_str())])
        .await?;
    app.platform.put_plan(operator, plan.clone()).await?;
    Ok(plan)
}
