//! The operating system's resolver.

use async_trait::async_trait;
use egress::{Resolve, ResolveFailed};
use std::net::IpAddr;

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
    use super::SystemResolver;
    use egress::Resolve;

    #[tokio::test]
    async fn the_system_knows_localhost_and_not_what_cannot_be() {
        let found = SystemResolver.resolve("localhost").await;
        assert!(
            found.is_ok_and(|found| !found.is_empty() && found.iter().all(|address| address.is_loopback()))
        );
        assert!(SystemResolver.resolve("name.invalid").await.is_err());
    }
}
