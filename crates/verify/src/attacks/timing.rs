//! How long a 404 takes: the victim's object and one that nobody has, by turns, when nothing else goes on.

use super::{Attempt, Control, Job, judged};
use crate::description::Caller;
use crate::pattern::Pattern;
use crate::world::{Request, World};
use std::time::Duration;
use tokio::time::Instant;

/// Pairs of requests by which it is told whether more are worth the time.
const PAIRS: usize = 48;
/// By how many standard deviations these have to lean to one side (a sign test) for more to be made: by chance
/// one time in seven.
const SUSPICION: f64 = 1.5;
/// Pairs that decide. They are fresh ones, and so many that also a busy machine's noise does not hide a lean.
const DECIDING_PAIRS: usize = 240;
/// By how many standard deviations they have to lean: by chance four times in a million.
const DECISION: f64 = 4.6;
/// Less cannot be told over a network.
const LEAST: Duration = Duration::from_micros(100);

pub(super) fn jobs<'w>(world: &'w World<'_>, controls: &'w [Control<'w>]) -> Vec<Job<'w>> {
    let objects = controls.iter().filter(|control| {
        let operation = control.operation;
        let own = operation.caller == Caller::Tenant && operation.path.ends_with("{id}");
        // Models are the operator's, for all tenants.
        own && operation.is_safe() && !operation.path.starts_with("/v1/models/")
    });
    let jobs = objects.map(|control| {
        let place = format!("path {}", control.operation.path);
        let pattern = Pattern::new(control.operation, place, "the time that the victim's id takes");
        Job::new(pattern, timed(world, control))
    });
    jobs.collect()
}

async fn timed(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (theirs, _) = control.held()?;
    let operation = control.operation;
    let place = operation.path.clone();
    let Some(value) = theirs.fill.get(&place) else { return Err(format!("{place} has no value")) };
    if !world.send(theirs).await?.status.is_success() {
        return Err("the owner's object is gone".to_owned());
    }
    let foreign = theirs.by(&world.attacker.key);
    let pairs = async |count| {
        let mut pairs = Vec::with_capacity(count);
        for at in 0..count {
            let mut missing = foreign.clone();
            missing.fill.insert(place.clone(), world.missing(value));
            // Whichever comes second finds caches warm.
            pairs.push(if at % 2 == 0 {
                let first = time(world, &foreign).await?;
                (first, time(world, &missing).await?)
            } else {
                let first = time(world, &missing).await?;
                (time(world, &foreign).await?, first)
            });
        }
        Ok::<_, String>(pairs)
    };
    let found = match lean(&pairs(PAIRS).await?, SUSPICION) {
        Some(_) => lean(&pairs(DECIDING_PAIRS).await?, DECISION),
        None => None,
    };
    judged(found.map(|micros| format!("foreign and missing differ by {micros} µs in the median")))
}

async fn time(world: &World<'_>, request: &Request<'_>) -> Result<Duration, String> {
    let start = Instant::now();
    world.send(request).await?;
    Ok(start.elapsed())
}

/// The median difference in microseconds, where it is large enough and surely no chance.
fn lean(pairs: &[(Duration, Duration)], least: f64) -> Option<i64> {
    let micros = |time: &Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let mut differences: Vec<i64> =
        pairs.iter().map(|(foreign, missing)| micros(foreign).saturating_sub(micros(missing))).collect();
    differences.sort_unstable();
    let median = *differences.get(differences.len() / 2)?;
    let unlike = differences.iter().filter(|difference| **difference != 0).count() as f64;
    let longer = differences.iter().filter(|difference| **difference > 0).count() as f64;
    let deviations = (2.0 * longer - unlike).abs() / unlike.max(1.0).sqrt();
    (deviations >= least && median.abs() >= micros(&LEAST)).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::{DECIDING_PAIRS, DECISION, PAIRS, SUSPICION, lean};
    use env::{Env, Timestamp};
    use std::time::Duration;

    /// Times of about a millisecond with a long tail, as those of a busy machine are.
    fn noisy(env: &Env) -> Duration {
        let [a, b, c] = env.random::<3>();
        let tail = if c > 240 { 20 * u64::from(b) } else { u64::from(b) };
        Duration::from_micros(900 + u64::from(a) + tail)
    }

    /// What is found where the foreign object takes this much longer.
    fn found(env: &Env, longer: Duration, noise: impl Fn(&Env) -> Duration) -> bool {
        let pairs = |count| (0..count).map(|_| (noise(env) + longer, noise(env))).collect::<Vec<_>>();
        lean(&pairs(PAIRS), SUSPICION).is_some() && lean(&pairs(DECIDING_PAIRS), DECISION).is_some()
    }

    #[test]
    fn noise_is_no_difference_and_half_a_millisecond_is() {
        let env = Env::fixed(Timestamp::from_millis(0), 7).0;
        for _ in 0..2000 {
            assert!(!found(&env, Duration::ZERO, noisy));
            assert!(found(&env, Duration::from_micros(500), noisy));
        }
    }

    #[test]
    fn five_milliseconds_are_found_under_noise_of_twenty() {
        let env = Env::fixed(Timestamp::from_millis(0), 7).0;
        let busy = |env: &Env| noisy(env) + Duration::from_micros(78 * u64::from(env.random::<1>()[0]));
        let times = (0..500).filter(|_| found(&env, Duration::from_millis(5), busy)).count();
        assert!(times > 400, "found {times} times of 500");
        assert!(!(0..2000).any(|_| found(&env, Duration::ZERO, busy)));
    }
}
