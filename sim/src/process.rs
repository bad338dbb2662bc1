//! [`Process`]: a runtime with a clock that only the simulation moves.

use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Tasks that run, stand still and end together.
pub(crate) struct Process {
    runtime: Runtime,
    /// When it began, by the simulation's time and by its own.
    born: (i64, Instant),
}

impl Process {
    /// A process that begins now and has no tasks.
    pub(crate) fn new(now: i64) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let born = (now, runtime.block_on(async { Instant::now() }));
        Ok(Self { runtime, born })
    }

    /// Gives it a task.
    pub(crate) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Does this in it, at once.
    pub(crate) fn at_once<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Lets it run until this moment.
    pub(crate) fn run(&self, until: i64) {
        let then = self.at(until);
        self.runtime.block_on(async move { tokio::time::sleep_until(then).await });
    }

    /// Lets it wake up at this moment, after it had stood still: its clock jumps, and all that was due meanwhile is due
    /// at once.
    pub(crate) fn wake(&self, now: i64) {
        let then = self.at(now);
        self.runtime.block_on(async move {
            tokio::time::advance(then.saturating_duration_since(Instant::now())).await;
        });
    }

    fn at(&self, moment: i64) -> Instant {
        let (since, born) = self.born;
        born + Duration::from_millis(u64::try_from(moment - since).unwrap_or(0))
    }
}
