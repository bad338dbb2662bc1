//! `kill -9` at random instants under mixed load, again and again on one folder. What callers were told holds
//! after each, what outside services saw is accounted for, and no audit log departs from its checkpoints.
//!
//! `make chaos` kills a hundred times. The seed is printed; `TENANTRY_CHAOS_SEED` takes it again, and
//! `TENANTRY_CHAOS_KILLS` says how often to kill. The seed fixes what is asked and when the server is killed,
//! and not how its threads take turns.

mod book;
pub(crate) mod checks;
mod load;
pub(crate) mod trail;

use crate::harness::{Server, Tenant};
use crate::provider::Provider;
use crate::work::service::Service;
use book::Book;
use client::Client;
use env::{Env, Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use trail::Held;

/// How often a run of all tests kills.
const KILLS: u64 = 10;
const TENANTS: usize = 3;
/// How long the load goes on before the kill, at the most, in milliseconds.
const LOAD_MILLIS: u64 = 900;
/// How long a start is let go on before it is killed, at the most, in milliseconds.
const START_MILLIS: u64 = 150;

/// One tenant under load, and what its callers were told.
pub(crate) struct Customer {
    tenant: Tenant,
    model: String,
    workflow: String,
    book: Mutex<Book>,
    held: Mutex<Held>,
}

impl Customer {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

/// Numbers from a seed.
#[derive(Clone)]
pub(crate) struct Dice(Env);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Env::fixed(Timestamp::from_millis(0), seed).0)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.0.random()) % bound
    }
}

struct Stage {
    server: Server,
    provider: Provider,
    service: Service,
    customers: Vec<Arc<Customer>>,
    /// Tenants that were made under load, with their first keys.
    made: Arc<Mutex<Vec<Value>>>,
}

pub(crate) fn from_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap())
}

pub(crate) fn seed() -> u64 {
    from_environment("TENANTRY_CHAOS_SEED").unwrap_or_else(|| {
        let folder = tempfile::TempDir::new().unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&folder.path().metadata().unwrap());
        inode << 20 | u64::from(std::process::id())
    })
}

impl Stage {
    async fn set() -> Self {
        let (provider, service) = (Provider::start().await, Service::start().await);
        let config = format!(
            "[limits]\nmodel_call_seconds = 2\n[egress]\nallow = [\"{}\", \"{}\"]\n",
            provider.host(),
            service.host
        );
        let server = Server::start_with(&config, &[]);
        let mut customers = Vec::new();
        for number in 0..TENANTS {
            let tenant = server.tenant(&format!("Acme {number}")).await;
            let url = service.url(&format!("/slow/15/{number}"));
            let workflow = crate::work::workflow(&tenant, &definition(&url)).await;
            let budget = format!("/v1/budgets/tenant/{}", tenant.id);
            tenant.owner.put(&budget, &json!({"per": "month", "usd": "1000"})).await.unwrap();
            let held = Mutex::new(Held::of(&tenant.owner).await);
            let model = format!("brief-{number}");
            customers.push(Arc::new(Customer { tenant, model, workflow, book: Mutex::default(), held }));
        }
        let price = json!({"input_per_million": "1", "output_per_million": "10"});
        let models: Vec<_> = customers.iter().map(|customer| customer.model.clone()).collect();
        let prices: serde_json::Map<_, _> = models.iter().map(|name| (name.clone(), price.clone())).collect();
        let endpoint = json!({"url": provider.url, "dialect": "openai", "models": models, "prices": prices,
            "api_key": "sk-of-the-operator", "max_output_tokens": 100});
        server.operator.put("/v1/endpoints/stand-in", &endpoint).await.unwrap();
        Self { server, provider, service, customers, made: Arc::default() }
    }

    /// Lets everybody ask at once, and kills the server in the middle of it.
    async fn round(&mut self, dice: &Dice, number: u64) {
        let mut tasks = Vec::new();
        for customer in &self.customers {
            let who = customer.tenant.owner_at(&self.server);
            for lane in 0..load::LANES {
                let dice = Dice::new(dice.below(u64::MAX));
                tasks.push(tokio::spawn(load::customer(customer.clone(), who.clone(), dice, lane)));
            }
        }
        let operator = self.server.operator.clone();
        tasks.push(tokio::spawn(load::operator(operator, self.made.clone(), number)));
        tokio::time::sleep(Duration::from_millis(20 + dice.below(LOAD_MILLIS))).await;
        self.server.kill();
        for task in tasks {
            task.await.unwrap();
        }
        // Now and then it falls over again while it gets up.
        while dice.below(4) == 0 {
            self.server.start_and_kill(Duration::from_millis(dice.below(START_MILLIS))).await;
        }
        self.server.start_again();
    }

    /// What holds at every restart.
    async fn check(&self) {
        for customer in &self.customers {
            let who = customer.tenant.owner_at(&self.server);
            let seen = self.seen(customer);
            checks::accounted(customer, &who, seen).await;
            checks::told(customer, &who).await;
        }
        let made = self.made.lock().unwrap().clone();
        for tenant in made {
            checks::tenant_is_there(&self.server.operator, &tenant).await;
        }
    }

    /// How many calls of this customer the provider has seen.
    fn seen(&self, customer: &Customer) -> usize {
        self.provider.requests().iter().filter(|request| request["model"] == customer.model.as_str()).count()
    }
}

/// Two calls outside that must not be repeated, and a record between them.
fn definition(url: &str) -> Value {
    json!({"name": "Chain", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "first", "type": "http", "method": "POST", "url": url, "after": ["start"]},
        {"id": "remember", "type": "record", "operation": "create", "collection": "notes",
            "fields": {"a": 1}, "after": ["first"]},
        {"id": "second", "type": "http", "method": "POST", "url": url, "after": ["remember"]},
    ]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_again_and_again_keeps_its_word() {
    let kills = from_environment("TENANTRY_CHAOS_KILLS").unwrap_or(KILLS);
    let seed = seed();
    println!("TENANTRY_CHAOS_SEED={seed} TENANTRY_CHAOS_KILLS={kills}");
    let dice = Dice::new(seed);
    let mut stage = Stage::set().await;
    for number in 0..kills {
        stage.round(&dice, number).await;
        stage.check().await;
        println!("kill {}: {}", number + 1, stage.progress());
    }
    for customer in &stage.customers {
        let who: Client = customer.tenant.owner_at(&stage.server);
        checks::runs_are_over(customer, &who, &stage.service).await;
        checks::settled(customer, &who, &stage.provider).await;
        checks::told(customer, &who).await;
    }
    println!("held: {}", stage.progress());
}

impl Stage {
    fn progress(&self) -> String {
        let all = self.customers.iter().map(|customer| customer.book().summary());
        format!("{}; {} tenants made", all.collect::<Vec<_>>().join(" | "), self.made.lock().unwrap().len())
    }
}
