//! The answers to operators' repeated requests.

use super::Platform;
use crate::error::Fault;
use env::Timestamp;
use sqlcipher::{OptionalExtension, params};
use std::sync::Arc;
use store::{IdempotencyClaim, Remembered, StoreError};

impl Platform {
    /// The earlier request with this key, unless it is too long ago.
    pub(crate) async fn operator_answer(
        self: &Arc<Self>,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, Fault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT request, status, body FROM operator_answer WHERE key = ?1 AND until > ?2",
            )?;
            let row = select.query_row(params![key, now.millis()], |row| {
                Ok((row.get(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
            });
            Ok(row
                .optional()?
                .map(|(request, status, body)| Remembered { request, answer: status.zip(body) }))
        })
        .await
    }

    /// Claims a key, and forgets those that are kept no longer.
    pub(crate) async fn claim_operator_key(
        self: &Arc<Self>,
        claim: IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| {
                connection.execute("DELETE FROM operator_answer WHERE until <= ?1", params![now.millis()])?;
                let claimed = connection.execute(
                    "INSERT INTO operator_answer(key, request, until) VALUES(?1, ?2, ?3)
                     ON CONFLICT DO NOTHING",
                    params![claim.key, claim.request, claim.until.millis()],
                )?;
                if claimed == 0 { Err(StoreError::Claimed.into()) } else { Ok(()) }
            },
            |_| (),
        )
        .await
    }

    /// Keeps the answer to a request whose key was claimed.
    pub(crate) async fn put_operator_answer(
        self: &Arc<Self>,
        key: [u8; 32],
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| {
                connection.execute(
                    "UPDATE operator_answer SET status = ?2, body = ?3 WHERE key = ?1",
                    params![key, status, body],
                )?;
                Ok(())
            },
            |_| (),
        )
        .await
    }

    /// Gives a key back whose request has no answer.
    pub(crate) async fn release_operator_key(self: &Arc<Self>, key: [u8; 32]) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let release = "DELETE FROM operator_answer WHERE key = ?1 AND status IS NULL";
                connection.execute(release, params![key])?;
                Ok(())
            },
            |_| (),
        )
        .await
    }
}
