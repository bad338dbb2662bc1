//! `tenantry verify --store`: makes throwaway tenants of each kind of isolation on the database that a configuration
//! names, fills them through the server's own interface, has them attacked by SQL, and removes them.

mod content;
mod operator;

use crate::administrator::{Administrator, AdministratorArguments};
use crate::config::Config;
use crate::models::ModelArguments;
use crate::serve::ProcessArguments;
use crate::wiring::{Role, Wired, put_together};
use crate::{stores, system};
use app::App;
use app::verify_grants::{self, NewVerifyGrant};
use cli::WantedAttack;
use client::Client;
use context::Operator;
use http_api::{Api, Bounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::VerifyGrantRow;
use store_postgres::attack::{Attacker, Attempt, Outcome, Sides, Target};
use store_postgres::{PostgresStore, Provisioner};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use verify::{Report, Verdict};

/// What the grant is called that throwaway tenants go with. A later run takes away what has this name.
const NAME: &str = "tenantry verify --store";
/// How many tenants a run makes.
const TENANTS: u32 = 6;
const LOOPBACK: &str = "127.0.0.1:0";
const INTERRUPTED: &str = "interrupted; what the suite had made was deleted";

/// Attacks, and removes what it made, also where it fails or is told to stop.
pub(crate) async fn run(wanted: WantedAttack) -> Result<Report, String> {
    let since = Instant::now();
    let config = Config::load(Some(&wanted.config)).map_err(said)?;
    let given = AdministratorArguments { config: wanted.config, master_key_file: wanted.master_key };
    let administrator = given.read()?;
    let target = Target {
        admin_url: administrator.admin_url.clone(),
        url: administrator.url.clone(),
        tls: stores::tls(&config.store.tls).map_err(said)?,
        kms: administrator.kms.clone(),
        env: administrator.env.clone(),
    };
    let attacker = Attacker::enter(&target).await.map_err(said)?;
    let provisioner = Provisioner::new(
        administrator.admin_url.expose(),
        administrator.url.expose(),
        &administrator.tls,
        administrator.kms.clone(),
        administrator.env.clone(),
    )
    .map_err(said)?;
    let mut attempts = Vec::new();
    let played = async { Stage::set(&administrator, config).await?.play(&attacker, &mut attempts).await };
    let played = tokio::select! {
        played = played => played,
        () = provisioner.serve(std::future::pending()) => Err("homes could not be made".to_owned()),
    };
    if let Err(why) = played {
        explain(&attacker, why, &mut attempts).await?;
    }
    let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Report::of(attempts.into_iter().map(attempt).collect(), &wanted.only, millis))
}

/// Names the mistakes by which the server's own statements came to nothing, and says that they did. Where nothing is wrong
/// in the database, the suite could not run.
async fn explain(attacker: &Attacker, why: String, attempts: &mut Vec<Attempt>) -> Result<(), String> {
    let leaks = |all: &[Attempt]| all.iter().any(|it| matches!(it.outcome, Outcome::Leak(_)));
    if why != INTERRUPTED && !leaks(attempts) {
        let found = attacker.survey().await;
        attempts.extend(found.map_err(|error| format!("{why}; and then: {error}"))?);
    }
    if why == INTERRUPTED || !leaks(attempts) {
        return Err(why);
    }
    attempts.push(Attempt {
        tier: "pooled",
        statement: "every statement",
        place: "two throwaway tenants".to_owned(),
        attack: "what only two tenants show",
        outcome: Outcome::Unattacked(why),
        millis: 0,
    });
    Ok(())
}

fn attempt(it: Attempt) -> verify::Attempt {
    let verdict = match it.outcome {
        Outcome::Held => Verdict::Held,
        Outcome::Leak(what) => Verdict::Leak(what),
        Outcome::Unattacked(why) => Verdict::Unattacked(why),
        Outcome::NotOffered(give) => Verdict::NotOffered(give),
    };
    let (surface, operation) = (it.tier.to_owned(), it.statement.to_owned());
    verify::Attempt { surface, operation, place: it.place, attack: it.attack, verdict, millis: it.millis }
}

/// What is wrong, in words.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A server of this process alone, on the database, with an operator whom nobody else can be.
struct Stage {
    wired: Wired,
    store: Arc<PostgresStore>,
    operator: Operator,
    listener: TcpListener,
    /// Holds nothing but what is on its way.
    _scratch: TempDir,
}

