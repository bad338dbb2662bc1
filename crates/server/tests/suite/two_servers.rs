//! Two servers on one database, which count in one Redis: what one begins the other ends, and nothing is done twice.

mod restoring;
mod without_redis;

use crate::database::{Place, assert_nothing_leaks};
use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use crate::work::service::Service;
use crate::work::{eventually, over, start, step, until, workflow};
use client::Client;
use futures::future::join_all;
use http::Method;
use nats_instance::NatsServer;
use redis_instance::RedisServer;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// A database, a Redis, an outside service, and two servers.
pub(crate) struct Pair {
    pub(crate) place: Place,
    redis: RedisServer,
    pub(crate) service: Service,
    pub(crate) one: Server,
    pub(crate) two: Server,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Two that tell each other over NATS.
    async fn start_over(nats: &NatsServer) -> Self {
        Self::start_with(&format!("[messages]\nnats_url = \"{}\"\n", nats.url())).await
    }

    pub(crate) async fn start_with(more: &str) -> Self {
        let (place, redis, service) = (Place::make(), RedisServer::start().await, Service::start().await);
        let serve = std::fs::read_to_string(place.file("serve.toml")).unwrap();
        let config = format!(
            "{serve}[limits]\nredis_url = \"{}\"\nservers = 2\n[egress]\nallow = [\"{}\"]\n{more}",
            redis.url(),
            service.host
        );
        let key = place.file("master.key");
        let logs = ["one.log", "two.log"].map(|name| place.file(name));
        let arguments = |log: usize| {
            let log = logs[log].to_str().unwrap().to_owned();
            ["--master-key-file".to_owned(), key.to_str().unwrap().to_owned(), "--log".to_owned(), log]
        };
        let with = |server: usize| arguments(server);
        let one = with(0);
        let one = Server::start_with(&config, &one.each_ref().map(String::as_str));
        let two = with(1);
        let two = one.start_beside(&config, &two.each_ref().map(String::as_str));
        Self { place, redis, service, one, two }
    }

    /// The tenant's owner at the other server.
    pub(crate) fn at_two(&self, tenant: &Tenant) -> Client {
        tenant.owner_at(&self.two)
    }

    /// Steps one after the other, each a call to one of these addresses that may be repeated.
    pub(crate) fn calls(&self, paths: &[&str]) -> Value {
        let mut nodes = vec![json!({"id": "start", "type": "source", "kind": "manual"})];
        for (number, path) in paths.iter().enumerate() {
            let before = if number == 0 { "start".to_owned() } else { format!("call{}", number - 1) };
            nodes.push(
                json!({"id": format!("call{number}"), "type": "http", "method": "POST", "after": [before],
                "url": self.service.url(path), "body": {"number": number}, "on_unknown": "retry"}),
            );
        }
        json!({"name": "Calls", "nodes": nodes})
    }

    /// Starts what starts a worker of its own for each tenant that has a database of its own.
    pub(crate) fn launch(&self, more: &str) -> Stopped {
        self.place.launch(
            &[&self.one, &self.two],
            &format!("[egress]\nallow = [\"{}\"]\n{more}", self.service.host),
        )
    }

    /// What both servers wrote into their logs, for whoever reads a failed test.
    pub(crate) fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.place.file(name)).unwrap_or_default();
        format!("one:\n{}\ntwo:\n{}", read("one.log"), read("two.log"))
    }
}

fn signal(server: &Server, name: &str) {
    signal_process(server.process_id(), name);
}

