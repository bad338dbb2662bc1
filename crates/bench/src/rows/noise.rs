//! What a tenant feels of a neighbour who asks for ten times what it may, on every surface at once.

use super::{Plan, chat, put_plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::{Load, Measured};
use crate::process::Server;
use crate::upstream::Upstream;
use crate::wire::Request;
use client::Client;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// What the noisy tenant may ask, a second.
const LIMIT: u64 = 100;
/// How many times as much it asks.
const TIMES: u64 = 10;
/// How often the quiet tenant asks on each surface.
const QUIET_PACE: Duration = Duration::from_millis(40);
const QUIET_CALLERS: usize = 2;
const NOISY_CALLERS: usize = 20;
/// What a noisy tenant is told.
const TOLD: &[u16] = &[429, 503];

/// A tenant, as a caller sees it.
struct Side {
    key: String,
    workflow: String,
}

#[derive(Clone, Copy)]
enum Surface {
    Chat,
    Workflow,
    Records,
}

const SURFACES: [(Surface, &str); 3] = [
    (Surface::Chat, "noise.chat"),
    (Surface::Workflow, "noise.workflow"),
    (Surface::Records, "noise.records"),
];

pub(crate) fn noise(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    plan.step_aside()?;
    let upstream = Upstream::start()?;
    upstream.delay(Duration::from_millis(5));
    let server = Server::start(plan, plan.cores, &chat::config(&upstream))?;
    put_plan(&server)?;
    let (noisy, quiet) = runtime()?.block_on(async {
        chat::endpoint(&server.operator, &upstream).await?;
        let limits = json!({
            "ai_calls_per_hour": LIMIT * 3600, "api_calls_per_hour": 1_000_000_000,
            "requests_per_second": LIMIT, "concurrent_runs": 4, "storage_bytes": 1_u64 << 40,
        });
        server.operator.put("/v1/plans/noisy", &limits).await?;
        anyhow::Ok((side(&server.operator, "noisy").await?, side(&server.operator, super::PLAN).await?))
    })?;
    let (address, span) = (server.address, plan.span);
    let mut alone = [vec![], vec![], vec![]];
    let mut beside = [vec![], vec![], vec![]];
    for _ in 0..plan.rounds {
        for (index, (surface, _)) in SURFACES.into_iter().enumerate() {
            alone[index].push(quietly(address, &quiet, surface, span)?.whole(0.99));
            let measured = std::thread::scope(|scope| {
                let noise: Vec<_> = SURFACES
                    .iter()
                    .map(|(surface, _)| scope.spawn(|| loudly(address, &noisy, *surface, span)))
                    .collect();
                // The neighbour is at its limit by the time that is measured.
                std::thread::sleep(Duration::from_millis(500));
                let measured = quietly(address, &quiet, surface, span - Duration::from_secs(1));
                for noise in noise {
                    noise.join().map_err(|_| anyhow::anyhow!("a neighbour panicked"))??;
                }
                measured
            })?;
            beside[index].push(measured.whole(0.99));
        }
    }
    let mut figures = Vec::new();
    for (index, (_, id)) in SURFACES.into_iter().enumerate() {
        let ratios: Vec<_> =
            beside[index].iter().zip(&alone[index]).map(|(with, without)| with / without).collect();
        figures.push(Figure::new(id, &ratios, "times", Target::AtMost(1.25), &[1.0]));
        figures.push(Figure::new(&format!("{id}_p99"), &beside[index], "ms", Target::None, &alone[index]));
    }
    Ok(figures)
}

async fn side(operator: &Client, plan: &str) -> anyhow::Result<Side> {
    let made = operator.make_tenant("Bench", plan).await?;
    let owner = operator.with_key(made.key.clone());
    let definition = json!({"name": "Little", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "note", "type": "transform", "after": ["start"], "output": {"a": 1}},
    ]});
    let workflow = owner.post("/v1/workflows", &json!({"name": "Little", "definition": definition})).await?;
    let workflow = workflow["id"].as_str().unwrap_or_default().to_owned();
    Ok(Side { key: made.key.expose().to_owned(), workflow })
}

impl Side {
    fn request(&self, surface: Surface) -> Request {
        match surface {
            Surface::Chat => chat::request(&self.key, false),
            Surface::Workflow => {
                let path = format!("/v1/workflows/{}/runs", self.workflow);
                Request::new("POST", &path, &self.key, "{\"input\":{}}")
            }
            Surface::Records => Request::new("POST", "/v1/records/contacts", &self.key, "{\"name\":\"Ada\"}"),
        }
    }
}

fn quietly(address: SocketAddr, side: &Side, surface: Surface, span: Duration) -> anyhow::Result<Measured> {
    let load = Load { address, callers: QUIET_CALLERS, span, pace: Some(QUIET_PACE), bears: &[] };
    let request = side.request(surface);
    load.run(|_, _| Some(request.clone()))
}

/// A third of all the noise.
fn loudly(address: SocketAddr, side: &Side, surface: Surface, span: Duration) -> anyhow::Result<Measured> {
    let pace = Duration::from_secs_f64(NOISY_CALLERS as f64 * SURFACES.len() as f64 / (LIMIT * TIMES) as f64);
    let load = Load { address, callers: NOISY_CALLERS, span, pace: Some(pace), bears: TOLD };
    let request = side.request(surface);
    load.run(|_, _| Some(request.clone()))
}
