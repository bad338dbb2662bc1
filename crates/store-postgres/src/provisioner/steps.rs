//! The steps of making and of removing a home. Each looks what is there already, and can be taken again.

use super::{Job, Provisioner, bytes};
use crate::error::Fault;
use crate::footing::own_footing;
use crate::home::params;
use crate::homes::{binding, password};
use crate::init::{SetupError, enter, make_database};
use crate::naming::Naming;
use crate::schema::{self, Place};
use crate::{role, token};
use ids::TenantId;
use kms::WrappedKey;
use secret::{SecretBytes, SecretText};
use store::Isolation;
use tokio_postgres::Client;

impl Provisioner {
    /// Makes a home, or finishes what was begun.
    pub(super) async fn make(&self, job: Job) -> Result<(), SetupError> {
        let client = self.platform().await?;
        if self.is_unwanted(&client, job).await? {
            return Ok(());
        }
        self.step().await;
        let password = self.password(&client, job).await?;
        self.step().await;
        let (owner, role) = (self.naming.owner(), self.naming.role(job.tenant));
        role::make(&client, &role, "LOGIN").await?;
        role::set_password(&client, &role, password.expose().as_bytes(), &self.env).await?;
        self.step().await;
        let schema = Naming::schema(job.tenant);
        let database = self.database(&client, job).await?;
        self.step().await;
        let inside = enter(&self.admin, &database).await?;
        let place = match job.isolation {
            Isolation::Dedicated => Place::Dedicated(&schema),
            _ => Place::Schema(&schema),
        };
        schema::migrate(&inside, &place, &owner, &role).await?;
        self.step().await;
        if job.isolation == Isolation::Dedicated {
            let key = token::stored(&client, self.kms.as_ref()).await?;
            let key = key.ok_or(Fault::Damaged("the token key"))?;
            token::put_pads(&inside, &token::dedicated(&key, job.tenant)).await?;
        }
        self.step().await;
        let tenant = self.server.of(&role, &password, &database).connect().await?;
        own_footing(&tenant, &schema, job.isolation).await?.held()?;
        self.step().await;
        let done = "UPDATE tenantry.home SET version = $2 WHERE tenant = $1";
        client.execute_typed(done, params![bytes(job.tenant) => BYTEA, schema::VERSION => INT8]).await?;
        self.step().await;
        Ok(())
    }

    /// Whether it was to be removed before it was made.
    async fn is_unwanted(&self, client: &Client, job: Job) -> Result<bool, Fault> {
        let removed = "SELECT 1 FROM tenantry.provisioning WHERE tenant = $1 AND what = 'remove'";
        Ok(client.query_typed_opt(removed, params![bytes(job.tenant) => BYTEA]).await?.is_some())
    }

    /// The password of the tenant's role: made once, and kept sealed before anybody has it.
    async fn password(&self, client: &Client, job: Job) -> Result<SecretText, SetupError> {
        let fresh = SecretBytes::fill_with(|bytes| self.env.fill(bytes));
        let sealed = self.kms.wrap(&binding(job.tenant), &fresh).await.map_err(Fault::from)?.to_bytes();
        let put =
            "INSERT INTO tenantry.home(tenant, isolation, sealed) VALUES($1, $2, $3) ON CONFLICT DO NOTHING";
        let values = params![bytes(job.tenant) => BYTEA, job.isolation.as_str() => TEXT, sealed => BYTEA];
        client.execute_typed(put, values).await?;
        let find = "SELECT sealed FROM tenantry.home WHERE tenant = $1";
        let row = client.query_typed_one(find, params![bytes(job.tenant) => BYTEA]).await?;
        let wrapped =
            WrappedKey::from_bytes(row.try_get(0)?).map_err(|_| Fault::Damaged("a sealed password"))?;
        let key = self.kms.unwrap(&binding(job.tenant), &wrapped).await;
        Ok(password(&key.map_err(|_| SetupError::WrongMasterKey)?))
    }

