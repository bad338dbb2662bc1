//! A write that others come after before it is durable.

use crate::StoreError;
use futures::future::BoxFuture;

/// A write that has its place: whatever this tenant writes or reads afterwards comes after it, and if the
/// server stops now, nothing that came after it is there without it. It is durable once [`Self::written`] is
/// back without an error.
#[must_use = "what was placed may still fail to be written"]
pub struct Placed(Option<BoxFuture<'static, Result<(), StoreError>>>);

impl Placed {
    /// A write that becomes durable when this is ready.
    pub fn until(written: impl Future<Output = Result<(), StoreError>> + Send + 'static) -> Self {
        Self(Some(Box::pin(written)))
    }

    /// A write that is durable already.
    pub fn written_already() -> Self {
        Self(None)
    }

    /// Waits until it is durable.
    pub async fn written(self) -> Result<(), StoreError> {
        match self.0 {
            Some(written) => written.await,
            None => Ok(()),
        }
    }
}
