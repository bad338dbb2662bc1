//! Runs of ten steps that do nothing, 32 at once: once with steps whose beginning and end are durable before
//! the next begins, and once with steps that only compute, which share a commit.

use super::{PLAN, Plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::process::Server;
use crate::wire::Request;
use client::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const STEPS: usize = 10;
pub(crate) const AT_ONCE: usize = 32;
/// Runs that are started before it is waited for them, of which no more than a thousand may queue; those that
/// make a round, and those that warm it up.
const WAVE: usize = 960;
pub(crate) const RUNS: usize = 3 * WAVE;
const FIRST: usize = 320;

pub(crate) fn workflow(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let workflows = Workflows::start(plan)?;
    let (mut rate, mut cpu, mut computed) = (vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let before = workflows.server.cpu()?;
        rate.push(workflows.run(&workflows.durable, RUNS)?);
        cpu.push((workflows.server.cpu()? - before).as_secs_f64() * 1e3 / RUNS as f64);
        computed.push(workflows.run(&workflows.computed, RUNS)?);
    }
    Ok(vec![
        Figure::new("workflow.rate", &rate, "1/s", plan.at_least(500.0, 400.0), &computed),
        Figure::new("workflow.cpu", &cpu, "ms a run", Target::None, &[]),
    ])
}

/// A server with the two workflows.
pub(crate) struct Workflows {
    pub(crate) server: Server,
    owner: Client,
    key: String,
    pub(crate) durable: String,
    computed: String,
}

impl Workflows {
    /// Starts and warms it.
    pub(crate) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let server = Server::start(plan, None, "")?;
        let limits = json!({
            "ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": 1_000_000,
            "concurrent_runs": AT_ONCE, "storage_bytes": null,
        });
        let (owner, key, durable, computed) = runtime()?.block_on(async {
            server.operator.put(&format!("/v1/plans/{PLAN}"), &limits).await?;
            let made = server.operator.make_tenant("Bench", PLAN).await?;
            let owner = server.operator.with_key(made.key.clone());
            let looks = json!({"type": "record", "operation": "get", "collection": "notes",
                "record_id": "rec_00000000000000000000000000"});
            let durable = workflow_of(&owner, looks).await?;
            let computed = workflow_of(&owner, json!({"type": "transform", "output": {"a": 1}})).await?;
            anyhow::Ok((owner, made.key.expose().to_owned(), durable, computed))
        })?;
        let workflows = Self { server, owner, key, durable, computed };
        workflows.run(&workflows.durable, FIRST)?;
        Ok(workflows)
    }

    /// Runs a second, from the first that is started to the last that is over.
    pub(crate) fn run(&self, workflow: &str, runs: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let path = format!("/v1/workflows/{workflow}/runs");
        let request = Request::new("POST", &path, &self.key, "{\"input\":{}}");
        let load = Load::steady(self.server.address, AT_ONCE, Duration::from_secs(600));
        let mut left = runs;
        while left > 0 {
            let wave = left.min(WAVE);
            load.run(|_, number| (number < wave / AT_ONCE).then(|| request.clone()))?;
            runtime()?.block_on(all_over(&self.owner))?;
            left -= wave;
        }
        Ok(runs as f64 / begun.elapsed().as_secs_f64())
    }
}

/// A chain of steps like this one.
pub(crate) async fn workflow_of(owner: &Client, step: Value) -> anyhow::Result<String> {
    let mut nodes = vec![json!({"id": "start", "type": "source", "kind": "manual"})];
    for number in 0..STEPS {
        let after = if number == 0 { "start".to_owned() } else { format!("step{}", number - 1) };
        let mut node = step.clone();
        node["id"] = json!(format!("step{number}"));
        node["after"] = json!([after]);
        nodes.push(node);
    }
    let body = json!({"name": "Nothing", "definition": {"name": "Nothing", "nodes": nodes}});
    let made = owner.post("/v1/workflows", &body).await?;
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

async fn all_over(owner: &Client) -> anyhow::Result<()> {
    for status in ["queued", "running"] {
        while is_any(owner, status).await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    anyhow::ensure!(!is_any(owner, "failed").await?, "a run failed");
    Ok(())
}

async fn is_any(owner: &Client, status: &str) -> anyhow::Result<bool> {
    let page = owner.get(&format!("/v1/runs?status={status}&limit=1")).await?;
    Ok(page["data"].as_array().is_some_and(|runs| !runs.is_empty()))
}
