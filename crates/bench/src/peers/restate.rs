//! Restate with ten durable steps that do nothing, beside a workflow of ours with as many.

use super::{Peer, free_port, is_there};
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::rows::Plan;
use crate::rows::workflow::{AT_ONCE, RUNS, Workflows};
use crate::wire::Request;
use client::Client;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const WORKER: &str = include_str!("../../peers/restate.mjs");
/// Few suit a machine of few cores best.
const PARTITIONS: usize = 4;
/// How long it takes to be ready for a deployment.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Figure>> {
    if !is_there(folder, "restate") {
        return Ok(Vec::new());
    }
    let data = tempfile::Builder::new().prefix("bench-restate-").tempdir_in("target")?;
    let (peer, address) = start(&folder.join("restate"), data.path())?;
    let request = Request::new("POST", "/nothing/run", "", "null");
    let ours = Workflows::start(plan)?;
    let (mut theirs, mut rate, mut ratio, mut cpu, mut our_cpu) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..=plan.rounds {
        let before = peer.cpu()?;
        let load = Load::steady(address, AT_ONCE, plan.span);
        let measured = load.run(|_, _| Some(request.clone()))?;
        let used = (peer.cpu()? - before).as_secs_f64() * 1e3 / measured.count();
        let before = ours.server.cpu()?;
        let ran = ours.run(&ours.durable, RUNS)?;
        let our_used = (ours.server.cpu()? - before).as_secs_f64() * 1e3 / RUNS as f64;
        if round > 0 {
            theirs.push(measured.per_second());
            cpu.push(used);
            rate.push(ran);
            our_cpu.push(our_used);
            ratio.push(ran / measured.per_second());
        }
    }
    Ok(vec![
        Figure::new("peers.restate.rate", &theirs, "1/s", Target::None, &rate),
        Figure::new("peers.restate.cpu", &cpu, "ms a run", Target::None, &our_cpu),
        Figure::new(
            "peers.restate.memory",
            &[peer.resident()?],
            "MiB",
            Target::None,
            &[ours.server.resident()?],
        ),
        Figure::new("peers.workflow_ratio", &ratio, "times Restate", Target::AtLeast(3.0), &[1.0]),
    ])
}

/// A server with an empty folder, and a worker that is known to it.
fn start(folder: &Path, data: &Path) -> anyhow::Result<(Peer, SocketAddr)> {
    let [ingress, admin, node, worker] = [free_port()?, free_port()?, free_port()?, free_port()?];
    let config = data.join("restate.toml");
    let text = format!(
        "node-name = \"bench\"\ncluster-name = \"bench\"\nbase-dir = \"{}\"\nbind-ip = \"127.0.0.1\"\n\
         listen-mode = \"tcp\"\ndisable-telemetry = true\nlog-filter = \"warn\"\n\
         default-num-partitions = {PARTITIONS}\n[ingress]\nbind-address = \"127.0.0.1:{ingress}\"\n\
         [admin]\nbind-address = \"127.0.0.1:{admin}\"\n",
        data.canonicalize()?.display()
    );
    std::fs::write(&config, text)?;
    // Beside the packages that it imports.
    std::fs::write(folder.join("restate.mjs"), WORKER)?;
    let folder = folder.canonicalize()?;
    let mut peer = Peer::new("restate");
    let program = folder.join("node_modules/@restatedev/restate-server-linux-x64/bin/restate-server");
    let mut server = Command::new(program);
    server.arg("-c").arg(config.canonicalize()?).args(["--bind-port", &node.to_string(), "--no-logo"]);
    server.env("DO_NOT_TRACK", "1");
    peer.start(None, &mut server, &folder.join("server.log"))?;
    let mut steps = Command::new("node");
    steps.arg("restate.mjs").arg(worker.to_string()).current_dir(&folder);
    peer.start(None, &mut steps, &folder.join("worker.log"))?;
    deploy(admin, worker)?;
    let address = SocketAddr::from(([127, 0, 0, 1], ingress));
    peer.answers(address, &Request::new("POST", "/nothing/run", "", "null"))?;
    Ok((peer, address))
}

/// Tells the server where the worker is, as soon as it listens.
fn deploy(admin: u16, worker: u16) -> anyhow::Result<()> {
    let client = Client::new(format!("http://127.0.0.1:{admin}").parse()?);
    let deployment = json!({"uri": format!("http://127.0.0.1:{worker}")});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    loop {
        match runtime.block_on(client.post("/deployments", &deployment)) {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}
