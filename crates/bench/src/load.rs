//! Callers that each ask, wait for the whole answer, and ask again.

use crate::wire::{Connection, Request};
use anyhow::bail;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) callers: usize,
    /// How long they ask, unless they run out of questions.
    pub(crate) span: Duration,
    /// How long each lets pass from one question to the next; without it, it asks as soon as it can.
    pub(crate) pace: Option<Duration>,
    /// Statuses that are no reason to stop, besides those of success.
    pub(crate) bears: &'static [u16],
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
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

impl Load {
    /// As many callers as that, who ask as fast as they are answered and stop at the first refusal.
    pub(crate) fn steady(address: SocketAddr, callers: usize, span: Duration) -> Self {
        Self { address, callers, span, pace: None, bears: &[] }
    }

    /// Asks what `request` gives for a caller and the number of its question, until there is none.
    pub(crate) fn run(&self, request: impl Fn(usize, usize) -> Option<Request>) -> anyhow::Result<Measured> {
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let calls = (0..self.callers).map(|caller| self.call(caller, &request, begun));
        let answers = runtime.block_on(futures::future::try_join_all(calls))?;
        let took = begun.elapsed();
        let (mut whole, mut first): (Vec<f64>, Vec<f64>) = answers.into_iter().flatten().unzip();
        whole.sort_by(f64::total_cmp);
        first.sort_by(f64::total_cmp);
        Ok(Measured { whole, first, took })
    }

    async fn call(
        &self,
        caller: usize,
        request: &impl Fn(usize, usize) -> Option<Request>,
        begun: Instant,
    ) -> anyhow::Result<Vec<(f64, f64)>> {
        let mut connection = Connection::open(self.address).await?;
        let mut answers = Vec::new();
        for number in 0.. {
            if let Some(pace) = self.pace {
                // Callers that all ask in the same instant would measure each other.
                let offset = pace.mul_f64(caller as f64 / self.callers as f64);
                let next = begun + offset + pace.saturating_mul(number);
                tokio::time::sleep_until(next.into()).await;
            }
            if begun.elapsed() >= self.span {
                break;
            }
            let Some(request) = request(caller, number as usize) else { break };
            let answer = connection.ask(&request).await?;
            if !(200..300).contains(&answer.status) && !self.bears.contains(&answer.status) {
                bail!("answered {}: {}", answer.status, String::from_utf8_lossy(connection.body()));
            }
            answers.push((answer.whole.as_secs_f64() * 1e3, answer.first.as_secs_f64() * 1e3));
        }
        Ok(answers)
    }
}
