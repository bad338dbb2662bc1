//! Whether a call costs the same however many tenants a server has, and however many rows a tenant has.

use super::{PLAN, Plan, chat, put_plan, runtime};
use crate::crowd::Crowd;
use crate::figure::{Figure, Target};
use crate::inside::{Inside, Then};
use crate::load::{Load, quantile};
use crate::process::Server;
use crate::upstream::Upstream;
use crate::wire::Request;
use std::time::Duration;

const FEW: usize = 10;
const SOME: usize = 1_000;
const CALLERS: usize = 32;
/// Calls of each kind that are timed at each size.
const SAMPLE: usize = 2_000;
const LONGEST: Duration = Duration::from_secs(3_600);

pub(crate) fn growth(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let mut figures = of_tenants(plan)?;
    figures.extend(of_rows(plan)?);
    Ok(figures)
}

fn of_tenants(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let (mut few, mut some) = (Crowd::new()?, Crowd::new()?);
    for (crowd, size) in [(&mut few, FEW), (&mut some, SOME)] {
        let server = plan.server_on(crowd.folder(), "")?;
        crowd.grow(&server, size)?;
        server.stop()?;
    }
    let many = plan.crowd(plan.tenants)?;
    let crowds = [&few, &some, &*many];
    let chats = chats(plan, crowds)?;
    let binds = binds(plan, crowds)?;
    let against = |rounds: &[Vec<f64>; 3], index: usize| -> Vec<f64> {
        rounds[index].iter().zip(&rounds[0]).map(|(larger, smaller)| larger / smaller).collect()
    };
    Ok(vec![
        Figure::new(
            "growth.chat",
            &against(&chats, 2),
            "times the CPU",
            Target::AtMost(1.2),
            &against(&chats, 1),
        ),
        Figure::new("growth.bind", &against(&binds, 2), "times", Target::AtMost(1.2), &against(&binds, 1)),
    ])
}

/// Processor time of a model call on a server of each size, in milliseconds.
fn chats(plan: &Plan, crowds: [&Crowd; 3]) -> anyhow::Result<[Vec<f64>; 3]> {
    plan.step_aside()?;
    let upstream = Upstream::start()?;
    let mut servers = Vec::new();
    for crowd in crowds {
        let server = Server::start_on(crowd.folder(), &plan.program, plan.cores, &chat::config(&upstream))?;
        put_plan(&server)?;
        runtime()?.block_on(chat::endpoint(&server.operator, &upstream))?;
        servers.push(server);
    }
    let mut costs = [vec![], vec![], vec![]];
    for round in 0..=plan.rounds {
        for (index, (server, crowd)) in servers.iter().zip(crowds).enumerate() {
            let request = chat::request(&crowd.keys[0], false);
            let before = server.cpu()?;
            let load = Load::steady(server.address, CALLERS, plan.span / 2);
            let measured = load.run(|_, _| Some(request.clone()))?;
            let used = server.cpu()? - before;
            if round > 0 {
                costs[index].push(used.as_secs_f64() * 1e3 / measured.count());
            }
        }
    }
    Ok(costs)
}

/// How long it takes to bind a tenant that is in use, in a store of each size, in microseconds.
fn binds(plan: &Plan, crowds: [&Crowd; 3]) -> anyhow::Result<[Vec<f64>; 3]> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut times = [vec![], vec![], vec![]];
    runtime.block_on(async {
        for round in 0..=plan.rounds {
            for (index, crowd) in crowds.iter().enumerate() {
                let inside = Inside::open(&crowd.data()).await?;
                let mut bound = Vec::new();
                for key in crowd.keys.iter().take(FEW).cycle().take(SAMPLE * 5) {
                    bound.push(inside.bind(key, Then::Holds).await?.as_secs_f64() * 1e6);
                }
                bound.sort_by(f64::total_cmp);
                if round > 0 {
                    times[index].push(quantile(&bound, 0.5));
                }
            }
        }
        anyhow::Ok(times)
    })
}

fn of_rows(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(plan, None, "")?;
    put_plan(&server)?;
    let made = runtime()?.block_on(server.operator.make_tenant("Bench", PLAN))?;
    let rows = Rows { server, key: made.key.expose().to_owned() };
    let sizes = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= plan.records);
    let (mut creates, mut reads, mut trails, mut count) = (vec![], vec![], vec![], 0);
    for size in sizes {
        rows.create(size - count)?;
        creates.push(rows.create(SAMPLE)?);
        count = size + SAMPLE;
        reads.push(rows.cost("GET", "/v1/records/contacts?limit=10", "")?);
        trails.push(rows.cost("GET", "/v1/audit/events?limit=10", "")?);
    }
    let figure = |id: &str, costs: &[f64]| {
        let grown = costs.last().copied().unwrap_or(f64::NAN) / costs.first().copied().unwrap_or(f64::NAN);
        Figure::new(id, &[grown], "times the CPU", Target::AtMost(1.2), &[])
    };
    Ok(vec![
        figure("growth.create", &creates),
        figure("growth.records", &reads),
        figure("growth.audit", &trails),
    ])
}

/// One tenant that gets more and more records, and as many events.
struct Rows {
    server: Server,
    key: String,
}

impl Rows {
    /// Processor time of one, in milliseconds.
    fn create(&self, count: usize) -> anyhow::Result<f64> {
        self.ask(count, "POST", "/v1/records/contacts", "{\"name\":\"Ada\",\"stage\":\"lead\"}")
    }

    fn cost(&self, method: &str, path: &str, body: &str) -> anyhow::Result<f64> {
        self.ask(SAMPLE, method, path, body)
    }

    fn ask(&self, count: usize, method: &str, path: &str, body: &str) -> anyhow::Result<f64> {
        let request = Request::new(method, path, &self.key, body);
        let before = self.server.cpu()?;
        let load = Load::steady(self.server.address, CALLERS, LONGEST);
        let each = count.div_ceil(CALLERS);
        let measured = load.run(|_, number| (number < each).then(|| request.clone()))?;
        Ok((self.server.cpu()? - before).as_secs_f64() * 1e3 / measured.count())
    }
}
