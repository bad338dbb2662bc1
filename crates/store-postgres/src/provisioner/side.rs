//! One end of a move: the administrator's connection to a home, in transactions that are carried out as the owner of
//! the tables and bound to the tenant. The policies hold for the owner as for everybody, so that no other tenant's row
//! is read or written, whatever goes wrong here.

use super::{Provisioner, bytes};
use crate::error::Fault;
use crate::home::{BIND, NOW, params, taken_for};
use crate::init::{SetupError, enter};
use crate::naming::Naming;
use crate::schema::POOLED;
use crate::token::{self, Tokens};
use ids::TenantId;
use store::Isolation;
use tokio_postgres::Client;

/// A home that a tenant is moved from or to.
pub(super) struct Side {
    pub(super) client: Client,
    pub(super) isolation: Isolation,
    /// The role that servers reach the tenant as here.
    pub(super) role: String,
    pub(super) tenant: TenantId,
    schema: String,
    owner: String,
    tokens: Tokens,
}

impl Provisioner {
    /// Opens the home of this kind that a tenant has.
    pub(super) async fn side(&self, tenant: TenantId, isolation: Isolation) -> Result<Side, SetupError> {
        let platform = self.platform().await?;
        let key =
            token::stored(&platform, self.kms.as_ref()).await.map_err(|_| SetupError::WrongMasterKey)?;
        let key = key.ok_or(Fault::Damaged("the token key"))?;
        let own = self.naming.role(tenant);
        let (database, schema, role) = match isolation {
            Isolation::Dedicated => (own.clone(), Naming::schema(tenant), own),
            Isolation::Schema => (self.naming.database.clone(), Naming::schema(tenant), own),
            _ => (self.naming.database.clone(), POOLED.to_owned(), self.naming.server.clone()),
        };
        let key = if isolation == Isolation::Dedicated { token::dedicated(&key, tenant) } else { key };
        let client = enter(&self.admin, &database).await?;
        // Rows travel as text, which must be the same on both sides.
        client.batch_execute("SET bytea_output = 'hex'; SET timezone = 'UTC'").await?;
        let tokens = Tokens::new(key, self.env.clone());
        tokens.database_time(client.query_typed_one(NOW, &[]).await?.try_get(0)?);
        Ok(Side { client, isolation, role, tenant, schema, owner: self.naming.owner(), tokens })
    }
}

impl Side {
    /// Whether it is in the platform's database.
    pub(super) fn is_in_platform(&self) -> bool {
        self.isolation != Isolation::Dedicated
    }

    /// The table of the tenant's work.
    pub(super) fn work(&self) -> &'static str {
        if self.isolation == Isolation::Pooled { "tenantry.work" } else { "work" }
    }

    /// Begins a transaction of the tenant's.
    pub(super) async fn begin(&self, how: &str) -> Result<(), Fault> {
        let begin = format!("BEGIN {how}; SET LOCAL ROLE {}", self.owner);
        self.client.batch_execute(&begin).await?;
        self.renew().await
    }

    /// Binds the transaction to the tenant, and again where it takes longer than a token holds.
    pub(super) async fn renew(&self) -> Result<(), Fault> {
        let token = self.tokens.make(self.tenant);
        let values = params![token.expose() => TEXT, self.schema.as_str() => TEXT];
        let bound: Option<Vec<u8>> = self.client.query_typed_one(BIND, values).await?.try_get(0)?;
        taken_for(self.tenant, &bound).map(drop)
    }

    pub(super) async fn commit(&self) -> Result<(), Fault> {
        Ok(self.client.batch_execute("COMMIT").await?)
    }

    /// Whether the tenant has left it for another home.
    pub(super) async fn is_left(&self) -> Result<bool, Fault> {
        let left = "SELECT EXISTS(SELECT 1 FROM tenantry.moved WHERE tenant = $1 AND role = $2)";
        let values = params![bytes(self.tenant) => BYTEA, self.role => TEXT];
        Ok(self.client.query_typed_one(left, values).await?.try_get(0)?)
    }

    /// From the end of the transaction on the tenant's token opens nothing here for whoever serves it.
    pub(super) async fn close(&self) -> Result<(), Fault> {
        let close = "INSERT INTO tenantry.moved(tenant, role) VALUES($1, $2) ON CONFLICT DO NOTHING";
        let values = params![bytes(self.tenant) => BYTEA, self.role => TEXT];
        self.client.execute_typed(close, values).await?;
        Ok(())
    }

    /// From the end of the transaction on it opens what is here. `on` is of the same database.
    pub(super) async fn open(&self, on: &Client) -> Result<(), Fault> {
        let open = "DELETE FROM tenantry.moved WHERE tenant = $1 AND role = $2";
        on.execute_typed(open, params![bytes(self.tenant) => BYTEA, self.role => TEXT]).await?;
        Ok(())
    }
}
