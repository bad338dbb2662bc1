//! Two servers of one database, which count in one Redis: how soon a key that one of them revokes is refused by the other
//! while both are at work, and what callers notice of a restart of both, one after the other.

use super::workflow::workflow_of;
use super::{PLAN, Plan, put_plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::{Load, quantile};
use crate::process::Server;
use crate::wire::{Answer, Connection, Request};
use client::Client;
use nats_instance::NatsServer;
use redis_instance::RedisServer;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Who keeps each of the servers busy.
const CALLERS: usize = 8;
/// Keys that are revoked in a round.
const REVOKED: usize = 40;
/// How long the callers of a restart go on before, between and after.
const CALM: Duration = Duration::from_secs(1);
/// How often a caller tries again, and after how long, as clients of such services do.
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(500);

/// Two servers with a tenant.
struct Pair {
    servers: [Server; 2],
    owner: Client,
    key: String,
    _redis: RedisServer,
}

impl Pair {
    fn start(plan: &Plan, nats: Option<&NatsServer>) -> anyhow::Result<Self> {
        let redis = runtime()?.block_on(RedisServer::start());
        let mut config = format!("[limits]\nredis_url = \"{}\"\nservers = 2\n", redis.url());
        if let Some(nats) = nats {
            config.push_str(&format!("[messages]\nnats_url = \"{}\"\n", nats.url()));
        }
        let one = Server::start(plan, None, &config)?;
        let two = one.another()?;
        put_plan(&one)?;
        let made = runtime()?.block_on(one.operator.make_tenant("Bench", PLAN))?;
        let owner = one.operator.with_key(made.key.clone());
        Ok(Self { servers: [one, two], owner, key: made.key.expose().to_owned(), _redis: redis })
    }
}

pub(crate) fn revoke(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    if plan.database.is_none() {
        return Ok(Vec::new());
    }
    let nats = NatsServer::start();
    let (told, polled) = (Pair::start(plan, Some(&nats))?, Pair::start(plan, None)?);
    let (mut with, mut without) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..plan.rounds {
        for (pair, [p50, p99]) in [(&told, &mut with), (&polled, &mut without)] {
            let mut waits = pair.revoke_under_load()?;
            waits.sort_by(f64::total_cmp);
            p50.push(quantile(&waits, 0.5));
            p99.push(quantile(&waits, 0.99));
        }
    }
    let ([with_p50, with], [without_p50, without]) = (with, without);
    Ok(vec![
        Figure::new("revoke.told_p50", &with_p50, "ms", Target::None, &[]),
        Figure::new("revoke.told_p99", &with, "ms", Target::AtMost(250.0), &[]),
        Figure::new("revoke.polled_p50", &without_p50, "ms", Target::None, &[]),
        Figure::new("revoke.polled_p99", &without, "ms", Target::AtMost(1000.0), &[]),
    ])
}

impl Pair {
    /// For each key that one server revokes, how long the other lets it in, in milliseconds, while both write records.
    fn revoke_under_load(&self) -> anyhow::Result<Vec<f64>> {
        let over = AtomicBool::new(false);
        let request = Request::new("POST", "/v1/records/notes", &self.key, "{\"text\":\"something\"}");
        std::thread::scope(|scope| {
            let loads = self.servers.each_ref().map(|server| {
                let load = Load::steady(server.address, CALLERS, Duration::from_secs(600));
                let (over, request) = (&over, request.clone());
                scope.spawn(move || load.run(|_, _| (!over.load(Ordering::Relaxed)).then(|| request.clone())))
            });
            let waits = runtime()?.block_on(async {
                let mut waits = Vec::new();
                for _ in 0..REVOKED {
                    waits.push(self.revoke_one().await?);
                }
                anyhow::Ok(waits)
            });
            over.store(true, Ordering::Relaxed);
            for load in loads {
                load.join().map_err(|_| anyhow::anyhow!("a load panicked"))??;
            }
            waits
        })
    }

    async fn revoke_one(&self) -> anyhow::Result<f64> {
        let made = self.owner.post("/v1/api-keys", &json!({"name": "short", "role": "viewer"})).await?;
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let request = Request::new("GET", "/v1/me", &text("key"), "");
        let mut other = Connection::open(self.servers[1].address).await?;
        while other.ask(&request).await?.status != 200 {
            sleep(Duration::from_millis(1)).await;
        }
        self.owner.delete(&format!("/v1/api-keys/{}", text("id"))).await?;
        let begun = Instant::now();
        while other.ask(&request).await?.status == 200 {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }
}

pub(crate) fn restart(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    if plan.database.is_none() {
        return Ok(Vec::new());
    }
    let nats = NatsServer::start();
    let (mut failed, mut lost, mut again, mut longest, mut asked) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let seen = Pair::start(plan, Some(&nats))?.restart_under_load()?;
        failed.push(seen.failed as f64);
        lost.push(seen.lost as f64);
        again.push(seen.again as f64);
        longest.push(seen.longest.as_secs_f64() * 1e3);
        asked.push(seen.asked as f64);
    }
    Ok(vec![
        Figure::new("restart.failed", &failed, "requests", Target::AtMost(0.0), &asked),
        Figure::new("restart.lost", &lost, "runs", Target::AtMost(0.0), &asked),
        Figure::new("restart.again", &again, "requests", Target::None, &asked),
        Figure::new("restart.longest", &longest, "ms", Target::None, &[]),
    ])
}

/// What callers noticed.
struct Noticed {
    asked: usize,
    /// Requests that failed however often they were tried.
    failed: usize,
    /// And those that were tried more than once.
    again: usize,
    longest: Duration,
    /// Runs that were accepted and did not succeed.
    lost: usize,
}

/// What callers share.
#[derive(Default)]
struct Counts {
    over: AtomicBool,
    failed: AtomicUsize,
    again: AtomicUsize,
    longest: Mutex<Duration>,
    runs: Mutex<Vec<String>>,
}

impl Counts {
    fn took(&self, time: Duration) {
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = (*longest).max(time);
    }
}

impl Pair {
    fn restart_under_load(self) -> anyhow::Result<Noticed> {
        let Self { servers: [one, two], owner, key, _redis } = self;
        let step = json!({"type": "record", "operation": "get", "collection": "notes",
            "record_id": "rec_00000000000000000000000000"});
        let workflow = runtime()?.block_on(workflow_of(&owner, step))?;
        let addresses = Mutex::new([one.address, two.address]);
        let counts = Counts::default();
        let (three, four) = std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let callers =
                    (0..2 * CALLERS).map(|caller| call(caller, &key, &workflow, &addresses, &counts));
                runtime()?.block_on(futures::future::try_join_all(callers)).map(drop)
            });
            let restarted = (|| {
                std::thread::sleep(CALM);
                let three = replaced(one, 0, &addresses)?;
                std::thread::sleep(CALM);
                let four = replaced(two, 1, &addresses)?;
                std::thread::sleep(CALM);
                anyhow::Ok((three, four))
            })();
            counts.over.store(true, Ordering::Relaxed);
            calling.join().map_err(|_| anyhow::anyhow!("the callers panicked"))??;
            restarted
        })?;
        let runs = counts.runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        let owner = three.operator.with_key(secret::SecretText::new(key));
        let lost = runtime()?.block_on(lost(&owner, &runs))?;
        drop(four);
        let failed = counts.failed.into_inner();
        let longest = counts.longest.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Noticed { asked: runs.len() + failed, failed, again: counts.again.into_inner(), longest, lost })
    }
}

