//! `tenantry workers launch`: starts a worker of its own for each tenant that has a database of its own. It has the master
//! key and carries no run out; each worker is a process, which gets its credential through a pipe and nothing else: no
//! environment, no open file of the launcher's but the log, and where the configuration says so, a user of its own.

use super::commands::{Issuer, IssuerArguments};
use crate::logging;
use clap::Args;
use env::Timestamp;
use ids::{KeyId, TenantId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// How often it is looked which tenants there are, and which workers.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a token holds. A worker that is there for longer ends with it and is started anew.
const TOKEN: Duration = Duration::from_secs(24 * 3600);
/// How long a worker may take to end: longer than it lets its steps take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How soon a worker that ended by itself is started again. Each time twice as long, until one stays.
const AGAIN: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long one has to be there to have stayed.
const STAYED: Duration = Duration::from_secs(30);

/// How the launcher is started.
#[derive(Args)]
pub(crate) struct LaunchArguments {
    #[command(flatten)]
    issuer: IssuerArguments,
    /// Print the first line, and the log, as JSON.
    #[arg(long)]
    json: bool,
    /// Write the log into this file, as JSON lines, instead of to standard error. Workers write into it as well.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// What is known of a tenant's worker.
struct Post {
    child: Option<Running>,
    /// When the next one may be started, and how long after it the one after that.
    due: Instant,
    pause: Duration,
}

/// A worker that was started.
struct Running {
    process: Child,
    token: KeyId,
    user: Option<u32>,
    since: Instant,
    /// Until when it has to have ended, where it was told to.
    ending: Option<Instant>,
}

impl Running {
    /// Tells it to end, and ends it where it does not.
    fn end(&mut self, now: Instant) {
        // Its end of the pipe closes.
        drop(self.process.stdin.take());
        let deadline = *self.ending.get_or_insert(now + PATIENCE);
        if now >= deadline {
            tracing::warn!(process = self.process.id(), "a worker did not end in time and is ended");
            // It may have ended by now.
            let _ = self.process.kill();
        }
    }
}

struct Launcher {
    issuer: Issuer,
    program: PathBuf,
    arguments: Vec<String>,
    posts: BTreeMap<TenantId, Post>,
}

pub(super) async fn run(arguments: LaunchArguments) -> Result<(), String> {
    let LaunchArguments { issuer, json: as_json, log } = arguments;
    logging::start(log.as_deref(), None, as_json)
        .map_err(|error| format!("the log cannot be written: {error}"))?;
    let issuer = issuer.open().await?;
    let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let mut more = Vec::new();
    if let Some(log) = &log {
        let log = std::path::absolute(log).map_err(|error| error.to_string())?;
        more.extend(["--log".to_owned(), log.display().to_string()]);
    }
    if as_json {
        more.push("--json".to_owned());
    }
    let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let first = if as_json { json!({"launching": true}).to_string() } else { "launching".to_owned() };
    logging::announce(&first).map_err(|error| error.to_string())?;
    let mut launcher = Launcher { issuer, program, arguments: more, posts: BTreeMap::new() };
    loop {
        launcher.look().await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    launcher.end_all().await;
    Ok(())
}

impl Launcher {
    /// Starts what is missing, and ends what is not to be there.
    async fn look(&mut self) {
        match self.issuer.store.tenants_with_own_worker().await {
            Ok(wanted) => self.follow(wanted.into_iter().collect()).await,
            // Workers that are there go on: each finds out by itself whether its tenant takes part.
            Err(error) => {
                tracing::warn!(%error, "it cannot be told which tenants are to have workers of their own");
                self.bury().await;
            }
        }
    }

    async fn follow(&mut self, wanted: BTreeSet<TenantId>) {
        let now = Instant::now();
        self.bury().await;
        for (tenant, post) in &mut self.posts {
            if let Some(running) = post.child.as_mut().filter(|_| !wanted.contains(tenant)) {
                running.end(now);
            }
        }
        self.posts.retain(|tenant, post| post.child.is_some() || wanted.contains(tenant));
        for tenant in wanted {
            let post =
                self.posts.entry(tenant).or_insert_with(|| Post { child: None, due: now, pause: AGAIN });
            if post.child.is_some() || post.due > now {
                continue;
            }
            (post.due, post.pause) = (now + post.pause, (post.pause * 2).min(LONGEST_PAUSE));
            match self.start(tenant).await {
                Ok(running) => {
                    if let Some(post) = self.posts.get_mut(&tenant) {
                        post.child = running;
                    }
                }
                Err(error) => {
                    tracing::error!(tenant.id = %tenant, error, "a tenant's own worker was not started")
                }
            }
        }
    }

    /// Takes note of workers that have ended, and withdraws what they were given.
    async fn bury(&mut self) {
        let mut ended = Vec::new();
        for (tenant, post) in &mut self.posts {
            let over = match post.child.as_mut().map(|running| running.process.try_wait()) {
                Some(Ok(Some(status))) => status,
                Some(Err(error)) => {
                    tracing::error!(tenant.id = %tenant, %error, "a worker cannot be asked after");
                    continue;
                }
                None | Some(Ok(None)) => continue,
            };
            let Some(running) = post.child.take() else { continue };
            tracing::info!(tenant.id = %tenant, %over, "a tenant's own worker has ended");
            if running.since.elapsed() >= STAYED {
                (post.due, post.pause) = (Instant::now(), AGAIN);
            }
            ended.push((*tenant, running.token));
        }
        for (tenant, token) in ended {
            // Where the tenant is gone, so is the token.
            if let Err(error) = self.issuer.revoke(tenant, token).await {
                tracing::warn!(tenant.id = %tenant, %token, error, "a worker's token was not withdrawn; it ends by itself");
            }
        }
    }

    async fn start(&self, tenant: TenantId) -> Result<Option<Running>, String> {
        let until: Timestamp = self.issuer.env.now().plus(TOKEN);
        // It may have moved a moment ago.
        let Some((credential, token)) = self.issuer.grant(tenant, until).await? else { return Ok(None) };
        let user = self.free_user();
        let started = self.process(tenant, user).and_then(|mut process| {
            let given = process.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
            // A pipe takes more than a credential has, so that nobody waits for a worker that does not read.
            given.write_all(credential.to_line()?.as_bytes())?;
            Ok(process)
        });
        match started {
            Ok(process) => {
                tracing::info!(tenant.id = %tenant, process = process.id(), "started a tenant's own worker");
                Ok(Some(Running { process, token, user, since: Instant::now(), ending: None }))
            }
            Err(error) => {
                self.issuer.revoke(tenant, token).await?;
                Err(error.to_string())
            }
        }
    }

    fn process(&self, tenant: TenantId, user: Option<u32>) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["worker", "--tenant", &tenant.to_string(), "--credential-file", "-"]);
        command.args(&self.arguments).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        if let Some(user) = user {
            // With the user the supplementary groups go as well.
            command.uid(user).gid(user);
        }
        command.spawn()
    }

    /// A user as whom no worker runs, where each is to have its own.
    fn free_user(&self) -> Option<u32> {
        let first = self.issuer.config.workers.first_uid?.get();
        let taken: BTreeSet<_> = self.posts.values().filter_map(|post| post.child.as_ref()?.user).collect();
        (first..).find(|user| !taken.contains(user))
    }

    async fn end_all(&mut self) {
        while self.posts.values().any(|post| post.child.is_some()) {
            let now = Instant::now();
            self.posts.values_mut().filter_map(|post| post.child.as_mut()).for_each(|it| it.end(now));
            tokio::time::sleep(LOOK_EVERY / 5).await;
            self.bury().await;
        }
    }
}
