//! Using credentials: the ways in which a secret leaves the vault, each for one use.

use super::Vault;
use super::contents::{ApiKey, Contents, Need, Secret, Unsendable};
use super::refresh::{must_be_stored_again, unopenable};
use super::seal::Place;
use crate::Credentials;
use crate::gateway::UpstreamKeys;
use async_trait::async_trait;
use context::{Access, Invoke, Private, Tenant, door, on};
use egress::{AttachedCredential, Host};
use env::Timestamp;
use errors::{Code, Problem};
use futures::FutureExt;
use ids::Slug;
use model::EndpointUrl;
use secret::SecretText;
use std::sync::Arc;
use std::time::Duration;
use store::{Credential, CredentialStatus, Objects, StoreError};

/// How long a caller waits for a new token while the old one can still be used.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a caller waits for a new token that it cannot do without.
const WAIT: Duration = Duration::from_secs(75);

/// What a credential is opened for.
enum Use<'t> {
    /// A call of the outside service that it is for.
    Service(Access<'t, Invoke<on::Credential>>),
    /// A call of a model that it carries.
    Model(Access<'t, Invoke<on::Model>>),
}

impl<'t> Use<'t> {
    fn tenant(&self) -> &Tenant<'t> {
        match self {
            Self::Service(access) => access.tenant(),
            Self::Model(access) => access.tenant(),
        }
    }
}

impl Vault {
    /// The credential for a service as a header field with the hosts that it may go to. An access token that
    /// is about to end is renewed first.
    pub async fn attach<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: &Slug,
    ) -> Result<Private<'t, AttachedCredential>, Problem> {
        let access = Use::Service(tenant.authorize()?);
        let contents = self.live(&access, service, Need::Due).await?;
        attached(&contents, service)
    }

    /// The same, when a service answered 401 to what [`Vault::attach`] gave: with a new access token, unless
    /// the one there is newer than a few seconds. What is no access token is what it was.
    pub async fn refresh_now<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: &Slug,
    ) -> Result<Private<'t, AttachedCredential>, Problem> {
        let access = Use::Service(tenant.authorize()?);
        let contents = self.live(&access, service, Need::Refused).await?;
        attached(&contents, service)
    }

    /// The secret by which a service signs its webhooks: for comparing, and never sent.
    pub async fn webhook_secret<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: &Slug,
    ) -> Result<Private<'t, SecretText>, Problem> {
        let access = Use::Service(tenant.authorize()?);
        let secret = |contents: Contents| match contents.secret {
            Secret::WebhookSecret(webhook) => Ok(webhook.secret),
            // Whoever delivers a webhook is told the same as where there is no credential at all.
            _ => Err(missing(service)),
        };
        self.open(&access, service).await?.try_map(secret)
    }

    /// The tenant's own key for a model's provider, if it has one that may go to this host. In the clear it
    /// goes only where the operator made an exception for the host and port.
    ///
    /// Whoever may call the model may have its call carried by the tenant's key: the operator bound the
    /// endpoint to the service, and the tenant stored the key for its host.
    pub async fn upstream_key<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: &Slug,
        (host, port, secure): (&Host, u16, bool),
    ) -> Result<Option<SecretText>, Problem> {
        let access = Use::Model(tenant.authorize()?);
        let contents = match self.live(&access, service, Need::Due).await {
            Err(problem) if problem.code == Code::NotFound => return Ok(None),
            contents => contents?,
        };
        // The operator chose the endpoint, but not to show the tenant's key to everyone on the way there.
        if !secure && !self.refresher.policy.opens(host, port) {
            return Err(egress::EgressError::CredentialInTheClear.into());
        }
        let key = contents.map(|contents| names(&contents, host, port).then(|| key(contents)).flatten());
        Ok(door::upstream(tenant, key).map_err(StoreError::from)?)
    }

    /// An opened credential that can be used at once.
    async fn live<'t>(
        &self,
        access: &Use<'t>,
        service: &Slug,
        need: Need,
    ) -> Result<Private<'t, Contents>, Problem> {
        let contents = self.open(access, service).await?;
        let now = self.refresher.env.now();
        if !contents.is(|contents| wants(contents, need, now)) {
            return Ok(contents);
        }
        let usable = contents.is(|contents| is_live(contents, now));
        let refreshed = self.refreshed(access.tenant(), service, need, usable).await;
        let contents = self.open(access, service).await?;
        let now = self.refresher.env.now();
        if contents.is(|contents| is_live(contents, now)) {
            // What cannot be renewed yet is used as long as it lasts, but a refused token is of no use.
            match refreshed {
                Err(problem) if need == Need::Refused => Err(problem),
                _ => Ok(contents),
            }
        } else {
            refreshed?;
            let detail = "The credential has no access token that can be used now.";
            Err(Problem::new(Code::Unavailable, detail).retry_after(1))
        }
    }

    /// Waits for a refresh, as long as it makes sense.
    async fn refreshed(
        &self,
        tenant: &Tenant<'_>,
        service: &Slug,
        need: Need,
        usable: bool,
    ) -> Result<(), Problem> {
        let (refresher, behind) = (Arc::clone(&self.refresher), tenant.principal().id.clone());
        let (id, name) = (tenant.id(), service.clone());
        let flight =
            self.flights.join((id, name.clone()), || refresher.run(id, name, behind, need).boxed())?;
        let mut wait = if usable && need == Need::Due { PATIENCE } else { WAIT };
        if let Some(deadline) = tenant.deadline() {
            wait = wait.min(deadline.since(self.refresher.env.now()));
        }
        tokio::time::timeout(wait, flight).await.unwrap_or_else(|_| {
            let detail = "The credential is being refreshed, and that takes long.";
            Err(Problem::new(Code::UpstreamTimeout, detail))
        })
    }

    /// The opened credential.
    async fn open<'t>(&self, access: &Use<'t>, service: &Slug) -> Result<Private<'t, Contents>, Problem> {
        let (tenant, store) = (access.tenant(), &self.refresher.store);
        let found = match access {
            Use::Service(access) => store.get_to_use::<Credential>(access, service.as_str()).await,
            Use::Model(access) => store.credential_of_model(access, service.as_str()).await,
        };
        let found = found.map_err(|error| match error {
            StoreError::NotFound => missing(service),
            error => error.into(),
        })?;
        let sealer = self.refresher.sealer(tenant).await?;
        found.try_map(|(row, _)| {
            if row.status == CredentialStatus::NeedsReauthorization {
                return Err(must_be_stored_again(service));
            }
            let opened = sealer.open(Place::of(tenant.id(), &row), &row.sealed);
            opened.map_err(|error| unopenable(tenant, service, error))
        })
    }
}

