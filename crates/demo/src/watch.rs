//! Runs on their way from source to action, drawn while they move.

use crate::deliveries::Lead;
use crate::play::DemoError;
use crate::screen::Screen;
use crate::stage::Tenant;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

const LOOK: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(90);

/// A run that a lead started.
pub(crate) struct Watched {
    lead: Lead,
    run: String,
    seen: Value,
}

impl Watched {
    pub(crate) fn new(lead: Lead, run: String) -> Self {
        Self { lead, run, seen: Value::Null }
    }

    fn status(&self) -> &str {
        self.seen["status"].as_str().unwrap_or("queued")
    }

    fn has_ended(&self) -> bool {
        ["succeeded", "failed", "cancelled"].contains(&self.status())
    }

    fn step(&self, node: &str) -> Option<&Value> {
        self.seen["steps"].as_array()?.iter().find(|step| step["node"] == node)
    }

    fn row(&self, tenants: &[Tenant]) -> String {
        let tenant = tenants.get(self.lead.tenant).map_or("", |tenant| tenant.name);
        let cells = [
            self.cell("lead", |_| "received".to_owned()),
            self.cell("classify", |step| step["output"]["label"].as_str().unwrap_or("done").to_owned()),
            self.cell("is_hot", |step| match step["output"]["result"].as_bool() {
                Some(true) => "hot".to_owned(),
                Some(false) => "not hot".to_owned(),
                None => "decided".to_owned(),
            }),
            self.cell("hand_over", |step| match step["attempts"].as_u64() {
                Some(attempts @ 2..) => format!("sent, try {attempts}"),
                _ => "sent".to_owned(),
            }),
        ];
        let [source, ai, condition, action] = cells;
        let (name, status) = (self.lead.name, self.status());
        format!("  {tenant:<7} {name:<11} {source:<9} {ai:<8} {condition:<9} {action:<14} {status}")
    }

    /// What a step's cell says: how it ended, or that it is under way.
    fn cell(&self, node: &str, done: impl Fn(&Value) -> String) -> String {
        let Some(step) = self.step(node) else { return ".".to_owned() };
        match step["status"].as_str().unwrap_or_default() {
            "succeeded" => done(step),
            "pending" | "ready" => ".".to_owned(),
            "skipped" => "-".to_owned(),
            "waiting" => "will retry".to_owned(),
            other => other.to_owned(),
        }
    }
}

fn heading() -> String {
    let (tenant, name, source, ai) = ("tenant", "lead", "source", "AI");
    format!("  {tenant:<7} {name:<11} {source:<9} {ai:<8} {:<9} {:<14} run", "condition", "CRM (action)")
}

/// Shows the runs until all have ended. Gives the number that did not end well.
pub(crate) async fn watch(
    screen: &mut Screen,
    tenants: &[Tenant],
    mut runs: Vec<Watched>,
) -> Result<usize, DemoError> {
    screen.line(heading())?;
    let start = Instant::now();
    loop {
        for watched in runs.iter_mut().filter(|watched| !watched.has_ended()) {
            if let Some(tenant) = tenants.get(watched.lead.tenant) {
                watched.seen = tenant.client.get(&format!("/v1/runs/{}", watched.run)).await?;
            }
        }
        let rows: Vec<_> = runs.iter().map(|watched| watched.row(tenants)).collect();
        if runs.iter().all(Watched::has_ended) || start.elapsed() > PATIENCE {
            screen.settle(&rows)?;
            return Ok(runs.iter().filter(|watched| watched.status() != "succeeded").count());
        }
        screen.redraw(&rows)?;
        tokio::time::sleep(LOOK).await;
    }
}