    /// The database that the home is in, made where it is the tenant's own.
    async fn database(&self, client: &Client, job: Job) -> Result<String, SetupError> {
        let role = self.naming.role(job.tenant);
        if job.isolation == Isolation::Dedicated {
            make_database(client, &role, &self.naming.owner(), &role).await?;
            return Ok(role);
        }
        let database = self.naming.database.clone();
        client.batch_execute(&format!("GRANT CONNECT ON DATABASE {database} TO {role}")).await?;
        Ok(database)
    }

    /// Removes a home, or what is left of it. One whose tenant is there stays.
    pub(super) async fn remove(&self, job: Job) -> Result<(), SetupError> {
        let client = self.platform().await?;
        let there = "SELECT 1 FROM tenantry.tenant WHERE id = $1";
        if client.query_typed_opt(there, params![bytes(job.tenant) => BYTEA]).await?.is_some() {
            return Err(SetupError::Unusable("the tenant of a home to be removed is there".to_owned()));
        }
        self.step().await;
        self.take_down(job.tenant, job.isolation, false).await?;
        Ok(())
    }

    /// Takes away what a tenant has in a home that it is not in, and the home where it is the tenant's own. Its role
    /// stays where it has another home of its own.
    pub(super) async fn take_down(
        &self,
        tenant: TenantId,
        isolation: Isolation,
        role_stays: bool,
    ) -> Result<(), SetupError> {
        if isolation == Isolation::Pooled {
            let side = self.side(tenant, isolation).await?;
            side.begin("").await?;
            side.clear().await?;
            side.commit().await?;
            self.step().await;
            return Ok(());
        }
        let client = self.platform().await?;
        let role = self.naming.role(tenant);
        if role_stays {
            self.end_connections(&client, &role, isolation).await?;
        } else {
            self.shut(&client, &role).await?;
        }
        self.step().await;
        if isolation == Isolation::Dedicated {
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {role} WITH (FORCE)")).await?;
        } else {
            let schema = Naming::schema(tenant);
            client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await?;
        }
        self.step().await;
        let in_platform = isolation == Isolation::Schema;
        if role::exists(&client, &role).await? && (in_platform || !role_stays) {
            let database = &self.naming.database;
            let rights = format!(
                "REVOKE ALL ON DATABASE {database} FROM {role}; REVOKE ALL ON SCHEMA tenantry FROM {role};
                 REVOKE ALL ON FUNCTION tenantry.current_tenant() FROM {role}"
            );
            client.batch_execute(&rights).await?;
            if !role_stays {
                client.batch_execute(&format!("DROP ROLE {role}")).await?;
            }
        }
        self.step().await;
        if !role_stays {
            let gone = "DELETE FROM tenantry.home WHERE tenant = $1";
            client.execute_typed(gone, params![bytes(tenant) => BYTEA]).await?;
        }
        self.step().await;
        Ok(())
    }

    /// Lets the role in no more, and ends what it has open.
    async fn shut(&self, client: &Client, role: &str) -> Result<(), SetupError> {
        if role::exists(client, role).await? {
            role::make(client, role, "NOLOGIN").await?;
            self.end_all(client, role, "").await?;
        }
        Ok(())
    }

    /// Ends what a role has open in the home that its tenant has left.
    async fn end_connections(
        &self,
        client: &Client,
        role: &str,
        isolation: Isolation,
    ) -> Result<(), SetupError> {
        let database = if isolation == Isolation::Dedicated { role } else { &self.naming.database };
        self.end_all(client, role, database).await
    }

    /// Ends the connections of a role, of all databases or of this one.
    async fn end_all(&self, client: &Client, role: &str, database: &str) -> Result<(), SetupError> {
        // Whoever is no superuser must be a member of a role to end its connections.
        client.batch_execute(&format!("GRANT {role} TO CURRENT_USER")).await?;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = $1 AND ($2 = '' OR datname = $2)";
        client.query_typed(end, params![role => TEXT, database => TEXT]).await?;
        Ok(())
    }
}
