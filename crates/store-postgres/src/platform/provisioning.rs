//! What the server asks of whoever may make schemas, databases and roles, and how it hears that it is done.

use super::Platform;
use crate::error::Fault;
use crate::home::{Session, params};
use ids::{Id as _, TenantId};
use std::time::Duration;
use store::{Isolation, StoreError};
use tokio::time::{sleep, timeout};

/// How soon it is looked whether it is done, at first and at most.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_millis(500);

/// What the platform knows of a tenant's own home.
pub(crate) struct HomeRow {
    pub(crate) isolation: Isolation,
    pub(crate) sealed: Vec<u8>,
    pub(crate) version: i64,
}

impl Platform {
    /// What is known of a tenant's own home.
    pub(crate) async fn home(&self, tenant: TenantId) -> Result<Option<HomeRow>, Fault> {
        let select = "SELECT isolation, sealed, version FROM tenantry.home WHERE tenant = $1";
        let id = tenant.to_bytes();
        let rows = self.query(select, params![id.as_slice() => BYTEA]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let isolation = Isolation::parse(row.try_get(0)?).ok_or(Fault::Damaged("the row of a home"))?;
        Ok(Some(HomeRow { isolation, sealed: row.try_get(1)?, version: row.try_get(2)? }))
    }

    /// Has a home made, and waits for it. Where nobody makes it in time, it is to be removed again.
    pub(crate) async fn make_home(&self, tenant: TenantId, isolation: Isolation) -> Result<(), Fault> {
        let session = self.home.session().await?;
        if !ask(&session, tenant, "make", isolation).await? {
            return Err(StoreError::Exists("a tenant with this id".to_owned()).into());
        }
        drop(session);
        match timeout(self.patience, self.until_done(tenant, "make")).await {
            Ok(Ok(true)) => Ok(()),
            outcome => {
                self.unmake_home(tenant, isolation).await?;
                match outcome {
                    Ok(Err(fault)) => Err(fault),
                    _ => Err(StoreError::ProvisioningUnavailable.into()),
                }
            }
        }
    }

    /// Has a home removed whose tenant did not come to be.
    pub(crate) async fn unmake_home(&self, tenant: TenantId, isolation: Isolation) -> Result<(), Fault> {
        let session = self.home.session().await?;
        ask(&session, tenant, "remove", isolation).await.map(drop)
    }

    /// Has a tenant's home removed, in the transaction that ends the tenant.
    pub(crate) async fn remove_home(
        &self,
        session: &Session,
        tenant: TenantId,
        isolation: Isolation,
    ) -> Result<(), Fault> {
        ask(session, tenant, "remove", isolation).await.map(drop)
    }

    /// The kind of a home that was asked for, and whose tenant is not there.
    pub(crate) async fn orphan(&self, tenant: TenantId) -> Result<Option<Isolation>, Fault> {
        let select = "SELECT isolation FROM tenantry.provisioning WHERE tenant = $1 AND what = 'make'
            AND NOT EXISTS(SELECT 1 FROM tenantry.tenant WHERE tenant.id = $1)";
        let id = tenant.to_bytes();
        let rows = self.query(select, params![id.as_slice() => BYTEA]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Isolation::parse(row.try_get(0)?).map(Some).ok_or(Fault::Damaged("the queue of homes"))
    }

    /// Whether a home was removed within the time that somebody waits for it.
    pub(crate) async fn home_is_gone(&self, tenant: TenantId) -> bool {
        matches!(timeout(self.patience, self.until_done(tenant, "remove")).await, Ok(Ok(true)))
    }

    /// Waits until it is done, or has failed for good.
    async fn until_done(&self, tenant: TenantId, what: &str) -> Result<bool, Fault> {
        let id = tenant.to_bytes();
        let state = "SELECT state FROM tenantry.provisioning WHERE tenant = $1 AND what = $2";
        let mut pause = SOON;
        loop {
            let rows = self.query(state, params![id.as_slice() => BYTEA, what => TEXT]).await?;
            match rows.first().map(|row| row.try_get::<_, &str>(0)).transpose()? {
                Some("done") => return Ok(true),
                Some("waiting") => {}
                // What was removed is forgotten a while later.
                None => return Ok(what == "remove"),
                _ => return Ok(false),
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LATER);
        }
    }
}

/// Asks, unless it was asked before.
async fn ask(session: &Session, tenant: TenantId, what: &str, isolation: Isolation) -> Result<bool, Fault> {
    let ask = "INSERT INTO tenantry.provisioning(tenant, what, isolation) VALUES($1, $2, $3)
        ON CONFLICT (tenant, what) DO NOTHING";
    let id = tenant.to_bytes();
    let values = params![id.as_slice() => BYTEA, what => TEXT, isolation.as_str() => TEXT];
    Ok(session.execute_typed(ask, values).await? == 1)
}
