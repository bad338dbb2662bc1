//! [`Notice`]: what somebody who follows a run or listens to messages is told, and the visit that tells it.

use context::{Admission, Tenant};
use errors::Problem;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

/// Notices that wait for a reader. One that is this far behind for a while is dropped.
const AHEAD: usize = 64;
/// How long a reader may take for one notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The longest that something is followed; a reader asks again with the last id that it saw.
const LONGEST: Duration = Duration::from_secs(3600);

/// Something that a follower is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Where to go on after it, where that is a place to go on from.
    pub id: Option<String>,
    /// What kind of thing it is.
    pub name: String,
    /// What there is to know, as JSON.
    pub data: Value,
}

/// A follower that waits to hear whether it may follow.
pub(crate) struct Ready(oneshot::Sender<Result<mpsc::Receiver<Notice>, Problem>>);

impl Ready {
    /// It may not.
    pub(crate) fn refuse(self, problem: Problem) {
        // Whoever asked may be gone.
        let _ = self.0.send(Err(problem));
    }

    /// It may: where to tell. `None` where it is gone.
    pub(crate) fn go(self) -> Option<mpsc::Sender<Notice>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        self.0.send(Ok(receiver)).is_ok().then_some(sender)
    }
}

/// Tells a follower what happens, in a visit of its own: it outlives the request that asked for it.
pub(crate) async fn follower<F>(admission: Admission, tell: F) -> Result<mpsc::Receiver<Notice>, Problem>
where
    F: for<'t> FnOnce(Tenant<'t>, Ready) -> Pin<Box<dyn Future<Output = ()> + Send + 't>> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let visit = admission.enter_boxed(move |tenant| tell(tenant, Ready(answer)));
    // It ends with what it tells of, with its reader, or after LONGEST.
    tokio::spawn(async move { tokio::time::timeout(LONGEST, visit).await.ok() }.in_current_span());
    answered.await.unwrap_or_else(|_| Err(Problem::internal()))
}
