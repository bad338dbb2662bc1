//! Statements about runs of tenants that may have been moved meanwhile. The shared table of work is the platform's and
//! asks for no token, so that it refuses nothing: what is not found there is looked for where the tenant is now.

use super::{AT_ONCE, Columns, SOON, in_time, lease, turn};
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, Param, params};
use crate::platform::id_of;
use context::Lease;
use futures::{StreamExt as _, stream};
use ids::{Id as _, TenantId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio_postgres::Row;

impl PostgresStore {
    /// A statement about all runs of a tenant.
    pub(super) async fn about_all(&self, tenant: TenantId, statement: &str) -> Result<Vec<Row>, Fault> {
        let id = tenant.to_bytes();
        self.about_one(tenant, None, (statement, params![id.as_slice() => BYTEA]), |_| false).await
    }

    /// A statement about runs of a tenant, in turn with whoever gives some of them away where `in_turn` has the tenant. The
    /// shared table does not say whether the tenant has left it, so where the rows do not, it is looked whether the tenant
    /// is still there.
    pub(super) async fn about_one(
        &self,
        tenant: TenantId,
        in_turn: Option<&[Param<'_>]>,
        about: (&str, &[Param<'_>]),
        conclusive: impl Fn(&[Row]) -> bool,
    ) -> Result<Vec<Row>, Fault> {
        let handle = self.handle(tenant).await?;
        loop {
            let run = |home: Arc<Home>| async move {
                let own = home.isolation().map(|_| tenant);
                let turn = in_turn.map(|values| (turn(own), values));
                Ok((home.about_runs(own, turn, about).await?, home))
            };
            let (rows, home) = handle.there(run).await?;
            if conclusive(&rows) {
                return Ok(rows);
            }
            self.find_anew([tenant]).await?;
            if Arc::ptr_eq(&home, &handle.home()) {
                return Ok(rows);
            }
        }
    }

    /// Statements about leases that somebody holds, each about those that the ones before did not find, and those of them
    /// that were found. What is not found, or what is refused, may be of a tenant that has been moved meanwhile, and is looked for once more where that is now.
    pub(super) async fn about_held(
        &self,
        held: &[(TenantId, Lease)],
        statements: &[&str],
        more: &[Param<'_>],
    ) -> Result<HashSet<(TenantId, Lease)>, Fault> {
        let (mut found, mut asked) = (HashSet::new(), HashMap::new());
        for last in [false, true] {
            let left: Vec<_> = held.iter().filter(|it| !found.contains(*it)).copied().collect();
            if last {
                self.find_anew(left.iter().map(|(tenant, _)| *tenant)).await?;
            }
            let homes = stream::iter(self.by_home(&left, |(tenant, _)| *tenant).await.homes);
            let asking = homes.map(async |(own, home, mut its)| {
                its.retain(|(tenant, _)| asked.get(tenant).is_none_or(|before| !Arc::ptr_eq(before, &home)));
                let its_found = match its.is_empty() {
                    true => Ok(Vec::new()),
                    false => in_time(home.about_leases(own, &its, (statements, more))).await,
                };
                (own, home, its, its_found)
            });
            let all: Vec<_> = asking.buffer_unordered(AT_ONCE).collect().await;
            for (own, home, its, its_found) in all {
                match (its_found, own) {
                    (Ok(its_found), _) => {
                        asked.extend(its.iter().map(|(tenant, _)| (*tenant, home.clone())));
                        found.extend(its_found);
                    }
                    // Who has a home of its own that does not answer loses its leases, and nobody else's wait.
                    (Err(fault), Some(tenant)) => {
                        tracing::warn!(tenant.id = %tenant, %fault, "a tenant's own home does not answer for its runs");
                    }
                    (Err(fault), None) if last || !fault.may_be_of_a_move() => return Err(fault),
                    (Err(_), None) => {}
                }
            }
        }
        Ok(found)
    }

    /// Looks for those of these tenants anew that have been moved.
    pub(super) async fn find_anew(&self, tenants: impl IntoIterator<Item = TenantId>) -> Result<(), Fault> {
        let tenants: Vec<_> = tenants.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        if tenants.is_empty() || self.inner().own().is_some() {
            return Ok(());
        }
        for (tenant, isolation) in self.inner().platform.isolations_of(&tenants).await? {
            let Some(handle) = self.in_use(tenant) else { continue };
            if let Err(fault) = in_time(handle.find_anew(isolation)).await {
                tracing::warn!(tenant.id = %tenant, %fault, "a tenant's new home was not found");
            }
        }
        Ok(())
    }
}

impl Home {
    /// Statements about leases of tenants whose home this is, until all are found.
    async fn about_leases(
        &self,
        own: Option<TenantId>,
        leases: &[(TenantId, Lease)],
        (statements, more): (&[&str], &[Param<'_>]),
    ) -> Result<Vec<(TenantId, Lease)>, Fault> {
        let (mut found, mut left) = (Vec::new(), leases.to_vec());
        for (number, statement) in statements.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(SOON).await;
            }
            let Columns([tenants, runs, workers], fences) = Columns::of(&left);
            let values = params![tenants => BYTEA_ARRAY, runs => BYTEA_ARRAY, workers => BYTEA_ARRAY,
                fences => INT8_ARRAY];
            let values = [values.as_slice(), more].concat();
            for row in self.about_runs(own, None, (statement, &values)).await? {
                found.push((id_of(&row, 0)?, lease(&row, 1)?));
            }
            left.retain(|it| !found.contains(it));
            if left.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
