//! Model calls through the gateway with everything on: the key is checked, windows and a budget are held,
//! usage is counted, and intent and outcome are durable in the tenant's log. The baseline is the upstream alone.

use super::{PLAN, Plan, put_plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::{Load, Measured};
use crate::process::Server;
use crate::relay::Relay;
use crate::upstream::Upstream;
use crate::wire::Request;
use client::{CallError, Client};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const MODEL: &str = "gpt-4o-mini";
pub(crate) const CALLERS: usize = 32;
/// For how long both sides are warmed up.
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) fn chat(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(plan)?;
    let (mut rate, mut cpu, mut p50, mut p99) = (vec![], vec![], vec![], vec![]);
    let (mut alone, mut alone_p50, mut alone_p99) = (vec![], vec![], vec![]);
    gateway.through(CALLERS, WARM_UP, false)?;
    for _ in 0..plan.rounds {
        let direct = gateway.direct(CALLERS, plan.span, false)?;
        alone.push(direct.per_second());
        alone_p50.push(direct.whole(0.5));
        alone_p99.push(direct.whole(0.99));
        let before = gateway.server.cpu()?;
        let measured = gateway.through(CALLERS, plan.span, false)?;
        let used = gateway.server.cpu()? - before;
        rate.push(measured.per_second());
        cpu.push(used.as_secs_f64() * 1e3 / measured.count());
        p50.push(measured.whole(0.5));
        p99.push(measured.whole(0.99));
    }
    let resident = gateway.server.resident()?;
    let processor = if plan.database.is_some() { Target::None } else { Target::AtMost(0.2) };
    Ok(vec![
        Figure::new("chat.rate", &rate, "1/s", plan.at_least(5000.0, 2500.0), &alone),
        Figure::new("chat.cpu", &cpu, "ms a call", processor, &[]),
        Figure::new("chat.p50", &p50, "ms", Target::None, &alone_p50),
        Figure::new("chat.p99", &p99, "ms", Target::None, &alone_p99),
        Figure::new("chat.memory", &[resident], "MiB", Target::None, &[]),
    ])
}

pub(crate) fn added(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(plan)?;
    let relay = Relay::start(plan.cores, gateway.upstream.address)?;
    gateway.through(1, WARM_UP, false)?;
    gateway.upstream.delay(Duration::from_millis(20));
    let (mut p50, mut p99, mut relay_p50, mut relay_p99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let direct = gateway.direct(1, plan.span, false)?;
        let measured = gateway.through(1, plan.span, false)?;
        let relayed = gateway.ask(relay.address, 1, plan.span, false)?;
        relay_p50.push(relayed.whole(0.5) - direct.whole(0.5));
        relay_p99.push(relayed.whole(0.99) - direct.whole(0.99));
        p50.push(measured.whole(0.5) - direct.whole(0.5));
        p99.push(measured.whole(0.99) - direct.whole(0.99));
    }
    // The baseline is what a relay adds that does nothing: the upstream alone adds nothing to itself.
    Ok(vec![
        Figure::new("chat_added.p50", &p50, "ms", Target::AtMost(0.3), &relay_p50),
        Figure::new("chat_added.p99", &p99, "ms", Target::AtMost(1.0), &relay_p99),
    ])
}

pub(crate) fn stream(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let gateway = Gateway::start(plan)?;
    gateway.through(CALLERS, WARM_UP, true)?;
    let (mut rate, mut cpu, mut first, mut alone, mut alone_first) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let direct = gateway.direct(CALLERS, plan.span, true)?;
        let before = gateway.server.cpu()?;
        let measured = gateway.through(CALLERS, plan.span, true)?;
        let used = gateway.server.cpu()? - before;
        rate.push(measured.per_second());
        cpu.push(used.as_secs_f64() * 1e3 / measured.count());
        alone.push(direct.per_second());
        // With all callers busy, the wait for a core is most of the time; the first token is timed with one.
        let direct = gateway.direct(1, plan.span / 2, true)?;
        let measured = gateway.through(1, plan.span / 2, true)?;
        alone_first.push(direct.first(0.99));
        first.push(measured.first(0.99) - direct.first(0.99));
    }
    Ok(vec![
        Figure::new("stream.rate", &rate, "1/s", Target::AtLeast(2000.0), &alone),
        Figure::new("stream.cpu", &cpu, "ms an answer", Target::None, &[]),
        Figure::new("stream.first_p99", &first, "ms added", Target::AtMost(1.0), &alone_first),
    ])
}

/// A server before the upstream, and a tenant with limits and a budget.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) upstream: Upstream,
    pub(crate) key: String,
}

impl Gateway {
    pub(crate) fn start(plan: &Plan) -> anyhow::Result<Self> {
        plan.step_aside()?;
        let upstream = Upstream::start()?;
        let server = Server::start(plan, plan.cores, &config(&upstream))?;
        put_plan(&server)?;
        let key = runtime()?.block_on(async {
            endpoint(&server.operator, &upstream).await?;
            tenant(&server.operator).await
        })?;
        Ok(Self { server, upstream, key })
    }

    fn through(&self, callers: usize, span: Duration, streams: bool) -> anyhow::Result<Measured> {
        self.ask(self.server.address, callers, span, streams)
    }

    /// The same question straight to the upstream, which then has the server's core for itself.
    fn direct(&self, callers: usize, span: Duration, streams: bool) -> anyhow::Result<Measured> {
        self.ask(self.upstream.address, callers, span, streams)
    }

    fn ask(
        &self,
        address: SocketAddr,
        callers: usize,
        span: Duration,
        streams: bool,
    ) -> anyhow::Result<Measured> {
        let request = request(&self.key, streams);
        Load::steady(address, callers, span).run(|_, _| Some(request.clone()))
    }
}

/// About 650 bytes, as a short conversation has.
pub(crate) fn question(streams: bool) -> String {
    let streamed = if streams { ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" } else { "" };
    let context = "The customer wrote about an invoice that arrived twice and asks for help. ".repeat(7);
    format!(
        "{{\"model\":\"{MODEL}\",\"max_tokens\":64,\"messages\":[{{\"role\":\"system\",\"content\":\"{context}\"}},\
         {{\"role\":\"user\",\"content\":\"What should we answer?\"}}]{streamed}}}"
    )
}

/// What lets a server reach the upstream.
pub(super) fn config(upstream: &Upstream) -> String {
    format!("[egress]\nallow = [\"{}\"]\n", upstream.address)
}

/// Makes the upstream the endpoint of the model that [`request`] asks for.
pub(super) async fn endpoint(operator: &Client, upstream: &Upstream) -> Result<(), CallError> {
    let endpoint = json!({
        "url": format!("http://{}/v1", upstream.address), "dialect": "openai", "models": [MODEL],
        "api_key": "sk-bench", "max_output_tokens": 64,
        "prices": {MODEL: {"input_per_million": "0.15", "output_per_million": "0.6"}},
    });
    operator.put("/v1/endpoints/bench", &endpoint).await.map(drop)
}

/// A question to the model.
pub(crate) fn request(key: &str, streams: bool) -> Request {
    Request::new("POST", "/v1/chat/completions", key, &question(streams))
}

/// A tenant that has a budget.
async fn tenant(operator: &Client) -> Result<String, CallError> {
    let made = operator.make_tenant("Bench", PLAN).await?;
    let owner = operator.with_key(made.key.clone());
    let budget = json!({"per": "month", "usd": "1000000"});
    owner.put(&format!("/v1/budgets/tenant/{}", made.id), &budget).await?;
    Ok(made.key.expose().to_owned())
}