impl Stage {
    async fn set(administrator: &Administrator, mut config: Config) -> Result<Self, String> {
        let env = system::env();
        // What is counted here is not for other servers to know.
        config.limits.redis_url = None;
        let tls = stores::tls(&config.store.tls).map_err(said)?;
        let settings = stores::settings(&config.store, &administrator.url, tls);
        let store = PostgresStore::open_to_attack(settings, administrator.kms.clone(), env.clone());
        let store = store.await.map_err(said)?;
        let store = Arc::new(store);
        let mut stores = stores::in_database(store.clone(), None).await.map_err(said)?;
        let key = operator::appoint(&mut stores, &env);
        let folder = tempfile::Builder::new().prefix("tenantry-").tempdir().map_err(said)?;
        let listener = TcpListener::bind(LOOPBACK).await.map_err(said)?;
        let listen = listener.local_addr().map_err(said)?;
        let arguments = ProcessArguments {
            data: folder.path().to_owned(),
            config: None,
            master_key_file: None,
            models: ModelArguments { model_url: None, model_key_file: None, model: None },
            production: false,
            json: false,
            log: None,
            log_filter: None,
            pool: None,
        };
        let url = format!("http://{listen}");
        let (role, own) = (Role::Attacker, env.clone());
        let wired = put_together(stores, (&arguments, &config, role), url, own).await.map_err(said)?;
        let operator = operator::admit(&wired.app, key, &env).await?;
        Ok(Self { wired, store, operator, listener, _scratch: folder })
    }

    /// Makes the tenants, attacks them, and removes them.
    async fn play(self, attacker: &Attacker, attempts: &mut Vec<Attempt>) -> Result<(), String> {
        let Self { wired, store, operator, listener, _scratch } = self;
        let mut signals = Signals::listen()?;
        let app = wired.app.clone();
        let url = app.public_url.parse().map_err(said)?;
        let api = Api::new(app.clone());
        api.set_ready();
        let serving =
            http_api::serve(listener, http_api::router(api), Bounds::default(), std::future::pending());
        clear(&app, &store, &operator).await?;
        let asked = NewVerifyGrant {
            name: NAME.to_owned(),
            hours: Some(1),
            expires_at: None,
            tenants: Some(TENANTS),
        };
        let grant = verify_grants::create(&app, &operator, asked).await.map_err(said)?.row;
        let stopped = AtomicBool::new(false);
        let told = async {
            signals.come().await;
            // What is under way comes to its end, so that all that it makes is known.
            stopped.store(true, Ordering::Relaxed);
            std::future::pending().await
        };
        let played = tokio::select! {
            played = attack((&app, &operator, &grant), (Client::new(url), attacker), &stopped, attempts) => played,
            () = serving => Err("the server ended".to_owned()),
            () = told => Err(INTERRUPTED.to_owned()),
        };
        let cleared = clear(&app, &store, &operator).await;
        played.and(cleared)
    }
}

/// Takes away the grants of this name, with their tenants: of this run, and of one that was killed.
async fn clear(app: &App, store: &PostgresStore, operator: &Operator) -> Result<(), String> {
    for grant in verify_grants::list(app, operator).await.map_err(said)? {
        if grant.row.name == NAME {
            for slot in 0..TENANTS {
                let tenant = verify_grants::isolated_id(grant.row.id, slot);
                let gone = store.remove_orphan(operator, tenant).await;
                gone.map_err(|error| format!("a throwaway tenant's home is left behind: {error}"))?;
            }
            let gone = verify_grants::revoke(app, operator, grant.row.id).await;
            gone.map_err(|problem| format!("throwaway tenants are left behind: {problem}"))?;
        }
    }
    Ok(())
}

async fn attack(
    (app, operator, grant): (&App, &Operator, &VerifyGrantRow),
    (client, attacker): (Client, &Attacker),
    stopped: &AtomicBool,
    attempts: &mut Vec<Attempt>,
) -> Result<(), String> {
    let go_on = || if stopped.load(Ordering::Relaxed) { Err(INTERRUPTED.to_owned()) } else { Ok(()) };
    let mut slots = 0..;
    for isolation in app.platform.isolations() {
        let mut sides = Vec::new();
        for slot in slots.by_ref().take(2) {
            go_on()?;
            let made = verify_grants::make_isolated(app, operator, (grant, slot), *isolation).await;
            let made = made.map_err(|problem| format!("a throwaway tenant cannot be made: {problem}"))?;
            sides.push((made.tenant.id, content::fill(app, &client, made.secret).await?));
        }
        if let [(victim, canary), (by, _)] = sides.as_slice() {
            let sides = Sides {
                isolation: *isolation,
                victim: *victim,
                attacker: *by,
                canaries: vec![canary.clone()],
            };
            go_on()?;
            attempts.extend(attacker.attack(&sides).await.map_err(said)?);
        }
    }
    Ok(())
}

/// The signals by which people and supervisors end a process. From here on they end what is to be cleaned up after.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
