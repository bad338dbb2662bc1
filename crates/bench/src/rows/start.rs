//! What a server weighs before anybody calls, and how soon it listens where many tenants wait for it.

use super::Plan;
use crate::figure::{Figure, Target};
use crate::process::Server;
use anyhow::Context as _;
use std::time::Duration;

/// After which time a server that nobody calls is at rest.
const AT_REST: Duration = Duration::from_secs(3);

pub(crate) fn start(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let crowd = plan.crowd(plan.tenants)?;
    let (mut listens, mut empty, mut idle, mut idle_empty) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let server = Server::start(plan, None, "")?;
        empty.push(server.started_in.as_secs_f64() * 1e3);
        std::thread::sleep(AT_REST);
        idle_empty.push(server.resident()?);
        server.stop()?;
        let server = Server::start_on(crowd.folder(), &plan.program, None, "")?;
        listens.push(server.started_in.as_secs_f64() * 1e3);
        std::thread::sleep(AT_REST);
        idle.push(server.resident()?);
        server.stop()?;
    }
    let binary = std::fs::metadata(&plan.program).context("the program")?.len() as f64 / 1e6;
    Ok(vec![
        Figure::new("start.listens", &listens, "ms", Target::AtMost(200.0), &empty),
        Figure::new("start.idle", &idle, "MiB", Target::AtMost(40.0), &idle_empty),
        Figure::new("start.binary", &[binary], "MB", Target::AtMost(40.0), &[]),
    ])
}
