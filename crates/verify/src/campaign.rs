//! A run of the suite: two sides, controls, attacks, what is left behind, and cleaning up.

use crate::attacks;
use crate::bodies::{template, unlimited};
use crate::description::Description;
use crate::outside::Outside;
use crate::pattern::{NotOffered, Only, Outcome, Verdict};
use crate::report::Report;
use crate::side::Side;
use crate::traces::{self, Moment, Needles, Places};
use crate::world::{Made, World};
use client::{CallError, Client, webhook_secret};
use env::Env;
use http::Method;
use secret::SecretText;
use serde_json::json;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// What a run of the suite works with.
pub struct Options<'p> {
    /// The server, without a key.
    pub client: Client,
    /// Another server on the same store, without a key: attacks and their controls are put to it, and what they begin
    /// from is made at the first.
    pub other: Option<Client>,
    /// How the throwaway tenants are kept apart, where it is not the server's first kind.
    pub isolation: Option<String>,
    /// An operator's key with the role `admin`, or a grant.
    pub operator_key: SecretText,
    /// Whether it is a grant, which reaches its own throwaway tenants alone.
    pub granted: bool,
    /// Clock and randomness.
    pub env: Env,
    /// The server's log and data folder, where they can be read from here.
    pub places: Places,
    /// Hosts outside, which the server's configuration opens as [`Outside::configuration`] says.
    pub outside: Option<&'p Outside>,
    /// Which patterns are tried; their positive controls are set up for all.
    pub only: Only,
    /// Is told, now and then, how many patterns of how many are done.
    pub progress: &'p (dyn Fn(usize, usize) + Sync),
}

/// Why the suite could not run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The server's description cannot be had.
    #[error("the server's description `/openapi.json` cannot be read: {0}")]
    Description(CallError),
    /// The throwaway tenants cannot be made.
    #[error("the throwaway tenants cannot be made: {0}")]
    Tenants(CallError),
    /// The template cannot be published.
    #[error("the template for upgrades cannot be published: {0}")]
    Template(CallError),
    /// The suite was told to stop.
    #[error("interrupted; what the suite had made was deleted")]
    Interrupted,
    /// None of the patterns is meant.
    #[error(
        "no pattern has that in its name; `verify --json` without `--only` shows surfaces and operations"
    )]
    NothingChosen,
    /// Something of it is left on the server.
    #[error("some of what the suite made is left behind: {0}")]
    LeftBehind(String),
}

/// Attacks a server and cleans up, also on Ctrl-C and SIGTERM.
pub async fn run(options: Options<'_>) -> Result<Report, VerifyError> {
    let operator = options.client.with_key(options.operator_key.clone());
    let (made, start) = (Made::default(), Instant::now());
    let mut work = pin!(attack(&options, &operator, &made));
    let ended = tokio::select! {
        outcome = &mut work => Some(outcome),
        () = told_to_stop() => None,
    };
    let outcome = match ended {
        Some(outcome) => outcome,
        None => {
            made.stop();
            // What it found half-way is no report.
            let _ = work.await;
            Err(VerifyError::Interrupted)
        }
    };
    let needles = outcome.as_ref().ok().map(|attacked| attacked.needles.clone());
    let (left, seen) = cleaned_up(&options, &operator, &made, needles).await;
    let Attacked { mut outcomes, needles, out_of_reach } = outcome?;
    outcomes.extend(seen);
    outcomes.extend(traces::search(&options.places, &needles, Moment::AfterDeletion));
    let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut not_offered = traces::not_offered(&options.places);
    not_offered.extend(out_of_reach);
    if options.client.base().as_str().starts_with("https:") {
        let cell = "both tenants on one connection, and requests hidden in others".to_owned();
        let give = "the `http://` address behind what ends TLS".to_owned();
        not_offered.push(NotOffered { cell, give });
    }
    outcomes.retain(|outcome| options.only.has(&outcome.pattern));
    let report = Report::new(outcomes, not_offered, millis);
    if report.surfaces.is_empty() && !options.only.0.is_empty() {
        return Err(VerifyError::NothingChosen);
    }
    if left.is_empty() { Ok(report) } else { Err(VerifyError::LeftBehind(left.join(", "))) }
}

