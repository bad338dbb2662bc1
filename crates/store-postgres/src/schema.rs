//! The schema and how it comes to be. Versions go forward only.

use crate::error::Fault;
use tokio_postgres::Client;

/// Tables that every tenant shares, each row of which belongs to one.
pub(crate) const TENANT_TABLES: [&str; 13] = [
    "log_head",
    "audit_event",
    "merkle_node",
    "object",
    "collection",
    "record",
    "record_token",
    "run",
    "run_part",
    "delivery",
    "call",
    "usage_hour",
    "remembered",
];

const MIGRATIONS: &[&[&str]] = &[&[include_str!("schema/platform.sql"), include_str!("schema/tenant.sql")]];

/// Brings the database to the newest version, as the owner of all that is made.
/// The version that this program works with.
pub(crate) const VERSION: usize = MIGRATIONS.len();

pub(crate) async fn migrate(client: &Client, owner: &str, role: &str) -> Result<(), Fault> {
    client
        .batch_execute(&format!("BEGIN; SET LOCAL ROLE {owner}; SELECT pg_advisory_xact_lock(1952542575)"))
        .await?;
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS tenantry; CREATE SCHEMA IF NOT EXISTS pooled;
             CREATE TABLE IF NOT EXISTS tenantry.schema_version(version int8 NOT NULL)",
        )
        .await?;
    let row =
        client.query_typed_one("SELECT coalesce(max(version), 0) FROM tenantry.schema_version", &[]).await?;
    let found = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
    if found > MIGRATIONS.len() {
        return Err(Fault::Refused("the schema is newer than this program".to_owned()));
    }
    for (version, texts) in (1i64..).zip(MIGRATIONS).skip(found) {
        for text in *texts {
            client.batch_execute(text).await?;
        }
        client.batch_execute(&format!("INSERT INTO tenantry.schema_version VALUES({version})")).await?;
    }
    client.batch_execute(&policies()).await?;
    client.batch_execute(&grants(role)).await?;
    Ok(client.batch_execute("COMMIT").await?)
}

/// Both kinds of policy on every tenant's table: the restrictive one holds even where somebody later adds a
/// permissive one that is wider.
fn policies() -> String {
    let policy = |table: &str| {
        let own = "USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()))";
        format!(
            "ALTER TABLE pooled.{table} ENABLE ROW LEVEL SECURITY;
             ALTER TABLE pooled.{table} FORCE ROW LEVEL SECURITY;
             DROP POLICY IF EXISTS own ON pooled.{table};
             CREATE POLICY own ON pooled.{table} AS PERMISSIVE FOR ALL TO PUBLIC {own};
             DROP POLICY IF EXISTS only_own ON pooled.{table};
             CREATE POLICY only_own ON pooled.{table} AS RESTRICTIVE FOR ALL TO PUBLIC {own};"
        )
    };
    TENANT_TABLES.iter().map(|table| policy(table)).collect()
}

/// What the run-time role may do, and nobody else.
fn grants(role: &str) -> String {
    format!(
        "REVOKE ALL ON SCHEMA tenantry, pooled FROM PUBLIC;
         REVOKE ALL ON ALL TABLES IN SCHEMA tenantry, pooled FROM PUBLIC, {role};
         REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenantry FROM PUBLIC;
         GRANT USAGE ON SCHEMA tenantry, pooled TO {role};
         GRANT EXECUTE ON FUNCTION tenantry.current_tenant() TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pooled TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.tenant, tenantry.deleted_tenant, tenantry.tenant_key,
             tenantry.plan, tenantry.template, tenantry.endpoint, tenantry.credential, tenantry.key_use,
             tenantry.operator_answer, tenantry.work, tenantry.at_rest TO {role};
         GRANT SELECT, INSERT ON tenantry.own_key TO {role};
         GRANT SELECT ON tenantry.schema_version TO {role};"
    )
}
