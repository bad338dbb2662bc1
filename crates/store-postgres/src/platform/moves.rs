//! Moves of tenants to another kind of home: how the server asks for one, and how it sees how far that is.

use super::Platform;
use super::tenants::find;
use crate::error::Fault;
use crate::home::params;
use ids::{Id as _, TenantId};
use std::time::Duration;
use store::{Isolation, MovePhase, StoreError, TenantMove};

impl Platform {
    /// Asks for a move. It is done by whoever makes homes, beside all else.
    pub(crate) async fn ask_to_move(&self, tenant: TenantId, to: Isolation) -> Result<TenantMove, Fault> {
        let session = self.change().await?;
        let row = find(&session, tenant).await?.ok_or(Fault::Answer(StoreError::NotFound))?;
        let exists = |what: String| Err(StoreError::Exists(what).into());
        if row.isolation == to {
            return exists(format!("a home of the kind `{to}`, which the tenant is in"));
        }
        let ask = "INSERT INTO tenantry.provisioning(tenant, what, isolation) VALUES($1, 'move', $2)
            ON CONFLICT (tenant, what) DO NOTHING";
        let id = tenant.to_bytes();
        let values = params![id.as_slice() => BYTEA, to.as_str() => TEXT];
        if session.execute_typed(ask, values).await? == 0 {
            return exists("a move of the tenant that has not ended".to_owned());
        }
        session.commit().await?;
        let (from, phase) = (row.isolation, MovePhase::Waiting);
        Ok(TenantMove { from, to, phase, rows: None, paused: None, error: None })
    }

    /// A tenant's last move: one that was asked for and not taken up yet, or else as far as it is.
    pub(crate) async fn last_move(&self, tenant: TenantId) -> Result<Option<TenantMove>, Fault> {
        let select = "SELECT tenant.isolation, asked.isolation, asked.id = move.job, asked.error,
                source, target, phase, rows, paused_millis, move.error
            FROM tenantry.tenant
            LEFT JOIN tenantry.provisioning AS asked ON asked.tenant = tenant.id AND asked.what = 'move'
            LEFT JOIN tenantry.move ON move.tenant = tenant.id
            WHERE tenant.id = $1";
        let rows = self.query(select, params![tenant.to_bytes().as_slice() => BYTEA]).await?;
        let row = rows.first().ok_or(Fault::Answer(StoreError::NotFound))?;
        let kind = |name: &str| Isolation::parse(name).ok_or(Fault::Damaged("the row of a move"));
        let asked: Option<&str> = row.try_get(1)?;
        if let (Some(to), false) = (asked, row.try_get::<_, Option<bool>>(2)?.unwrap_or(false)) {
            let (from, to, error) = (kind(row.try_get(0)?)?, kind(to)?, row.try_get(3)?);
            let phase = MovePhase::Waiting;
            return Ok(Some(TenantMove { from, to, phase, rows: None, paused: None, error }));
        }
        let Some(phase) = row.try_get::<_, Option<&str>>(6)? else { return Ok(None) };
        let paused: Option<i64> = row.try_get(8)?;
        Ok(Some(TenantMove {
            from: kind(row.try_get(4)?)?,
            to: kind(row.try_get(5)?)?,
            phase: MovePhase::parse(phase).ok_or(Fault::Damaged("the row of a move"))?,
            rows: row.try_get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
            paused: paused.map(|millis| Duration::from_millis(millis.cast_unsigned())),
            error: row.try_get(9)?,
        }))
    }
}
