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

/// The operating system's resolver, which also knows its hosts file.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        let found = tokio::net::lookup_host((name, 0)).await.map_err(|_| ResolveFailed)?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Resolve, SystemResolver};

    #[tokio::test]
    async fn the_system_knows_localhost_and_not_what_cannot_be() {
        let found = SystemResolver.resolve("localhost").await;
        assert!(
            found.is_ok_and(|found| !found.is_empty() && found.iter().all(|address| address.is_loopback()))
        );
        assert!(SystemResolver.resolve("name.invalid").await.is_err());
    }
}
