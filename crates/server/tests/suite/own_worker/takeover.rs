//! Somebody takes a tenant's own worker over, and has all that it has: its credential, its memory, its connections. That
//! opens its tenant's data, and nothing of anybody else's.

use super::memory::{Needle, Taken};
use super::{Stage, all_kinds, credential, worker, worker_with_the_master_key};
use crate::harness::{Tenant, send, send_json};
use crate::provider::Provider;
use crate::two_servers::{Pair, Stopped};
use crate::work::{over, start, workflow};
use client::Client;
use env::Timestamp;
use http::Method;
use ids::{Id as _, TenantId};
use kms::{Binding, Kms as _, Purpose, WrappedKey, derive};
use kms_file::{FileKms, MasterKey};
use secret::SecretText;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const PROVIDER_KEY: &str = "sk-provider-canary-81c5";
const RUNTIME_PASSWORD: &str = "runtime-password-canary-93aa";

/// A tenant with data, a secret and a run of every kind behind it.
struct Populated {
    tenant: Tenant,
    canary: String,
    secret: String,
}

impl Populated {
    async fn fill(stage: &Stage, name: &str, isolation: &str) -> Self {
        let tenant = stage.tenant(name, isolation).await;
        let (canary, secret) = (format!("canary-of-{name}-6e1f"), format!("secret-of-{name}-77b2"));
        credential(stage, &tenant, &secret).await;
        tenant.owner.post("/v1/records/notes", &json!({"said": canary})).await.unwrap();
        Self { tenant, canary, secret }
    }

    async fn run(&self, stage: &Stage) {
        let all = workflow(&self.tenant, &all_kinds(stage, "priced")).await;
        let run = start(&self.tenant.owner, &all, json!({"said": self.canary})).await;
        let seen = over(&self.tenant.owner, &run).await;
        assert_eq!(seen["status"], "succeeded", "{seen}\n{}\n{}", stage.log(), stage.pair.logs());
    }

    fn id(&self) -> TenantId {
        self.tenant.id.parse().unwrap()
    }

    /// What is this tenant's alone, as texts.
    fn own(&self) -> Vec<Needle> {
        let of = |what: &str, text: &str| Needle::text(format!("{what} of {}", self.canary), text);
        vec![
            of("the content", &self.canary),
            of("the secret", &self.secret),
            of("the owner's key", self.tenant.owner_key.expose()),
            of("the id", &self.tenant.id),
        ]
    }
}

/// The platform's database, as whoever has it and the master key sees it.
struct Platform {
    client: tokio_postgres::Client,
    kms: FileKms,
}

