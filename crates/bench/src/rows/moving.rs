//! A tenant of some size that is moved from one kind of home to another while it is written to: how long a writer waits.

use super::{PLAN, Plan, put_plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::process::Server;
use crate::wire::Request;
use anyhow::{Context as _, ensure};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the tenant has: 30 MB.
const RECORDS: usize = 3000;
const BYTES: usize = 10_000;
/// Who writes meanwhile.
const CALLERS: usize = 4;
/// Round and back.
const WAY: [&str; 3] = ["dedicated", "schema", "pooled"];

pub(crate) fn moving(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    if plan.database.is_none() {
        return Ok(Vec::new());
    }
    let server = Server::start(plan, None, "")?;
    let _provisioner = server.provisioner()?;
    put_plan(&server)?;
    let made = runtime()?.block_on(server.operator.make_tenant("Bench", PLAN))?;
    let record = |bytes: usize| {
        let body = format!("{{\"text\":\"{}\"}}", "x".repeat(bytes));
        Request::new("POST", "/v1/records/notes", made.key.expose(), &body)
    };
    let (large, small) = (record(BYTES), record(100));
    let fill = Load::steady(server.address, CALLERS, Duration::from_secs(600));
    fill.run(|_, number| (number < RECORDS / CALLERS).then(|| large.clone()))?;
    let (mut waited, mut longest, mut alone) = (vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        alone.push(
            Load::steady(server.address, CALLERS, plan.span).run(|_, _| Some(small.clone()))?.whole(1.0),
        );
        for to in WAY {
            let over = AtomicBool::new(false);
            let (wait, write) = std::thread::scope(|scope| {
                let writing =
                    scope.spawn(|| fill.run(|_, _| (!over.load(Ordering::Relaxed)).then(|| small.clone())));
                let moved =
                    runtime().map_err(Into::into).and_then(|it| it.block_on(moved(&server, &made.id, to)));
                over.store(true, Ordering::Relaxed);
                let written = writing.join().map_err(|_| anyhow::anyhow!("the writers panicked"))??;
                anyhow::Ok((moved?, written.whole(1.0)))
            })?;
            waited.push(wait);
            longest.push(write);
        }
    }
    Ok(vec![
        Figure::new("move.paused", &waited, "ms", Target::AtMost(1000.0), &[]),
        Figure::new("move.longest_write", &longest, "ms", Target::None, &alone),
    ])
}

/// Moves it; for how long writes waited, in milliseconds.
async fn moved(server: &Server, tenant: &str, to: &str) -> anyhow::Result<f64> {
    let path = format!("/v1/tenants/{tenant}");
    server.operator.post(&format!("{path}/move"), &json!({"to": to})).await?;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let shown = server.operator.get(&path).await?;
        if shown["isolation"] == to && shown["last_move"]["phase"] == "done" {
            return shown["last_move"]["writes_waited_ms"].as_f64().context("it is not said how long");
        }
        ensure!(shown["last_move"]["phase"] != "failed", "the move failed: {shown}");
    }
}