/// Stops a server and starts another in its place, as a rolling update does.
fn replaced(server: Server, place: usize, addresses: &Mutex<[SocketAddr; 2]>) -> anyhow::Result<Server> {
    let next = server.another()?;
    // The balancer sends new connections to the new one before the old one stops.
    addresses.lock().unwrap_or_else(PoisonError::into_inner)[place] = next.address;
    server.stop()?;
    Ok(next)
}

/// Starts runs until it is over, and tries again elsewhere what fails.
async fn call(
    caller: usize,
    key: &str,
    workflow: &str,
    addresses: &Mutex<[SocketAddr; 2]>,
    counts: &Counts,
) -> anyhow::Result<()> {
    let path = format!("/v1/workflows/{workflow}/runs");
    let mut connection: Option<Connection> = None;
    for number in 0.. {
        if counts.over.load(Ordering::Relaxed) {
            break;
        }
        let header = format!("idempotency-key: {caller}-{number}\r\n");
        let request = Request::with_headers("POST", &path, key, &header, "{\"input\":{}}");
        let begun = Instant::now();
        for tried in 0..=TRIES {
            if tried > 0 {
                counts.again.fetch_add(usize::from(tried == 1), Ordering::Relaxed);
                sleep(PAUSE).await;
            }
            let place = (caller + tried as usize) % 2;
            let address = addresses.lock().unwrap_or_else(PoisonError::into_inner)[place];
            if let Ok((answered, answer)) = ask(connection.take(), address, &request).await
                && (200..300).contains(&answer.status)
            {
                let run: serde_json::Value = serde_json::from_slice(answered.body())?;
                let id = run["id"].as_str().unwrap_or_default().to_owned();
                counts.runs.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                connection = Some(answered);
                break;
            }
            counts.failed.fetch_add(usize::from(tried == TRIES), Ordering::Relaxed);
        }
        counts.took(begun.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn ask(
    connection: Option<Connection>,
    address: SocketAddr,
    request: &Request,
) -> anyhow::Result<(Connection, Answer)> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let answer = connection.ask(request).await?;
    Ok((connection, answer))
}

/// How many of these runs do not succeed.
async fn lost(owner: &Client, runs: &[String]) -> anyhow::Result<usize> {
    let mut lost = 0;
    let deadline = Instant::now() + Duration::from_secs(120);
    for run in runs {
        let status = loop {
            let seen = owner.get(&format!("/v1/runs/{run}")).await?;
            let status = seen["status"].as_str().unwrap_or_default().to_owned();
            if !matches!(status.as_str(), "queued" | "running" | "waiting") || Instant::now() > deadline {
                break status;
            }
            sleep(Duration::from_millis(20)).await;
        };
        lost += usize::from(status != "succeeded");
    }
    Ok(lost)
}