/// What was found while the tenants lived, and what may not be found after.
struct Attacked {
    outcomes: Vec<Outcome>,
    needles: Arc<Needles>,
    /// What the grant does not reach.
    out_of_reach: Vec<NotOffered>,
}

/// Deletes what the suite made, while files are searched again and again. Gives what is left, and what was seen.
async fn cleaned_up(
    options: &Options<'_>,
    operator: &Client,
    made: &Made,
    needles: Option<Arc<Needles>>,
) -> (Vec<String>, Vec<Outcome>) {
    let (places, done) = (options.places.clone(), Arc::new(AtomicBool::new(false)));
    let over = done.clone();
    let searching = tokio::task::spawn_blocking(move || {
        let Some(needles) = needles else { return Vec::new() };
        loop {
            let ends = over.load(Ordering::Relaxed);
            let seen = traces::search(&places, &needles, Moment::DuringDeletion);
            let leaks = seen.iter().any(|outcome| matches!(outcome.verdict, Verdict::Leak(_)));
            if leaks || ends {
                return seen;
            }
        }
    });
    let mut left = Vec::new();
    for path in made.take() {
        let deleted = operator.delete(&path).await;
        if let Err(error) = deleted
            && error.code() != Some("not_found")
        {
            left.push(format!("{path} ({error})"));
        }
    }
    done.store(true, Ordering::Relaxed);
    // A search that fails by itself leaves its patterns out, which the list of what was tried shows.
    (left, searching.await.unwrap_or_default())
}

/// Ends with Ctrl-C, or with the signal by which supervisors and CI end a process.
async fn told_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

async fn attack(options: &Options<'_>, operator: &Client, made: &Made) -> Result<Attacked, VerifyError> {
    let since = options.env.now().millis();
    let document =
        options.client.without_key().get("/openapi.json").await.map_err(VerifyError::Description)?;
    let mut description = Description::read(&document);
    let out_of_reach = if options.granted { description.as_granted() } else { Vec::new() };
    let name = format!("verify-{}", mark(&options.env));
    if description.has(&Method::POST, "/v1/templates")
        && description.has(&Method::DELETE, "/v1/templates/{name}")
    {
        made.note_path(format!("/v1/templates/{name}"));
        for version in [1, 2] {
            let template = template(&name, version);
            operator.post("/v1/templates", &template).await.map_err(VerifyError::Template)?;
        }
    }
    let sides = [
        side(options, operator, &description, made, &name).await?,
        side(options, operator, &description, made, &name).await?,
    ];
    let world = World::new(
        [options.client.without_key(), options.other.as_ref().unwrap_or(&options.client).without_key()],
        options.operator_key.clone(),
        description,
        sides,
        options.env.clone(),
        (made, options.outside, options.places.data.is_some()),
    );
    let mut outcomes = attacks::all(&world, &options.only, options.progress).await;
    let needles = Arc::new(Needles::new(&[&world.victim, &world.attacker], since));
    outcomes.extend(traces::search(&options.places, &needles, Moment::WhileTheyLive));
    Ok(Attacked { outcomes, needles, out_of_reach })
}

/// A throwaway tenant without limits.
async fn side(
    options: &Options<'_>,
    operator: &Client,
    description: &Description,
    made: &Made,
    template: &str,
) -> Result<Side, VerifyError> {
    let mark = mark(&options.env);
    let mut wanted = json!({"name": format!("canary-{mark}"), "plan": "starter"});
    if let Some(isolation) = &options.isolation {
        wanted["isolation"] = json!(isolation);
    }
    let tenant = operator.make_tenant_as(&wanted).await.map_err(VerifyError::Tenants)?;
    made.note(&tenant.id);
    if description.has(&Method::PATCH, "/v1/tenants/{id}") {
        let path = format!("/v1/tenants/{}", tenant.id);
        let call = operator.call(Method::PATCH, &path).json(&json!({"limits": unlimited()}));
        let answer = call.map_err(VerifyError::Tenants)?.send().await.and_then(client::Answer::accepted);
        answer.map_err(VerifyError::Tenants)?;
    }
    let hook_secret = webhook_secret(options.env.random());
    Ok(Side::new(tenant, mark, hook_secret).with_template(template))
}

/// Letters that stand nowhere else.
fn mark(env: &Env) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 12] = env.random();
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
