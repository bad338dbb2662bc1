//! [`Credentials`]: the seam between work that is done with a tenant's credentials and the vault that
//! keeps them.

use async_trait::async_trait;
use context::Tenant;
use egress::AttachedCredential;
use errors::{Code, Problem};
use ids::Slug;
use secret::SecretText;

/// Gives out a tenant's credentials to be used, never to be looked at.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The credential of a service, fresh, with the hosts that it may go to.
    async fn attach(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<AttachedCredential, Problem>;

    /// The same after the service answered 401 to what [`Credentials::attach`] gave: with a new access token,
    /// where there is one to be had. It is worth one more try, and no more.
    async fn refresh_now(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<AttachedCredential, Problem> {
        self.attach(tenant, service).await
    }

    /// The secret with which a service signs its deliveries.
    async fn signing_secret(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<SecretText, Problem>;
}

/// There are no credentials.
pub struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn attach(&self, _: &Tenant<'_>, service: &Slug) -> Result<AttachedCredential, Problem> {
        Err(missing(service))
    }

    async fn signing_secret(&self, _: &Tenant<'_>, service: &Slug) -> Result<SecretText, Problem> {
        Err(missing(service))
    }
}

fn missing(service: &Slug) -> Problem {
    Problem::new(Code::NotFound, format!("There is no credential for the service `{service}`."))
}
