//! LiteLLM and Portkey between the same callers and the same upstream.

use super::{Peer, free_port, is_there};
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::rows::Plan;
use crate::rows::chat::{CALLERS, Gateway, WARM_UP, question, request};
use crate::wire::Request;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A gateway that can be asked.
struct Candidate {
    peer: Peer,
    address: SocketAddr,
    request: Request,
}

pub(super) fn measure(plan: &Plan, folder: &Path, alone: bool) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(plan)?;
    let upstream = gateway.upstream.address;
    let mut candidates = Vec::new();
    if is_there(folder, "litellm") {
        candidates.push(litellm(plan, &folder.join("litellm"), upstream)?);
    }
    if !alone {
        println!("Portkey would listen on every address of this machine and is not measured");
    } else if is_there(folder, "portkey") {
        candidates.push(portkey(plan, &folder.join("portkey"), upstream)?);
    }
    let ours = request(&gateway.key, false);
    let mut rates: Vec<Vec<f64>> = vec![vec![]; candidates.len() + 1];
    let (mut costs, mut slowest) = (rates.clone(), rates.clone());
    for round in 0..=plan.rounds {
        for index in 0..=candidates.len() {
            let span = if round == 0 { WARM_UP } else { plan.span };
            let (address, request, cpu): (_, _, &dyn Fn() -> anyhow::Result<Duration>) =
                match candidates.get(index) {
                    Some(candidate) => (candidate.address, &candidate.request, &|| candidate.peer.cpu()),
                    None => (gateway.server.address, &ours, &|| gateway.server.cpu()),
                };
            let before = cpu()?;
            let measured = Load::steady(address, CALLERS, span).run(|_, _| Some(request.clone()))?;
            let used = cpu()? - before;
            if round > 0 {
                rates[index].push(measured.per_second());
                costs[index].push(used.as_secs_f64() * 1e3 / measured.count());
                slowest[index].push(measured.whole(0.99));
            }
        }
    }
    let last = candidates.len();
    let mut figures = Vec::new();
    let mut figure = |name: &str, index: usize, resident: f64| {
        let id = |what: &str| format!("peers.{name}.{what}");
        figures.push(Figure::new(&id("rate"), &rates[index], "1/s", Target::None, &rates[last]));
        figures.push(Figure::new(&id("cpu"), &costs[index], "ms a call", Target::None, &costs[last]));
        figures.push(Figure::new(&id("p99"), &slowest[index], "ms", Target::None, &slowest[last]));
        figures.push(Figure::new(&id("memory"), &[resident], "MiB", Target::None, &[]));
    };
    figure("tenantry", last, gateway.server.resident()?);
    for (index, candidate) in candidates.iter().enumerate() {
        figure(candidate.peer.name, index, candidate.peer.resident()?);
    }
    Ok(figures)
}

fn litellm(plan: &Plan, folder: &Path, upstream: SocketAddr) -> anyhow::Result<Candidate> {
    let config = folder.join("config.yaml");
    let text = format!(
        "model_list:\n- model_name: gpt-4o-mini\n  litellm_params:\n    model: openai/gpt-4o-mini\n    \
         api_base: http://{upstream}/v1\n    api_key: sk-bench\ngeneral_settings:\n  master_key: sk-bench\n\
         litellm_settings:\n  num_retries: 0\n  telemetry: false\n"
    );
    std::fs::write(&config, text)?;
    let port = free_port()?;
    let mut command = Command::new(folder.join("venv/bin/litellm").canonicalize()?);
    command.arg("--config").arg(config.canonicalize()?).args(["--host", "127.0.0.1", "--num_workers", "1"]);
    command.args(["--port", &port.to_string()]);
    command.envs([
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ("LITELLM_LOG", "ERROR"),
        ("LITELLM_MODE", "PRODUCTION"),
    ]);
    let mut peer = Peer::new("litellm");
    peer.start(plan.cores, &mut command, &folder.join("server.log"))?;
    let (address, request) = (SocketAddr::from(([127, 0, 0, 1], port)), request("sk-bench", false));
    peer.answers(address, &request)?;
    Ok(Candidate { peer, address, request })
}

/// Portkey's gateway listens on every address of the machine, so it is run where there is no other than loopback.
fn portkey(plan: &Plan, folder: &Path, upstream: SocketAddr) -> anyhow::Result<Candidate> {
    let port = free_port()?;
    let mut command = Command::new("node");
    let script = folder.join("node_modules/@portkey-ai/gateway/build/start-server.js").canonicalize()?;
    command.arg(script).arg("--headless").arg(format!("--port={port}")).env("NODE_ENV", "production");
    command.env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1,localhost");
    let mut peer = Peer::new("portkey");
    peer.start(plan.cores, &mut command, &folder.join("server.log"))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let headers = format!("x-portkey-provider: openai\r\nx-portkey-custom-host: http://{upstream}/v1\r\n");
    let request =
        Request::with_headers("POST", "/v1/chat/completions", "sk-bench", &headers, &question(false));
    peer.answers(address, &request)?;
    Ok(Candidate { peer, address, request })
}
