//! [`Writes`]: what changes something is carried out in a task of its own. A caller who hangs up ends the
//! waiting and not the work, which would otherwise stop wherever it was.

use crate::problem::Refused;
use axum::response::{IntoResponse, Response};
use errors::{Code, Problem};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

/// Writes under way at once. Beyond them callers are told to come back. One tenant's are bounded by its
/// bodies' share and by its requests a second long before.
const MOST: u32 = 65_536;

/// The writes that are under way.
#[derive(Clone)]
pub(crate) struct Writes(Arc<Semaphore>);

impl Default for Writes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST as usize)))
    }
}

impl Writes {
    /// Carries `work` out to its end, whether or not anybody still waits for it.
    pub(crate) async fn carry_out(&self, work: impl Future<Output = Response> + Send + 'static) -> Response {
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            let detail = "The server is draining, or has too many writes under way. Try again.";
            return refused(Problem::new(Code::Unavailable, detail).retry_after(1));
        };
        let task = tokio::spawn(
            async move {
                let response = work.await;
                drop(place);
                response
            }
            .in_current_span(),
        );
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a write ended early");
            refused(Problem::internal())
        })
    }

    /// Waits until none is under way, and begins no other.
    pub(crate) async fn drained(&self) {
        let all = self.0.acquire_many(MOST).await;
        self.0.close();
        drop(all);
    }
}

fn refused(problem: Problem) -> Response {
    Refused(problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::Writes;
    use axum::response::IntoResponse as _;
    use http::StatusCode;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_without_its_caller_and_is_waited_for() {
        let writes = Writes::default();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut caller = Box::pin(writes.carry_out(async move {
            gone.await.unwrap();
            tell.send(()).unwrap();
            StatusCode::OK.into_response()
        }));
        assert!(futures::poll!(&mut caller).is_pending());
        drop(caller);
        let mut drained = Box::pin(writes.drained());
        assert!(futures::poll!(&mut drained).is_pending());
        go.send(()).unwrap();
        drained.await;
        assert_eq!(told.await, Ok(()));
        let late = writes.carry_out(async { StatusCode::OK.into_response() }).await;
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