fn attached<'t>(
    contents: &Private<'t, Contents>,
    service: &Slug,
) -> Result<Private<'t, AttachedCredential>, Problem> {
    contents.as_ref().try_map(|contents| contents.attached()).map_err(|error| match error {
        Unsendable::WebhookSecret => {
            let detail = format!("The credential `{service}` is a webhook secret, which never leaves.");
            Problem::new(Code::Conflict, detail)
        }
        Unsendable::NoToken | Unsendable::Header(_) => must_be_stored_again(service),
    })
}

fn missing(service: &Slug) -> Problem {
    let detail = format!(
        "There is no credential `{service}` of the kind that is needed. Store it with `PUT /v1/credentials/{service}`."
    );
    Problem::new(Code::NotFound, detail)
}

fn wants(contents: &Contents, need: Need, now: Timestamp) -> bool {
    matches!(&contents.secret, Secret::OAuth2(oauth) if oauth.wants(need, now))
}

fn is_live(contents: &Contents, now: Timestamp) -> bool {
    !matches!(&contents.secret, Secret::OAuth2(oauth) if !oauth.is_live(now))
}

fn names(contents: &Contents, host: &Host, port: u16) -> bool {
    contents.hosts.iter().any(|pattern| pattern.matches(host, port))
}

fn key(contents: Contents) -> Option<SecretText> {
    match contents.secret {
        Secret::ApiKey(ApiKey { key, .. }) => Some(key),
        Secret::OAuth2(oauth) => Some(oauth.access?.token),
        Secret::Basic(_) | Secret::WebhookSecret(_) => None,
    }
}

#[async_trait]
impl UpstreamKeys for Vault {
    async fn key(
        &self,
        tenant: &Tenant<'_>,
        service: &Slug,
        endpoint: &EndpointUrl,
    ) -> Result<Option<SecretText>, Problem> {
        let host = Host::parse(endpoint.host()).map_err(|_| Problem::internal())?;
        self.upstream_key(tenant, service, (&host, endpoint.port(), endpoint.is_secure())).await
    }
}

/// Work for the tenant takes what it needs through the door to outside services: that is where the header
/// field goes, and a signing secret came from there and is compared with what came from there.
#[async_trait]
impl Credentials for Vault {
    async fn attach(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<AttachedCredential, Problem> {
        let attached = Vault::attach(self, tenant, service).await?;
        Ok(door::tool(tenant, attached).map_err(StoreError::from)?)
    }

    async fn refresh_now(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<AttachedCredential, Problem> {
        let attached = Vault::refresh_now(self, tenant, service).await?;
        Ok(door::tool(tenant, attached).map_err(StoreError::from)?)
    }

    async fn signing_secret(&self, tenant: &Tenant<'_>, service: &Slug) -> Result<SecretText, Problem> {
        let secret = self.webhook_secret(tenant, service).await?;
        Ok(door::tool(tenant, secret).map_err(StoreError::from)?)
    }
}
