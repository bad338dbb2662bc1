//! Pauses: rows beside those of runs, which keep all of them from whoever claims one. A pause is its sayer's own, so that
//! two that overlap end each by itself.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::params;
use ids::{Id as _, TenantId, WorkerId};
use std::time::Duration;

const AGAIN: &str = "UPDATE WORK AS work SET held_until = clock_timestamp() + $3 * interval '1 millisecond'
    WHERE tenant_id = $1 AND kind = 'pause' AND id = $2 RETURNING 1";

/// What ended by itself before goes with it.
const BEGIN: &str = "WITH over AS (
        DELETE FROM WORK AS work WHERE tenant_id = $1 AND kind = 'pause' AND held_until <= clock_timestamp() AND id <> $2
    )
    INSERT INTO WORK AS work(tenant_id, kind, id, held_until)
    VALUES($1, 'pause', $2, clock_timestamp() + $3 * interval '1 millisecond')
    ON CONFLICT (tenant_id, kind, id) DO UPDATE SET held_until = excluded.held_until";

const END: &str = "DELETE FROM WORK AS work WHERE tenant_id = $1 AND kind = 'pause' AND id = $2";

impl PostgresStore {
    /// Says that no run of the tenant's is to be given to anybody.
    pub(super) async fn give_nothing(
        &self,
        tenant: TenantId,
        by: WorkerId,
        term: Duration,
    ) -> Result<(), Fault> {
        let (id, by, term) = (tenant.to_bytes(), by.to_bytes(), super::millis(term));
        let values = params![id.as_slice() => BYTEA, by.as_slice() => BYTEA, term => FLOAT8];
        // What is under way is not waited for where it has been waited for before: a restore keeps everybody waiting.
        if !self.about_one(tenant, None, (AGAIN, values), |rows| !rows.is_empty()).await?.is_empty() {
            return Ok(());
        }
        // Whoever gives a run away at this moment has done so when this is back, and whoever comes next sees it.
        let tenants = vec![id.to_vec()];
        self.about_one(tenant, Some(params![tenants => BYTEA_ARRAY]), (BEGIN, values), |_| false).await?;
        Ok(())
    }

    /// Says that they may be given again.
    pub(super) async fn give_again(&self, tenant: TenantId, by: WorkerId) -> Result<(), Fault> {
        let (id, by) = (tenant.to_bytes(), by.to_bytes());
        let values = params![id.as_slice() => BYTEA, by.as_slice() => BYTEA];
        self.about_one(tenant, None, (END, values), |_| false).await?;
        Ok(())
    }
}
