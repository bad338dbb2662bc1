//! That one server alone is on a database: several that count in their own memories would each let a tenant use all that
//! it may.

use crate::Tls;
use crate::init::SetupError;
use crate::link::Link;
use std::time::Duration;
use tokio_postgres::Client;

/// How long a server that has just ended may take to be noticed.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// While it is there, no other server gets the database. The lock is the session's, so the address must not be a
/// pooler's that shares sessions out.
pub struct OnlyServer {
    _session: Client,
}

impl OnlyServer {
    /// Takes the database, or says that another server has it.
    pub async fn take(url: &str, tls: &Tls) -> Result<Self, SetupError> {
        let session = Link::parse(url, tls)?.connect().await?;
        let taking = async {
            loop {
                let row = session.query_typed_one("SELECT pg_try_advisory_lock(1952542577)", &[]).await?;
                if row.try_get::<_, bool>(0)? {
                    return Ok::<_, tokio_postgres::Error>(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(PATIENCE, taking).await {
            Ok(taken) => taken?,
            Err(_) => return Err(SetupError::Taken),
        }
        Ok(Self { _session: session })
    }
}