async fn connect(address: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Platform {
    async fn open(pair: &Pair) -> Self {
        let address = postgres_instance::address("postgres", &pair.place.database());
        let (env, _) = env::Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
        let master = MasterKey::load(&pair.place.file("master.key")).unwrap();
        Self { client: connect(&address).await.unwrap(), kms: FileKms::new(env, master, None) }
    }

    /// A tenant's keys, unwrapped: the data key, the log's seed, that of the layers above.
    async fn keys(&self, tenant: TenantId) -> Vec<(String, [u8; 32])> {
        let select = "SELECT kind, name, wrapped FROM tenantry.tenant_key WHERE tenant = $1";
        let mut keys = Vec::new();
        for row in self.client.query(select, &[&tenant.to_bytes().as_slice()]).await.unwrap() {
            let wrapped = WrappedKey::from_bytes(row.get(2)).unwrap();
            let binding = Binding::new(tenant, row.get::<_, String>(1));
            let key = self.kms.unwrap(&binding, &wrapped).await.unwrap();
            keys.push((row.get(0), *key.expose()));
            if row.get::<_, &str>(0) == "data" {
                keys.push((
                    "content".to_owned(),
                    *derive(&key, &Purpose::new("postgres content"), &[]).expose(),
                ));
            }
        }
        assert_eq!(keys.len(), 4);
        keys
    }

    /// The password of a tenant's role.
    async fn password(&self, tenant: TenantId) -> String {
        let select = "SELECT sealed FROM tenantry.home WHERE tenant = $1";
        let row = self.client.query_one(select, &[&tenant.to_bytes().as_slice()]).await.unwrap();
        let wrapped = WrappedKey::from_bytes(row.get(0)).unwrap();
        hex::encode(self.kms.unwrap(&Binding::new(tenant, "postgres role"), &wrapped).await.unwrap().expose())
    }

    async fn all_of(&self, whose: &Populated) -> Vec<Needle> {
        let mut needles = whose.own();
        for (name, key) in self.keys(whose.id()).await {
            needles.extend(Needle::key(&format!("the {name} key of {}", whose.canary), &key));
        }
        let password = self.password(whose.id()).await;
        needles.push(Needle::text(format!("the role's password of {}", whose.canary), &password));
        needles
    }
}

/// What is the deployment's and no tenant's.
fn deployments(pair: &Pair) -> Vec<Needle> {
    let master = std::fs::read_to_string(pair.place.file("master.key")).unwrap();
    let mut needles = Vec::from(Needle::key("the master key", &hex::decode(master.trim()).unwrap()));
    needles.push(Needle::text("the provider's key", PROVIDER_KEY));
    needles.push(Needle::text("the run-time role's password", RUNTIME_PASSWORD));
    needles.push(Needle::text("the run-time role", &format!("{}_server", pair.place.database())));
    needles.push(Needle::text("the operator's key", pair.one.operator_key().expose()));
    needles
}

/// Three tenants: the one whose worker is taken over, another like it, and one that shares its tables.
struct Scene {
    stage: Stage,
    _provider: Provider,
    taken: Populated,
    alike: Populated,
    pooled: Populated,
    token: String,
    credential: std::path::PathBuf,
    worker: Stopped,
    _other_worker: Stopped,
}

async fn scene() -> Scene {
    let stage = Stage::set().await;
    let provider = Provider::start().await;
    let endpoint =
        json!({"url": provider.url, "dialect": "openai", "models": ["priced"], "api_key": PROVIDER_KEY});
    stage.pair.one.operator.put("/v1/endpoints/main", &endpoint).await.unwrap();
    let (taken, alike) = (
        Populated::fill(&stage, "taken", "dedicated").await,
        Populated::fill(&stage, "alike", "dedicated").await,
    );
    let pooled = Populated::fill(&stage, "pooled", "pooled").await;
    with_a_password(&stage.pair).await;
    let (file, token) = stage.grant(&taken.tenant);
    let (others, _) = stage.grant(&alike.tenant);
    let (worker, _other_worker) =
        (worker(&stage, &taken.tenant, &file), worker(&stage, &alike.tenant, &others));
    for each in [&taken, &alike, &pooled] {
        each.run(&stage).await;
    }
    assert_eq!(provider.requests().len(), 3);
    let key = format!("Bearer {PROVIDER_KEY}");
    assert!(provider.requests().iter().all(|request| request["authorization"] == *key));
    Scene { stage, _provider: provider, taken, alike, pooled, token, credential: file, worker, _other_worker }
}

/// Gives the run-time role a password, which whoever hands the workers their credentials has.
async fn with_a_password(pair: &Pair) {
    let admin = Platform::open(pair).await.client;
    let role = format!("{}_server", pair.place.database());
    admin.batch_execute(&format!("ALTER ROLE {role} PASSWORD '{RUNTIME_PASSWORD}'")).await.unwrap();
    let serve = std::fs::read_to_string(pair.place.file("serve.toml")).unwrap();
    let with = serve.replacen(" user=", &format!(" password={RUNTIME_PASSWORD} user="), 1);
    assert_ne!(with, serve);
    std::fs::write(pair.place.file("serve.toml"), with).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_taken_over_opens_nothing_but_its_tenants_data() {
    let scene = scene().await;
    nothing_in_its_memory(&scene).await;
    nothing_in_the_database(&scene).await;
    nothing_over_http(&scene).await;
}

async fn nothing_in_its_memory(scene: &Scene) {
    let Scene { stage, taken, alike, pooled, .. } = scene;
    let process = Taken(scene.worker.0.id());
    let platform = Platform::open(&stage.pair).await;
    let mut foreign = deployments(&stage.pair);
    foreign.extend(platform.all_of(alike).await);
    foreign.extend(pooled.own());
    for (name, key) in platform.keys(pooled.id()).await {
        foreign.extend(Needle::key(&format!("the {name} key of the pooled tenant"), &key));
    }
    // Of its own tenant it has what content is read and written with, and not what opens backups and signs the log.
    let own = platform.keys(taken.id()).await;
    let needed = ["content", "layers above"];
    for (name, key) in own.iter().filter(|(name, _)| !needed.contains(&name.as_str())) {
        foreign.extend(Needle::key(&format!("the {name} key of its own tenant"), key));
    }
    assert_eq!(process.holds(&foreign), BTreeSet::new());
    assert_eq!(process.environment(), b"");
    let arguments = process.arguments();
    assert_eq!(arguments[1..4], ["worker", "--tenant", taken.tenant.id.as_str()], "{arguments:?}");
    for open in process.open_files() {
        let known = ["socket:", "anon_inode:", "pipe:", "/dev/"].iter().any(|kind| open.starts_with(kind));
        assert!(known || open.ends_with("workers.log"), "it has {open} open");
    }
    // The search finds what there is: the tenant's own, and in a process that has more, what that has.
    let mut its_own = vec![
        Needle::text("its token", credential_of(scene)["token"].as_str().unwrap()),
        Needle::text("its tenant", &taken.tenant.id),
        Needle::text("its role's password", &platform.password(taken.id()).await),
    ];
    for (name, key) in own.iter().filter(|(name, _)| needed.contains(&name.as_str())) {
        let [bytes, _] = Needle::key(name, key);
        its_own.push(bytes);
    }
    assert_eq!(process.holds(&its_own).len(), its_own.len(), "{:?}", process.holds(&its_own));
    let mistake = worker_with_the_master_key(stage);
    pooled.run(stage).await;
    let found = Taken(mistake.0.id()).holds(&foreign);
    for planted in ["the master key, its bytes", "the run-time role"] {
        assert!(found.contains(planted), "the search does not find {planted}: {found:?}");
    }
}

fn credential_of(scene: &Scene) -> Value {
    read(&scene.credential)
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A token of the database for this tenant, made with the key that the worker has.
fn database_token(key: &str, tenant: TenantId, now_millis: i64) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let said = format!("{}.{}", hex::encode(tenant.to_bytes()), now_millis + 50_000);
    let mut block = [0; 64];
    block[..32].copy_from_slice(&hex::decode(key).unwrap());
    let mac = Hmac::<sha2::Sha256>::new(&block.into()).chain_update(said.as_bytes()).finalize();
    format!("{said}.{}", hex::encode(mac.into_bytes()))
}

async fn nothing_in_the_database(scene: &Scene) {
    let Scene { stage, taken, alike, pooled, .. } = scene;
    let home: Value = serde_json::from_str(credential_of(scene)["home"].as_str().unwrap()).unwrap();
    let address = home["address"].as_str().unwrap();
    let database = stage.pair.place.database();
    let schema = |tenant: &Populated| format!("t_{}", tenant.id().ulid().to_ascii_lowercase());
    let role = |tenant: &Populated| format!("{database}_{}", schema(tenant));
    // Its own database, which it reads as its tenant.
    let own = connect(address).await.unwrap();
    let now: i64 = own
        .query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8", &[])
        .await
        .unwrap()
        .get(0);
    let count = async |whose: &Populated| -> i64 {
        let token = database_token(home["token_key"].as_str().unwrap(), whose.id(), now);
        own.batch_execute("BEGIN").await.unwrap();
        own.query("SELECT set_config('tenantry.tenant', $1, true)", &[&token]).await.unwrap();
        let rows = own.query_one(&format!("SELECT count(*) FROM {}.record", schema(taken)), &[]).await;
        own.batch_execute("ROLLBACK").await.unwrap();
        rows.unwrap().get(0)
    };
    assert_eq!(count(taken).await, 2, "the control: its own records");
    assert_eq!((count(alike).await, count(pooled).await), (0, 0));
    // Nobody else's database lets its role in, the platform's among them.
    for other in [role(alike), database.clone(), "postgres".to_owned()] {
        let there = address.replace(&format!("dbname='{}'", role(taken)), &format!("dbname='{other}'"));
        assert_ne!(there, address);
        let refused = connect(&there).await.err();
        let code = refused.as_ref().and_then(|error| error.code()).map(|code| code.code());
        // The database `postgres` is everybody's by default, and has nothing of ours.
        match connect(&there).await {
            Ok(client) if other == "postgres" => {
                let tables =
                    "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'tenantry%'
                    OR relnamespace::regnamespace::text LIKE 't\\_%'";
                assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
            }
            Ok(_) => panic!("it got into {other}"),
            Err(_) => assert_eq!(code, Some("42501"), "{other}: {refused:?}"),
        }
    }
    for statement in [
        format!("SET ROLE {database}_server"),
        format!("SET ROLE {database}_owner"),
        format!("SET ROLE {}", role(alike)),
        "SELECT * FROM tenantry.token_pad".to_owned(),
        "SELECT * FROM tenantry.moved".to_owned(),
        "SELECT * FROM tenantry.tenant".to_owned(),
        "CREATE TABLE mine()".to_owned(),
        "COPY (SELECT 1) TO PROGRAM 'cat'".to_owned(),
        format!("ALTER TABLE {}.record DISABLE ROW LEVEL SECURITY", schema(taken)),
    ] {
        assert!(own.batch_execute(&statement).await.is_err(), "{statement}");
    }
}

async fn nothing_over_http(scene: &Scene) {
    let Scene { stage, taken, alike, pooled, .. } = scene;
    let token = SecretText::new(credential_of(scene)["token"].as_str().unwrap().to_owned());
    let worker: Client = stage.pair.one.operator.with_key(token);
    let standing = worker.get("/v1/worker").await.unwrap();
    assert_eq!((&standing["tenant"], &standing["status"]), (&json!(taken.tenant.id), &json!("active")));
    let named = worker.call(Method::GET, "/v1/worker").header("x-tenant-id", &alike.tenant.id);
    assert_eq!(named.send().await.unwrap().status, 403);
    // On every other operation the token is none.
    let description = worker.get("/openapi.json").await.unwrap();
    let mut tried = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let needed = operation["security"].as_array().unwrap();
            if needed.is_empty() || needed[0].get("worker").is_some() {
                continue;
            }
            let path = path.replace("{id}", &alike.tenant.id);
            let path = path.split('/').map(|part| if part.starts_with('{') { "notes" } else { part });
            let (path, method) = (path.collect::<Vec<_>>().join("/"), method.to_uppercase().parse().unwrap());
            let answer = send_json(&worker, method, &path, &json!({})).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
    // Runs of others are not there, whatever lease is claimed, and its own are asked for under a lease that holds.
    let question = |run: &str| {
        json!({"run": run, "worker": "wrk_01K6000000000000000000000A", "fence": 1, "time_ms": 1_000,
            "request": {"model": "priced", "messages": [{"role": "user", "content": "hello"}]}})
    };
    for whose in [alike, pooled] {
        let runs = whose.tenant.owner.get("/v1/runs").await.unwrap();
        let run = runs["data"][0]["id"].as_str().unwrap();
        let answer = send_json(&worker, Method::POST, "/v1/worker/questions", &question(run)).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(!answer.text().contains(&whose.canary));
    }
    let runs = taken.tenant.owner.get("/v1/runs").await.unwrap();
    let over = question(runs["data"][0]["id"].as_str().unwrap());
    let answer = send_json(&worker, Method::POST, "/v1/worker/questions", &over).await;
    assert!(!answer.status.is_success(), "a run that nobody carries out asked a model: {}", answer.text());
    models_cost_what_the_server_says(scene, &worker).await;
    // Others are let in to what is a worker's no more than a worker to what is others'.
    for client in [&stage.pair.one.operator, &taken.tenant.owner, &alike.tenant.owner] {
        assert_eq!(send(client, Method::GET, "/v1/worker").await.status, 401);
    }
    let revoked = stage.workers(&["revoke", &taken.tenant.id, &scene.token]);
    assert!(revoked.status.success(), "{revoked:?}");
    let begun = tokio::time::Instant::now();
    while send(&worker, Method::GET, "/v1/worker").await.status != 401 {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(1),
            "a revoked token is let in after a second"
        );
    }
}

/// A call to a model, whose id it reads in its own database, is not the worker's to end at no cost.
async fn models_cost_what_the_server_says(scene: &Scene, worker: &Client) {
    let taken = &scene.taken;
    let home: Value = serde_json::from_str(credential_of(scene)["home"].as_str().unwrap()).unwrap();
    let own = connect(home["address"].as_str().unwrap()).await.unwrap();
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";
    let now: i64 = own.query_one(now, &[]).await.unwrap().get(0);
    let database = database_token(home["token_key"].as_str().unwrap(), taken.id(), now);
    own.batch_execute("BEGIN").await.unwrap();
    own.query("SELECT set_config('tenantry.tenant', $1, true)", &[&database]).await.unwrap();
    let schema = format!("t_{}", taken.id().ulid().to_ascii_lowercase());
    let calls = own.query(&format!("SELECT kind, id FROM {schema}.call"), &[]).await.unwrap();
    let of = |kind: &str| calls.iter().filter(|row| row.get::<_, &str>(0) == kind).count();
    assert!(of("model") > 0 && of("service") > 0);
    for row in calls {
        for what in ["settle", "release"] {
            let count = json!({"what": what, "call": row.get::<_, &str>(1)});
            let answer = send_json(worker, Method::POST, "/v1/worker/calls", &count).await;
            let wanted = if row.get::<_, &str>(0) == "model" { 404 } else { 204 };
            assert_eq!(answer.status, wanted, "{what}: {}", answer.text());
        }
    }
}
