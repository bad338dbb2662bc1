//! Turns at a tenant's database: however many calls a tenant has, it holds few of the threads that all
//! tenants share.

use crate::error::Fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many of a tenant's calls are on threads at once: one at work, and one that goes on after it.
const AT_ONCE: usize = 2;
/// How many more wait: beyond them the caller is told to come back.
const MAX_WAITING: usize = 1024;

/// The turns of one tenant.
pub(super) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

impl Turns {
    /// Waits for a turn.
    pub(super) async fn next(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let waiting = Waiting::among(&self.waiting).ok_or(Fault::Answer(StoreError::Unavailable))?;
        let turn = self.free.clone().acquire_owned().await;
        drop(waiting);
        turn.map_err(|_| Fault::Stopped)
    }

    /// A turn, if there is one at once.
    pub(super) fn at_once(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }
}

/// One among those who wait, for as long as it does.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn among(waiting: &'w AtomicUsize) -> Option<Self> {
        let place = waiting.fetch_add(1, Ordering::Relaxed);
        let among = Self(waiting);
        (place < MAX_WAITING).then_some(among)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, MAX_WAITING, Turns};
    use crate::error::Fault;
    use futures::FutureExt as _;
    use store::StoreError;

    #[tokio::test]
    async fn few_are_at_work_many_wait_and_the_rest_is_told() {
        let turns = Turns::default();
        let mut at_work = Vec::new();
        for _ in 0..AT_ONCE {
            at_work.push(turns.next().await.unwrap());
        }
        assert!(turns.at_once().is_none());
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(turns.next())).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert_eq!(turns.next().await.err(), Some(Fault::Answer(StoreError::Unavailable)));
        at_work.pop();
        assert!(waiting[0].as_mut().now_or_never().unwrap().is_ok());
        drop(waiting);
        drop(at_work);
        assert!(turns.next().await.is_ok());
    }
}