pub(crate) fn signal_process(id: u32, name: &str) {
    let sent = Command::new("kill").args([name, &id.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A process that ends with the test.
pub(crate) struct Stopped(pub(crate) Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_servers_runs_go_on_elsewhere() {
    const RUNS: usize = 12;
    let mut pair = Pair::start().await;
    let tenant = pair.one.tenant("Acme").await;
    let steps = ["/slow/200/a", "/slow/200/b", "/slow/200/c", "/slow/200/d"];
    let workflow = workflow(&tenant, &pair.calls(&steps)).await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(start(&tenant.owner, &workflow, Value::Null).await);
    }
    eventually(|| pair.service.seen("/slow/200/b").len() > RUNS / 2).await;
    pair.one.kill();
    let owner = pair.at_two(&tenant);
    for run in &runs {
        let seen = over(&owner, run).await;
        assert_eq!(seen["status"], "succeeded", "{seen}\n{}", pair.logs());
    }
    let mut repeated = 0;
    for path in steps {
        let keys = pair.service.by_key(path);
        assert_eq!(keys.len(), RUNS, "every run did it, under a key of its own");
        assert!(keys.values().all(|times| *times <= 2), "{path}: {keys:?}");
        repeated += keys.values().filter(|times| **times == 2).count();
    }
    assert!(repeated <= RUNS, "only what was under way when the server died was done again: {repeated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_loses_its_run_and_its_late_answer_is_refused() {
    let pair = Pair::start().await;
    let tenant = pair.one.tenant("Acme").await;
    let workflow = workflow(&tenant, &pair.calls(&["/slow/1500/a", "/ok/b"])).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !pair.service.seen("/slow").is_empty()).await;
    signal(&pair.one, "-STOP");
    let owner = pair.at_two(&tenant);
    let seen = over(&owner, &run).await;
    assert_eq!(seen["status"], "succeeded", "{seen}\n{}", pair.logs());
    signal(&pair.one, "-CONT");
    // It comes back with the answer to what it had begun, and with nothing to do.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = until(&tenant.owner, &run, |_| true).await;
    assert_eq!(after, seen, "{}", pair.logs());
    assert_eq!((pair.service.seen("/slow").len(), pair.service.seen("/ok").len()), (2, 1));
    assert_eq!(pair.service.by_key("/slow").len(), 1, "both times under one key");
    let quick = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &quick).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_run_at_both() {
    let pair = Pair::start().await;
    let tenant = pair.one.tenant_on("one_run", &json!({"concurrent_runs": 1}), "Acme").await;
    let other = pair.at_two(&tenant);
    let slow = workflow(&tenant, &pair.calls(&["/slow/60000", "/never"])).await;
    let short = workflow(&tenant, &pair.calls(&["/slow/400"])).await;
    let running = start(&tenant.owner, &slow, Value::Null).await;
    eventually(|| !pair.service.seen("/slow/60000").is_empty()).await;
    // As many as may be are carried out by both together.
    let waiting = start(&other, &short, Value::Null).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(until(&other, &waiting, |_| true).await["status"], "queued", "{}", pair.logs());
    // It is cancelled where it is not carried out.
    let refused = send(&other, Method::POST, &format!("/v1/runs/{running}/retry")).await;
    assert_refused(&refused, 409, "conflict");
    let cancelled = other.post(&format!("/v1/runs/{running}/cancel"), &json!({})).await.unwrap();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(step(&over(&tenant.owner, &running).await, "call0")["status"], "cancelled");
    // Then it is the next one's turn, which is followed where it is not carried out either.
    let follow = tenant.owner.call(Method::GET, &format!("/v1/runs/{waiting}/events")).send().await.unwrap();
    assert!(follow.text().contains("event: finished"), "{}", follow.text());
    assert_eq!(over(&tenant.owner, &waiting).await["status"], "succeeded");
    assert!(pair.service.seen("/never").is_empty());
    // Many at once, begun at both.
    let mut runs = Vec::new();
    for at in 0..6 {
        let who = if at % 2 == 0 { &tenant.owner } else { &other };
        runs.push(start(who, &short, Value::Null).await);
    }
    for run in &runs {
        assert_eq!(over(&other, run).await["status"], "succeeded", "{}", pair.logs());
    }
    assert_eq!(pair.service.peak("/slow/400"), 1);
    assert_eq!(pair.service.seen("/slow/400").len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_at_one_holds_at_both() {
    let nats = NatsServer::start();
    let pair = Pair::start_over(&nats).await;
    let tenant = pair.one.tenant("Acme").await;
    let slow = workflow(&tenant, &pair.calls(&["/slow/1200/a", "/ok/b"])).await;
    let run = start(&tenant.owner, &slow, Value::Null).await;
    eventually(|| !pair.service.seen("/slow").is_empty()).await;
    let path = format!("/v1/tenants/{}", tenant.id);
    pair.two.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    // The step under way ended, and none began after it, at neither server.
    assert!(pair.service.seen("/ok").is_empty(), "{}", pair.logs());
    let refused = send(&tenant.owner, Method::GET, "/v1/me").await;
    assert_refused(&refused, 403, "tenant_suspended");
    pair.two.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    let resumed = Instant::now();
    while send(&tenant.owner, Method::GET, "/v1/me").await.status != 200 {
        assert!(resumed.elapsed() < Duration::from_secs(1), "a resumed tenant is refused after a second");
    }
    let owner = pair.at_two(&tenant);
    assert_eq!(over(&owner, &run).await["status"], "succeeded", "{}", pair.logs());
    assert_eq!((pair.service.seen("/slow").len(), pair.service.seen("/ok").len()), (1, 1));
    // A key that one revokes the other knows no more, within a second.
    let key =
        tenant.owner.post("/v1/api-keys", &json!({"name": "short", "role": "developer"})).await.unwrap();
    let short = pair.two.operator.with_key(secret::SecretText::new(key["key"].as_str().unwrap().to_owned()));
    assert!(short.get("/v1/me").await.is_ok());
    tenant.owner.delete(&format!("/v1/api-keys/{}", key["id"].as_str().unwrap())).await.unwrap();
    let revoked = Instant::now();
    while send(&short, Method::GET, "/v1/me").await.status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a revoked key is let in after a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What one erases the other stops working for.
    let doomed = workflow(&tenant, &pair.calls(&["/slow/1500/c", "/ok/never"])).await;
    start(&tenant.owner, &doomed, Value::Null).await;
    eventually(|| !pair.service.seen("/slow/1500").is_empty()).await;
    let answer = send(&pair.two.operator, Method::DELETE, &path).await;
    assert!(answer.status.is_success(), "{}\n{}", answer.text(), pair.logs());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(pair.service.seen("/ok/never").is_empty());
    assert_eq!(pair.redis.keys().await.iter().filter(|key| key.contains(&tenant.id)).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_leaves_its_runs_to_the_other() {
    let mut pair = Pair::start().await;
    let tenant = pair.one.tenant_on("four_runs", &json!({"concurrent_runs": 4}), "Acme").await;
    let steps = ["/slow/300/a", "/slow/300/b", "/slow/300/c", "/slow/300/d"];
    let workflow = workflow(&tenant, &pair.calls(&steps)).await;
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(start(&tenant.owner, &workflow, Value::Null).await);
    }
    eventually(|| pair.service.seen("/slow/300/b").len() >= 2).await;
    pair.one.stop().await;
    let stopped = Instant::now();
    let owner = pair.at_two(&tenant);
    for run in &runs {
        let seen = until(&owner, run, |run| run["status"] == "succeeded").await;
        assert_eq!(seen["status"], "succeeded", "{seen}\n{}", pair.logs());
    }
    assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
    for path in steps {
        let keys = pair.service.by_key(path);
        assert!(keys.len() == 8 && keys.values().all(|times| *times == 1), "{path}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_count_together() {
    let pair = Pair::start().await;
    let tenant = pair.one.tenant_on("counted", &json!({"ai_calls_per_hour": 20}), "Acme").await;
    let both = [tenant.owner.clone(), pair.at_two(&tenant)];
    let ask = json!({"model": "offline", "messages": [{"role": "user", "content": "Hello."}]});
    let answers =
        join_all((0..40).map(|at| send_json(&both[at % 2], Method::POST, "/v1/chat/completions", &ask)))
            .await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 20, "{}", pair.logs());
    let limited = |answer: &client::Answer| answer.status == 429 && answer.json()["code"] == "rate_limited";
    assert!(answers.iter().filter(|answer| answer.status != 200).all(limited));
    // Without Redis nothing is admitted, and nothing is counted anew when it is back.
    pair.redis.stop();
    let calm = pair.one.tenant_on("calm", &json!({"ai_calls_per_hour": 1000}), "Beta").await;
    let refused = send_json(&calm.owner, Method::POST, "/v1/chat/completions", &ask).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (503, &json!("unavailable")));
    pair.redis.restart().await;
    let back = Instant::now();
    while send_json(&calm.owner, Method::POST, "/v1/chat/completions", &ask).await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(10), "Redis is back and nothing is admitted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for owner in &both {
        // Its count is restored from what is at rest, and until then it is refused as well.
        while send_json(owner, Method::POST, "/v1/chat/completions", &ask).await.status == 503 {
            assert!(back.elapsed() < Duration::from_secs(20), "the count is not restored");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(limited(&send_json(owner, Method::POST, "/v1/chat/completions", &ask).await));
    }
}

#[tokio::test]
async fn a_redis_that_drops_keys_is_refused() {
    let (place, redis) = (Place::make(), RedisServer::start().await);
    redis.command(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let serve = std::fs::read_to_string(place.file("serve.toml")).unwrap();
    let refused = |name: &str, limits: &str| {
        std::fs::write(place.file(name), format!("{serve}[limits]\n{limits}\n")).unwrap();
        place.refused(name, "master.key")
    };
    let dropping = refused("dropping.toml", &format!("redis_url = \"{}\"", redis.url()));
    assert!(
        dropping.contains("`maxmemory-policy allkeys-lru`") && dropping.contains("noeviction"),
        "{dropping}"
    );
    let plain = refused("plain.toml", "redis_url = \"redis://10.1.2.3:6379\"");
    assert!(plain.contains("plaintext link"), "{plain}");
    let half = "redis_url = \"rediss://redis.example\"\n[limits.tls]\nkey_file = \"key.pem\"";
    assert!(refused("half.toml", half).contains("`certificate_file`"));
}

// It has neither an address nor an operator's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_without_any_server() {
    let mut pair = Pair::start().await;
    let (data, config) = (pair.place.file("worker"), pair.one.folder().join("tenantry.toml"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.arg("worker").arg("--data").arg(&data).arg("--config").arg(config);
    command.arg("--master-key-file").arg(pair.place.file("master.key"));
    let worker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut worker = Stopped(worker);
    let tenant = pair.one.tenant("Acme").await;
    let workflow = workflow(&tenant, &pair.calls(&["/slow/300/a", "/slow/300/b", "/ok/c"])).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !pair.service.seen("/slow/300/a").is_empty()).await;
    pair.one.kill();
    pair.two.kill();
    eventually(|| !pair.service.seen("/ok/c").is_empty()).await;
    assert!(!data.join("operator.key").exists());
    signal_process(worker.0.id(), "-TERM");
    assert!(worker.0.wait().unwrap().success());
    pair.one.start_again();
    assert_eq!(over(&tenant.owner_at(&pair.one), &run).await["status"], "succeeded");
    assert_eq!(pair.service.by_key("/ok/c").into_values().collect::<Vec<_>>(), [1]);
}

// What one server is told, the other is attacked for, in each kind of home.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_between_two_servers() {
    let nats = NatsServer::start();
    let pair = Pair::start_over(&nats).await;
    let _provisioner = pair.place.provision();
    let _launcher = pair.launch("");
    let key = pair.one.folder().join("operator.key");
    let [one, two] = [&pair.one, &pair.two].map(|server| format!("http://{}", server.address()));
    let servers = ["--url", &one, "--other-url", &two, "--operator-key-file", key.to_str().unwrap()];
    for isolation in ["pooled", "schema", "dedicated"] {
        assert_nothing_leaks(&servers, &["--isolation", isolation]).await;
    }
}

/// What is heard of a subject at the second server while something is done at the first.
async fn heard_at_two(pair: &Pair, tenant: &Tenant, subject: &str, act: impl Future<Output = ()>) -> String {
    let path = format!("/v1/subjects/{subject}");
    let owner = pair.at_two(tenant);
    let listening = owner.call(Method::GET, &path).listen(Duration::from_secs(4));
    let acting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        act.await;
    };
    let (answer, ()) = tokio::join!(listening, acting);
    answer.unwrap().text().into_owned()
}

async fn assert_told_at_two(pair: &Pair) {
    let (tenant, other) = (pair.one.tenant("Acme").await, pair.one.tenant("Other").await);
    let act = async {
        tenant.record().await;
        other.record().await;
    };
    let audit = heard_at_two(pair, &tenant, "audit.%3E", act).await;
    assert!(audit.contains(&format!("tenant.{}.audit.record.create", tenant.id)), "{audit}");
    assert!(!audit.contains(&other.id), "{audit}");
    let path = format!("/v1/tenants/{}", tenant.id);
    let act = async {
        let change = json!({"limits": {"ai_calls_per_hour": 7}});
        assert_eq!(send_json(&pair.one.operator, Method::PATCH, &path, &change).await.status, 200);
    };
    let config = heard_at_two(pair, &tenant, "config.%3E", act).await;
    assert!(config.contains(r#""action":"tenant.update""#), "{config}");
    assert!(config.contains(r#""changed":"plan""#), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_tells_is_heard_at_each() {
    assert_told_at_two(&Pair::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_tells_is_heard_at_each_over_nats() {
    let nats = NatsServer::start();
    assert_told_at_two(&Pair::start_over(&nats).await).await;
}
