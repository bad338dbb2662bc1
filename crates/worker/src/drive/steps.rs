//! The attempts of one run that are under way.

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use workflow::{NodeName, Outcome};

type Attempt = (NodeName, u32, Option<Outcome>);

/// Attempts under way. They are carried on whenever the next outcome is waited for.
#[derive(Default)]
pub(super) struct Steps<'t> {
    running: FuturesUnordered<BoxFuture<'t, Attempt>>,
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
            let (node, attempt, outcome) = self.running.next().await?;
            if let Some(outcome) = outcome {
                self.handles.remove(&(node.clone(), attempt));
                return Some((node, attempt, outcome));
            }
        }
    }
}
