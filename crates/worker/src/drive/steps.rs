//! The attempts of one run that are under way.

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use workflow::{NodeName, Outcome};

type Attempt = (NodeName, u32, Option<Outcome>);

/// Attempts under way. They are carried on whenever the next outcome is waited for, and [`Steps::meanwhile`]
/// something else is. Whoever waits otherwise may wait for a step that nobody carries on.
#[derive(Default)]
pub(super) struct Steps<'t> {
    running: FuturesUnordered<BoxFuture<'t, Attempt>>,
    /// Those that ended while something else was waited for.
    ended: VecDeque<Attempt>,
    handles: HashMap<(NodeName, u32), AbortHandle>,
}

impl<'t> Steps<'t> {
    pub(super) fn add(&mut self, node: NodeName, attempt: u32, work: BoxFuture<'t, Outcome>) {
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert((node.clone(), attempt), handle);
        let work = Abortable::new(work, registration);
        self.running.push(Box::pin(async move { (node, attempt, work.await.ok()) }));
    }

    pub(super) fn abort(&mut self, node: &NodeName, attempt: u32) {
        if let Some(handle) = self.handles.remove(&(node.clone(), attempt)) {
            handle.abort();
        }
    }

    /// The next outcome; `None` where nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(NodeName, u32, Outcome)> {
        loop {
            let ended = match self.ended.pop_front() {
                Some(ended) => ended,
                None => self.running.next().await?,
            };
            let (node, attempt, outcome) = ended;
            if let Some(outcome) = outcome {
                self.handles.remove(&(node.clone(), attempt));
                return Some((node, attempt, outcome));
            }
        }
    }

    /// Waits for something and carries the steps on meanwhile.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(ended) = self.running.next() => self.ended.push_back(ended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Steps;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::{Notify, OnceCell};
    use workflow::Outcome;

    /// A store is opened by whoever comes first; if that is a step, a commit waits for the step.
    #[tokio::test]
    async fn a_step_is_carried_on_while_its_driver_waits_for_what_the_step_holds() {
        let (cell, begun, go) = (Arc::new(OnceCell::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut steps = Steps::default();
        let (held, announced, awaited) = (Arc::clone(&cell), Arc::clone(&begun), Arc::clone(&go));
        let node: workflow::NodeName = "opens".parse().unwrap();
        let opens = async move {
            let opened = held.get_or_init(async || {
                announced.notify_one();
                awaited.notified().await;
                1
            });
            assert_eq!(*opened.await, 1);
            Outcome::Unknown
        };
        steps.add(node.clone(), 1, Box::pin(opens));
        steps.meanwhile(begun.notified()).await;
        go.notify_one();
        let opened = steps.meanwhile(cell.get_or_init(async || 2));
        assert_eq!(*tokio::time::timeout(Duration::from_secs(30), opened).await.unwrap(), 1);
        assert_eq!(steps.next().await, Some((node, 1, Outcome::Unknown)));
        assert_eq!(steps.next().await, None);
    }
}
