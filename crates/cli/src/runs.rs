//! `tenantry runs`: a tenant's runs.

use crate::output::{Ended, News, Progress, say, say_json};
use crate::server::TenantOptions;
use crate::table;
use clap::{Args, Subcommand};
use client::{CallError, Client};
use serde_json::{Value, json};
use std::time::Duration;

/// What is done with runs.
#[derive(Args)]
pub struct RunsArguments {
    #[command(flatten)]
    server: TenantOptions,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a run of a workflow.
    Start {
        /// The workflow's id.
        workflow: String,
        /// The input, JSON.
        #[arg(long, default_value = "{}", value_parser = parse)]
        input: Value,
        /// Record effects instead of carrying them out.
        #[arg(long)]
        dry_run: bool,
        /// Wait until the run has ended.
        #[arg(long)]
        wait: bool,
    },
    /// List the latest runs.
    List,
    /// Show a run with its steps.
    Show {
        /// The run's id.
        id: String,
    },
    /// Cancel a run.
    Cancel {
        /// The run's id.
        id: String,
    },
    /// Retry a failed run.
    Retry {
        /// The run's id.
        id: String,
        /// The step to begin with; the failed one where absent.
        #[arg(long)]
        from_step: Option<String>,
    },
}

const COLUMNS: [&str; 5] = ["id", "workflow", "status", "created_at", "last_error"];
const STEPS: [&str; 6] = ["node", "type", "status", "attempts", "cost_usd", "error"];
const ENDED: [&str; 3] = ["succeeded", "failed", "cancelled"];

fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

pub(crate) async fn run(arguments: RunsArguments) -> Ended {
    let client = arguments.server.connect()?;
    let at = |id: &str| format!("/v1/runs/{id}");
    let shown = match arguments.action {
        Action::List => {
            let page = client.get("/v1/runs?limit=50").await?;
            let rows = page["data"].as_array().cloned().unwrap_or_default();
            if arguments.json {
                say_json(&page)?
            } else {
                say(table::rows(&rows, &COLUMNS))?
            }
            return Ok(News::Good);
        }
        Action::Start { workflow, input, dry_run, wait } => {
            let mut body = json!({"input": input});
            if dry_run {
                body["mode"] = json!("dry_run");
            }
            let started = client.post(&format!("/v1/workflows/{workflow}/runs"), &body).await?;
            match started["id"].as_str() {
                Some(id) if wait => until_ended(&client, id, arguments.json).await?,
                _ => started,
            }
        }
        Action::Show { id } => client.get(&at(&id)).await?,
        Action::Cancel { id } => client.post(&format!("{}/cancel", at(&id)), &json!({})).await?,
        Action::Retry { id, from_step } => {
            let body = from_step.map_or_else(|| json!({}), |step| json!({"from_step": step}));
            client.post(&format!("{}/retry", at(&id)), &body).await?
        }
    };
    if arguments.json {
        say_json(&shown)?
    } else {
        say(as_text(&shown))?
    }
    Ok(if shown["status"] == "failed" { News::Bad } else { News::Good })
}

async fn until_ended(client: &Client, id: &str, quiet: bool) -> Result<Value, CallError> {
    let progress = Progress::new(quiet);
    loop {
        let run = client.get(&format!("/v1/runs/{id}")).await?;
        let status = run["status"].as_str().unwrap_or_default();
        if ENDED.contains(&status) {
            progress.clear();
            return Ok(run);
        }
        progress.tell(&format!("{id} {status}"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn as_text(run: &Value) -> String {
    let mut head = run.clone();
    let steps = head.as_object_mut().and_then(|members| members.remove("steps"));
    let steps = steps.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let head = table::members(&head);
    if steps.is_empty() { head } else { format!("{head}\n\n{}", table::rows(&steps, &STEPS)) }
}
