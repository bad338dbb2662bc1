//! [`Standing`]: where the tenant stands, as the servers say. It is gone by for a second after it was asked for.

use crate::server::Server;
use app::own_workers::WorkerStanding;
use async_trait::async_trait;
use client::CallError;
use context::{CredentialIndex, IndexEntry, IndexUnavailable, KeyedHash, TenantStanding, TenantStatus};
use http::{Method, StatusCode};
use ids::TenantId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// For how long an answer is gone by.
const GONE_BY: Duration = Duration::from_secs(1);

/// Where the tenant stands. Clones are the same.
#[derive(Clone)]
pub struct Standing(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    server: Server,
    said: Mutex<Option<(TenantStanding, Instant)>>,
    dismissed: watch::Sender<bool>,
}

impl Standing {
    /// Nothing is known of this tenant yet.
    pub fn new(tenant: TenantId, server: Server) -> Self {
        let dismissed = watch::Sender::new(false);
        Self(Arc::new(Inner { tenant, server, said: Mutex::default(), dismissed }))
    }

    /// Asks, as long as this is carried on.
    pub async fn keep_asking(&self) {
        loop {
            self.look().await;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Asks once.
    pub async fn look(&self) {
        let asked = Instant::now();
        match self.ask().await {
            Ok(Some(standing)) => *self.said() = Some((standing, asked)),
            Ok(None) => {
                *self.said() = None;
                self.0.dismissed.send_replace(true);
            }
            // What was said last runs out by itself.
            Err(error) => tracing::warn!(%error, "no server says where the tenant stands"),
        }
    }

    /// Ready when the servers take the token no more.
    pub async fn dismissed(&self) {
        let mut dismissed = self.0.dismissed.subscribe();
        // The sender is this value's own.
        let _ = dismissed.wait_for(|dismissed| *dismissed).await;
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Option<(TenantStanding, Instant)>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a server says; nothing where it does not know the token.
    async fn ask(&self) -> Result<Option<TenantStanding>, CallError> {
        let nothing = None::<&()>;
        let answer = self.0.server.ask((Method::GET, "/v1/worker"), nothing, GONE_BY).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let said: WorkerStanding = answer.read()?;
        let unexpected = |what: &str| CallError::Unexpected(what.to_owned());
        if said.tenant != self.0.tenant {
            return Err(unexpected("it is about another tenant"));
        }
        let status = TenantStatus::parse(&said.status).ok_or_else(|| unexpected("an unknown status"))?;
        Ok(Some(TenantStanding {
            id: said.tenant,
            status,
            plan: said.plan,
            limits: Arc::new(said.limits),
            region: said.region,
            throwaway_until: said.throwaway_until,
            own_worker: true,
            pool: None,
        }))
    }
}

#[async_trait]
impl CredentialIndex for Standing {
    /// Nobody comes in by a credential here.
    async fn find(&self, _: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        Ok(None)
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        if tenant != self.0.tenant {
            return Ok(None);
        }
        let said = self.said();
        let fresh = said.as_ref().filter(|(_, asked)| asked.elapsed() < GONE_BY);
        fresh.map(|(standing, _)| Some(standing.clone())).ok_or(IndexUnavailable)
    }
}
