//! [`Resolve`]: how a name becomes addresses. Asked once per connection; what it answers is what is checked
//! and what is connected to.

use async_trait::async_trait;
use std::net::IpAddr;

/// The name has no address, or nobody could be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name could not be resolved")]
pub struct ResolveFailed;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of `name`, the best one first.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveFailed>;
}
