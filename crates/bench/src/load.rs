//! Callers that each ask, wait for the whole answer, and ask again.

use crate::wire::{Connection, Request};
use anyhow::bail;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) callers: usize,
    pub(crate) span: Duration,
}

/// What came of it, in milliseconds and in order.
pub(crate) struct Measured {
    whole: Vec<f64>,
    first: Vec<f64>,
    took: Duration,
}

impl Measured {
    pub(crate) fn count(&self) -> f64 {
        self.whole.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
    }

    pub(crate) fn whole(&self, share: f64) -> f64 {
        quantile(&self.whole, share)
    }

    pub(crate) fn first(&self, share: f64) -> f64 {
        quantile(&self.first, share)
    }
}

/// Of values in order.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

impl Load {
    /// Asks what `request` gives for each caller. A refused request ends the measurement.
    pub(crate) fn run(&self, request: impl Fn(usize) -> Request + Sync) -> anyhow::Result<Measured> {
        let begun = Instant::now();
        let answers = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..self.callers)
                .map(|caller| {
                    let request = request(caller);
                    scope.spawn(move || self.call(&request, begun))
                })
                .collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap_or_else(|_| bail!("a caller panicked")))
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        let took = begun.elapsed();
        let (mut whole, mut first): (Vec<f64>, Vec<f64>) = answers.into_iter().flatten().unzip();
        whole.sort_by(f64::total_cmp);
        first.sort_by(f64::total_cmp);
        Ok(Measured { whole, first, took })
    }

    fn call(&self, request: &Request, begun: Instant) -> anyhow::Result<Vec<(f64, f64)>> {
        let mut connection = Connection::open(self.address)?;
        let mut answers = Vec::new();
        while begun.elapsed() < self.span {
            let answer = connection.ask(request)?;
            if answer.status != 200 {
                bail!("answered {}: {}", answer.status, String::from_utf8_lossy(connection.body()));
            }
            answers.push((answer.whole.as_secs_f64() * 1e3, answer.first.as_secs_f64() * 1e3));
        }
        Ok(answers)
    }
}
