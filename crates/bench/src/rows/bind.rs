//! From a key to the tenant's context, with its plan, its rights and its store. In this process, with the
//! server's own store and authenticator: over a socket the socket would be most of it.

use super::Plan;
use crate::figure::{Figure, Target};
use crate::inside::{Inside, Then};
use crate::load::quantile;
use std::time::Duration;

/// How many tenants are bound by turns where all are in use already.
const WARM: usize = 100;
/// How many, each once, where none is, and how many of these have stored something and so have a file.
const COLD: usize = 2_000;
const FILES: usize = 500;

pub(crate) fn warm(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let crowd = plan.crowd(COLD)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut p50, mut p99) = (vec![], vec![]);
    runtime.block_on(async {
        let inside = Inside::open(&crowd.data()).await?;
        let keys: Vec<_> = crowd.keys.iter().take(WARM).collect();
        for _ in 0..=plan.rounds {
            let mut times = Vec::new();
            for key in keys.iter().cycle().take(WARM * 200) {
                times.push(inside.bind(key, Then::Holds).await?);
            }
            let times = sorted(&times, 1e6);
            p50.push(quantile(&times, 0.5));
            p99.push(quantile(&times, 0.99));
        }
        anyhow::Ok(())
    })?;
    // The first round made them warm.
    Ok(vec![
        Figure::new("bind_warm.p50", &p50[1..], "µs", Target::AtMost(20.0), &[]),
        Figure::new("bind_warm.p99", &p99[1..], "µs", Target::AtMost(200.0), &[]),
    ])
}

pub(crate) fn cold(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let crowd = plan.crowd(COLD)?;
    let (with_file, without) = crowd.keys[..COLD].split_at(FILES);
    let (mut p50, mut p99, mut files50, mut files99, mut empty50) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..=plan.rounds {
        // A fresh store each time, in which nobody is in use.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (files, empty) = runtime.block_on(async {
            let inside = Inside::open(&crowd.data()).await?;
            inside.keep_few_open();
            if round == 0 {
                for key in with_file {
                    inside.keep_something(key).await?;
                }
            }
            anyhow::Ok((bind_each(&inside, with_file).await?, bind_each(&inside, without).await?))
        })?;
        if round == 0 {
            // What the system had to read from the disk is in its page cache now.
            continue;
        }
        p50.push(quantile(&files.bound, 0.5));
        p99.push(quantile(&files.bound, 0.99));
        files50.push(quantile(&files.read, 0.5));
        files99.push(quantile(&files.read, 0.99));
        empty50.push(quantile(&empty.bound, 0.5));
    }
    Ok(vec![
        Figure::new("bind_cold.p50", &p50, "ms", Target::AtMost(1.0), &files50),
        Figure::new("bind_cold.p99", &p99, "ms", Target::AtMost(5.0), &files99),
        Figure::new("bind_cold.empty_p50", &empty50, "ms", Target::None, &[]),
    ])
}

/// Milliseconds, sorted.
struct Bound {
    /// From the key to the first read.
    bound: Vec<f64>,
    /// The first read alone, which opens the tables.
    read: Vec<f64>,
}

/// Binds tenants that are not in use, each once.
async fn bind_each(inside: &Inside, keys: &[String]) -> anyhow::Result<Bound> {
    let (mut bound, mut read) = (Vec::new(), Vec::new());
    for key in keys {
        let held = inside.bind(key, Then::Holds).await?;
        let opened = inside.bind(key, Then::Reads).await?;
        bound.push(held + opened);
        read.push(opened);
    }
    Ok(Bound { bound: sorted(&bound, 1e3), read: sorted(&read, 1e3) })
}

fn sorted(times: &[Duration], unit: f64) -> Vec<f64> {
    let mut values: Vec<_> = times.iter().map(|time| time.as_secs_f64() * unit).collect();
    values.sort_by(f64::total_cmp);
    values
}
