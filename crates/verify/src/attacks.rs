//! The attacks: controls first, then everything side by side, then what each side sees in the end.

mod backups;
mod body;
mod cache;
mod credentials;
mod grants;
mod hooks;
mod identifiers;
mod injection;
mod logs;
mod multiplexed;
mod neighbours;
mod nodes;
mod operators;
mod provider;
mod query;
mod reach;
mod replay;
mod rights;
mod shared;
mod standing;
mod subjects;
mod sweep;
mod tenants;
mod timing;
mod token_urls;
mod tokens;
mod wire;
mod workers;

use crate::compare::{difference, insides, leaked};
use crate::description::{Caller, Operation};
use crate::pattern::{Only, Outcome, Pattern, Verdict};
use crate::side::Side;
use crate::world::{Request, World};
use client::Answer;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

pub(crate) use grants::Grant;

/// Attacks under way at the same time.
const AT_ONCE: usize = 24;

/// How an attempt ended: `None` where it turned out that the place takes nothing that could be attacked,
/// an error where the positive control did not hold.
type Attempt = Result<Option<Verdict>, String>;

/// An attack that waits to be carried out.
struct Job<'w> {
    pattern: Pattern,
    attempt: BoxFuture<'w, Attempt>,
}

impl<'w> Job<'w> {
    fn new(pattern: Pattern, attempt: impl Future<Output = Attempt> + Send + 'w) -> Self {
        Self { pattern, attempt: Box::pin(attempt) }
    }

    async fn run(self, world: &World<'_>) -> Option<Outcome> {
        world.made.go_on().ok()?;
        let start = Instant::now();
        let verdict = match self.attempt.await {
            Ok(None) => return None,
            Ok(Some(verdict)) => verdict,
            Err(reason) => Verdict::Unattacked(reason),
        };
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(Outcome { pattern: self.pattern, verdict, millis })
    }
}

/// An operation with its positive control: what the owner asked and was answered, or why that failed.
struct Control<'w> {
    operation: &'w Operation,
    held: Result<(Request<'w>, Answer), String>,
}

impl Control<'_> {
    /// The owner's request and its answer, or the reason for which the operation is not attacked.
    fn held(&self) -> Result<(&Request<'_>, &Answer), String> {
        self.held.as_ref().map(|(request, answer)| (request, answer)).map_err(Clone::clone)
    }
}

/// Carries out every attack there is.
pub(crate) async fn all(
    world: &World<'_>,
    only: &Only,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Outcome> {
    let controls = controls(world).await;
    let mut jobs = Vec::new();
    for control in &controls {
        jobs.extend(attacks_on(world, control));
    }
    let chosen = |job: &Job<'_>| only.has(&job.pattern);
    jobs.retain(chosen);
    let total = jobs.len();
    let mut running =
        futures::stream::iter(jobs.into_iter().map(|job| job.run(world))).buffer_unordered(AT_ONCE);
    let (mut outcomes, mut done) = (Vec::new(), 0);
    while let Some(outcome) = running.next().await {
        done += 1;
        progress(done, total);
        outcomes.extend(outcome);
    }
    drop(running);
    // By themselves, because each takes the other's time.
    for job in timing::jobs(world, &controls).into_iter().filter(chosen) {
        outcomes.extend(job.run(world).await);
    }
    // Last, so that whatever an attack left behind is seen.
    let last = sweep::jobs(world, &controls).into_iter().chain(replay::cursors(world, &controls));
    let last = futures::stream::iter(last.filter(chosen).map(|job| job.run(world)));
    outcomes.extend(last.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten());
    outcomes
}

/// Seeds both sides by what owners may do, the victim's answers being the positive controls.
async fn controls<'w>(world: &'w World<'_>) -> Vec<Control<'w>> {
    let operations = world.description.operations.iter();
    let controls = futures::stream::iter(operations.map(|operation| control(world, operation)));
    // In order, so that what makes objects has come before what lists them, as far as the order tells.
    controls.buffered(8).collect().await
}

async fn control<'w>(world: &'w World<'_>, operation: &'w Operation) -> Control<'w> {
    let held = async {
        // The attacker's own data is to be like the victim's; where it cannot be made, the victim's
        // cannot either, and the reason shows there.
        let _ = own(world, operation, &world.attacker).await;
        own(world, operation, &world.victim).await
    };
    Control { operation, held: held.await }
}

