//! Operators: their keys, the grants of attack runs, and what their requests were answered.

use super::index::{insert, subject};
use super::{Platform, bytes_of, id_of};
use crate::error::Fault;
use crate::home::{Session, params};
use authz::OperatorRole;
use context::{IndexedSubject, KeyedHash};
use env::Timestamp;
use ids::{KeyId, TenantId};
use store::{IdempotencyClaim, OperatorKeyRow, Remembered, StoreError, VerifyGrantRow};

async fn lines(session: &Session) -> Result<Vec<(IndexedSubject, Option<i64>)>, Fault> {
    let select =
        "SELECT subject, expires_at FROM tenantry.credential WHERE tenant IS NULL ORDER BY subject_id";
    let rows = session.query_typed(select, &[]).await?;
    rows.iter().map(|row| Ok((subject(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

async fn operators(session: &Session) -> Result<Vec<OperatorKeyRow>, Fault> {
    let mut keys = Vec::new();
    for (subject, _) in lines(session).await? {
        match subject {
            IndexedSubject::Operator { id, role, name } => keys.push(OperatorKeyRow::new(id, name, role)),
            IndexedSubject::VerifyGrant { .. } => {}
            _ => return Err(Fault::Damaged("the credential index")),
        }
    }
    Ok(keys)
}

async fn grants(session: &Session) -> Result<Vec<VerifyGrantRow>, Fault> {
    let grant = |line| match line {
        (IndexedSubject::VerifyGrant { id, name, tenants }, Some(end)) => {
            Some(VerifyGrantRow { id, name, tenants, expires_at: Timestamp::from_millis(end) })
        }
        _ => None,
    };
    Ok(lines(session).await?.into_iter().filter_map(grant).collect())
}

async fn remove(session: Session, id: KeyId) -> Result<(), Fault> {
    let delete = "DELETE FROM tenantry.credential WHERE tenant IS NULL AND subject_id = $1";
    session.execute_typed(delete, params![id.to_string() => TEXT]).await?;
    session.commit().await
}

impl Platform {
    /// Adds an operator; as the first only where there is none.
    pub(crate) async fn add_operator(
        &self,
        hash: KeyedHash,
        subject: IndexedSubject,
        as_first: bool,
    ) -> Result<bool, Fault> {
        let session = self.change().await?;
        if as_first && !operators(&session).await?.is_empty() {
            session.roll_back().await?;
            return Ok(false);
        }
        insert(&session, &hash, None, &subject, None).await?;
        session.commit().await?;
        Ok(true)
    }

    pub(crate) async fn operator_keys(&self) -> Result<Vec<OperatorKeyRow>, Fault> {
        let session = self.home.session().await?;
        operators(&session).await
    }

    /// Revokes an operator's key, unless it is the last administrator's.
    pub(crate) async fn remove_operator(&self, id: KeyId) -> Result<bool, Fault> {
        let session = self.change().await?;
        let keys = operators(&session).await?;
        let revoked = keys.iter().find(|key| key.id == id).ok_or(StoreError::NotFound)?;
        let admins = keys.iter().filter(|key| key.role == OperatorRole::Admin).count();
        if revoked.role == OperatorRole::Admin && admins == 1 {
            session.roll_back().await?;
            return Ok(false);
        }
        remove(session, id).await?;
        self.known.forget();
        Ok(true)
    }

    pub(crate) async fn verify_grants(&self) -> Result<Vec<VerifyGrantRow>, Fault> {
        let session = self.home.session().await?;
        grants(&session).await
    }

    pub(crate) async fn remove_verify_grant(&self, id: KeyId) -> Result<(), Fault> {
        let session = self.change().await?;
        if !grants(&session).await?.iter().any(|grant| grant.id == id) {
            return Err(StoreError::NotFound.into());
        }
        remove(session, id).await?;
        self.known.forget();
        Ok(())
    }

    pub(crate) async fn throwaways(&self, grant: KeyId) -> Result<Vec<(TenantId, u32)>, Fault> {
        let select = "SELECT id, throwaway_slot FROM tenantry.tenant WHERE throwaway_grant = $1";
        let rows = self.query(select, params![grant.to_string() => TEXT]).await?;
        let row = |row: &tokio_postgres::Row| {
            let slot = row.try_get::<_, i64>(1)?.try_into().map_err(|_| Fault::Damaged("a tenant's row"))?;
            Ok((id_of(row, 0)?, slot))
        };
        rows.iter().map(row).collect()
    }

    pub(crate) async fn operator_answer(
        &self,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, Fault> {
        let select =
            "SELECT request, status, body FROM tenantry.operator_answer WHERE key = $1 AND until > $2";
        let rows = self.query(select, params![key.as_slice() => BYTEA, now.millis() => INT8]).await?;
        rows.first()
            .map(|row| {
                let (status, body): (Option<i64>, Option<Vec<u8>>) = (row.try_get(1)?, row.try_get(2)?);
                let status = status.map(u16::try_from).transpose();
                let status = status.map_err(|_| Fault::Damaged("an operator's answer"))?;
                Ok(Remembered { request: bytes_of(row, 0)?, answer: status.zip(body) })
            })
            .transpose()
    }

    pub(crate) async fn claim_operator_key(
        &self,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let forget = "DELETE FROM tenantry.operator_answer WHERE until <= $1";
        self.execute(forget, params![now.millis() => INT8]).await?;
        let put = "INSERT INTO tenantry.operator_answer(key, request, until) VALUES($1, $2, $3) ON CONFLICT DO NOTHING";
        let values = params![claim.key.as_slice() => BYTEA, claim.request.as_slice() => BYTEA,
            claim.until.millis() => INT8];
        match self.execute(put, values).await? {
            0 => Err(StoreError::Claimed.into()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn put_operator_answer(
        &self,
        key: [u8; 32],
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), Fault> {
        let put = "UPDATE tenantry.operator_answer SET status = $2, body = $3 WHERE key = $1";
        self.execute(put, params![key.as_slice() => BYTEA, i64::from(status) => INT8, body => BYTEA]).await?;
        Ok(())
    }

    pub(crate) async fn release_operator_key(&self, key: [u8; 32]) -> Result<(), Fault> {
        let release = "DELETE FROM tenantry.operator_answer WHERE key = $1 AND status IS NULL";
        self.execute(release, params![key.as_slice() => BYTEA]).await?;
        Ok(())
    }
}