async fn own<'w>(
    world: &'w World<'_>,
    operation: &'w Operation,
    side: &'w Side,
) -> Result<(Request<'w>, Answer), String> {
    let fill = world.objects(operation, side).await?;
    let request = world.request(operation, side, fill);
    if operation.caller == Caller::Worker {
        return workers::nobody_is_let_in(world, request).await;
    }
    if credentials::would_stay(operation) {
        return credentials::operator_is_let_in(world, request).await;
    }
    if credentials::may_be_missing(operation) {
        return credentials::operator_looks(world, request).await;
    }
    let answer = world.ask(&request, side).await?;
    if must_show_its_owner(operation) && !side.is_shown_in(&answer) {
        return Err("the owner's answer shows nothing that is the owner's".to_owned());
    }
    Ok((request, answer))
}

/// Whether the answer to an owner is about an object of the owner's, so that it has to show that: else no
/// attack on it would show anything.
fn must_show_its_owner(operation: &Operation) -> bool {
    let object = operation.path.ends_with("{id}");
    // Models are the operator's, for all tenants.
    let shared = operation.path.starts_with("/v1/models/");
    operation.caller == Caller::Tenant && operation.is_safe() && object && !operation.streams && !shared
}

fn attacks_on<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let mut jobs = grants::jobs(world, control);
    match control.operation.caller {
        Caller::Tenant => {
            jobs.extend(credentials::on_tenants(world, control));
            jobs.extend(rights::jobs(world, control));
            jobs.extend(identifiers::jobs(world, control));
            jobs.extend(query::jobs(world, control));
            jobs.extend(body::jobs(world, control));
            jobs.extend(replay::jobs(world, control));
            jobs.extend(cache::jobs(world, control));
            jobs.extend(injection::jobs(world, control));
            jobs.extend(tokens::jobs(world, control));
            jobs.extend(wire::jobs(world, control));
            jobs.extend(multiplexed::jobs(world, control));
            jobs.extend(reach::jobs(world, control));
            jobs.extend(token_urls::jobs(world, control));
            jobs.extend(provider::jobs(world, control));
            jobs.extend(logs::jobs(world, control));
            jobs.extend(neighbours::jobs(world, control));
            jobs.extend(nodes::jobs(world, control));
            jobs.extend(subjects::jobs(world, control));
        }
        Caller::Operator => {
            jobs.extend(credentials::on_operators(world, control));
            jobs.extend(operators::jobs(world, control));
            jobs.extend(tenants::jobs(world, control));
            jobs.extend(backups::jobs(world, control));
            jobs.extend(standing::jobs(world, control));
            jobs.extend(shared::jobs(world, control));
        }
        Caller::Worker => jobs.extend(workers::jobs(world, control)),
        Caller::Anyone => jobs.extend(hooks::jobs(world, control)),
    }
    jobs
}

/// What any answer to the attacker may not hold: the victim's data, or the server's inside.
fn given_away(world: &World<'_>, request: &Request<'_>, answer: &Answer) -> Option<String> {
    leaked(answer, &world.victim, request).or_else(|| insides(answer))
}

/// What the attacker learns of a value of the victim's: from the answer to a request with it, and from how that
/// differs from the answer to one with what nothing has.
fn told_apart(
    world: &World<'_>,
    request: &Request<'_>,
    (answer, value): (&Answer, &str),
    (missing, nothing): (&Answer, &str),
) -> Option<String> {
    given_away(world, request, answer).or_else(|| difference((answer, value), (missing, nothing)))
}

/// The verdict on what an attack found.
fn judged(found: Option<String>) -> Attempt {
    Ok(Some(found.map_or(Verdict::Held, Verdict::Leak)))
}
