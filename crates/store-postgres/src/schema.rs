//! The schema and how it comes to be. Versions go forward only.

use crate::error::Fault;
use std::time::Duration;
use tokio_postgres::Client;

/// Tables that belong to tenants, each row to one.
pub(crate) const TENANT_TABLES: [&str; 14] = [
    "log_head",
    "audit_event",
    "merkle_node",
    "object",
    "collection",
    "record",
    "record_token",
    "record_range",
    "run",
    "run_part",
    "delivery",
    "call",
    "usage_hour",
    "remembered",
];
/// The one that only a home of a tenant's own has: the shared one's is the platform's.
const WORK: &str = "work";

/// The schema of the tables that tenants share.
pub(crate) const POOLED: &str = "pooled";

/// Which part of the whole a text makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What every database has.
    Base,
    /// The platform's own.
    Platform,
    /// Tenants' tables, wherever they are.
    Tenant,
    /// What only shared ones need.
    Pooled,
    /// What only a tenant's own need.
    Own,
}

const MIGRATIONS: &[&[(Part, &str)]] = &[
    &[
        (Part::Base, include_str!("schema/base.sql")),
        (Part::Platform, include_str!("schema/platform.sql")),
        (Part::Tenant, include_str!("schema/tenant.sql")),
    ],
    &[
        (Part::Platform, include_str!("schema/platform_2.sql")),
        (Part::Tenant, include_str!("schema/tenant_2.sql")),
        (Part::Pooled, include_str!("schema/pooled_2.sql")),
        (Part::Own, include_str!("schema/own_2.sql")),
    ],
    &[(Part::Platform, include_str!("schema/platform_3.sql"))],
    &[(Part::Platform, include_str!("schema/platform_4.sql")), (Part::Own, include_str!("schema/own_4.sql"))],
    &[
        (Part::Base, include_str!("schema/base_5.sql")),
        (Part::Platform, include_str!("schema/platform_5.sql")),
    ],
    // With it comes `write_all`, which servers of the version before do not call.
    &[(Part::Tenant, include_str!("schema/tenant_6.sql"))],
    // With it come `records_of`, range indexes, pools, and whose turn it is.
    &[
        (Part::Base, include_str!("schema/base_7.sql")),
        (Part::Platform, include_str!("schema/platform_7.sql")),
        (Part::Tenant, include_str!("schema/tenant_7.sql")),
    ],
];

/// The newest version.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Whether this program can work with tables of a version: its own, or the next one, which only adds, so that servers of
/// both serve together while one takes the other's place.
pub(crate) fn fits(version: i64) -> bool {
    version == VERSION || version == VERSION + 1
}

/// What is to be brought to the newest version.
pub(crate) enum Place<'a> {
    /// The platform's database, with the shared tables.
    Platform,
    /// A tenant's schema in it.
    Schema(&'a str),
    /// A tenant's schema in a database of its own.
    Dedicated(&'a str),
}

impl Place<'_> {
    fn parts(&self) -> &'static [Part] {
        match self {
            Self::Platform => &[Part::Base, Part::Platform, Part::Tenant, Part::Pooled],
            Self::Schema(_) => &[Part::Tenant, Part::Own],
            Self::Dedicated(_) => &[Part::Base, Part::Tenant, Part::Own],
        }
    }

    fn schema(&self) -> &str {
        match self {
            Self::Platform => POOLED,
            Self::Schema(schema) | Self::Dedicated(schema) => schema,
        }
    }

    /// The table of work that is not over, as it is named where the schema is searched.
    fn work(&self) -> &'static str {
        if matches!(self, Self::Platform) { "tenantry.work" } else { WORK }
    }

    /// The tables with tenants' rows.
    pub(crate) fn tables(&self) -> Vec<&'static str> {
        let own = (!matches!(self, Self::Platform)).then_some(WORK);
        TENANT_TABLES.into_iter().chain(own).collect()
    }

    fn grants(&self, role: &str) -> String {
        let schema = self.schema();
        let own = match self {
            Self::Schema(_) => String::new(),
            _ => format!(
                "REVOKE ALL ON SCHEMA tenantry FROM PUBLIC;
                 REVOKE ALL ON ALL TABLES IN SCHEMA tenantry FROM PUBLIC, {role};
                 REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenantry FROM PUBLIC;"
            ),
        };
        let platform = match self {
            Self::Platform => PLATFORM_GRANTS.replace("ROLE", role),
            _ => String::new(),
        };
        format!(
            "{own}
             REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
             REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {role};
             REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC, {role};
             GRANT USAGE ON SCHEMA tenantry, {schema} TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role};
             GRANT EXECUTE ON FUNCTION tenantry.current_tenant() TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
             {platform}"
        )
    }
}

/// Writes that are planned once a session. What they take and give does not change while servers of two versions serve.
const FUNCTIONS: &str = include_str!("schema/functions.sql");

/// How the functions are planned.
const KEYED: &str = "SET plan_cache_mode = force_generic_plan SET enable_seqscan = off";

/// What the server's role may do with the platform's own tables.
const PLATFORM_GRANTS: &str =
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.tenant, tenantry.deleted_tenant, tenantry.tenant_key,
        tenantry.plan, tenantry.template, tenantry.endpoint, tenantry.credential, tenantry.key_use,
        tenantry.operator_answer, tenantry.work, tenantry.at_rest, tenantry.work_elsewhere, tenantry.turn, tenantry.pool TO ROLE;
     GRANT SELECT, INSERT ON tenantry.own_key TO ROLE;
     GRANT SELECT ON tenantry.home, tenantry.provisioning, tenantry.move TO ROLE;
     GRANT INSERT(tenant, what, isolation) ON tenantry.provisioning TO ROLE;
     GRANT SELECT ON tenantry.schema_version, tenantry.epoch TO ROLE;";

/// How long a table is waited for that servers are at work with, less than the second after which the database ends one
/// of two that wait for each other; and how often it is tried again, and after which time.
const PATIENCE: &str = "400ms";
const TRIES: usize = 150;
const TRY_AGAIN: Duration = Duration::from_millis(150);

/// Brings a place to the newest version, as the owner of all that is made there, while servers of the version before are at
/// work. Where their transactions and this one wait for each other it is this one that begins again.
pub(crate) async fn migrate(
    client: &Client,
    place: &Place<'_>,
    owner: &str,
    role: &str,
) -> Result<(), Fault> {
    for _ in 1..TRIES {
        match try_to_migrate(client, place, owner, role).await {
            Err(Fault::Refused(code)) if matches!(code.as_str(), "55P03" | "40P01") => {
                client.batch_execute("ROLLBACK").await?;
                tokio::time::sleep(TRY_AGAIN).await;
            }
            ended => return ended,
        }
    }
    try_to_migrate(client, place, owner, role).await
}

async fn try_to_migrate(client: &Client, place: &Place<'_>, owner: &str, role: &str) -> Result<(), Fault> {
    let schema = place.schema();
    client
        .batch_execute(&format!("BEGIN; SET LOCAL ROLE {owner}; SELECT pg_advisory_xact_lock(1952542575)"))
        .await?;
    client.batch_execute(&format!("SET LOCAL lock_timeout = '{PATIENCE}'")).await?;
    client
        .batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS tenantry; CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE IF NOT EXISTS tenantry.schema_version(version int8 NOT NULL);
             SET LOCAL search_path = {schema}"
        ))
        .await?;
    let found = found(client, place).await?;
    if found > 0 {
        // Whoever writes for a tenant begins with this table: who has begun is waited for, and nobody begins.
        client.batch_execute(&format!("LOCK TABLE {schema}.log_head IN ACCESS EXCLUSIVE MODE")).await?;
    }
    if found > MIGRATIONS.len() {
        return Err(Fault::Refused("the schema is newer than this program".to_owned()));
    }
    for (version, texts) in (1i64..).zip(MIGRATIONS).skip(found) {
        for (_, text) in texts.iter().filter(|(part, _)| place.parts().contains(part)) {
            client.batch_execute(text).await?;
        }
        client.batch_execute(&noted(place, version)).await?;
    }
    client.batch_execute(&policies(schema, &place.tables())).await?;
    client.batch_execute(&FUNCTIONS.replace("WORK", place.work()).replace("KEYED", KEYED)).await?;
    client.batch_execute(&place.grants(role)).await?;
    Ok(client.batch_execute("COMMIT").await?)
}

/// The version that is there.
pub(crate) const FOUND_PLATFORM: &str = "SELECT coalesce(max(version), 0)::int8 FROM tenantry.schema_version";

/// The version that a tenant's schema says it has. A comment needs no right to be read and no table beside the
/// tenant's own.
pub(crate) fn found_own(schema: &str) -> String {
    format!("SELECT coalesce(obj_description('{schema}'::regnamespace, 'pg_namespace'), '0')::int8")
}

async fn found(client: &Client, place: &Place<'_>) -> Result<usize, Fault> {
    let found = match place {
        Place::Platform => client.query_typed_one(FOUND_PLATFORM, &[]).await?,
        Place::Schema(schema) | Place::Dedicated(schema) => {
            client.query_typed_one(&found_own(schema), &[]).await?
        }
    };
    Ok(usize::try_from(found.try_get::<_, i64>(0)?).unwrap_or(usize::MAX))
}

fn noted(place: &Place<'_>, version: i64) -> String {
    match place {
        Place::Platform => format!("INSERT INTO tenantry.schema_version VALUES({version})"),
        Place::Schema(schema) | Place::Dedicated(schema) => {
            format!("COMMENT ON SCHEMA {schema} IS '{version}'")
        }
    }
}

/// Both kinds of policy on every tenant's table: the restrictive one holds even where somebody later adds a
/// permissive one that is wider.
fn policies(schema: &str, tables: &[&str]) -> String {
    let policy = |table: &&str| {
        let own = "USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()))";
        format!(
            "ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY;
             ALTER TABLE {schema}.{table} FORCE ROW LEVEL SECURITY;
             DROP POLICY IF EXISTS own ON {schema}.{table};
             CREATE POLICY own ON {schema}.{table} AS PERMISSIVE FOR ALL TO PUBLIC {own};
             DROP POLICY IF EXISTS only_own ON {schema}.{table};
             CREATE POLICY only_own ON {schema}.{table} AS RESTRICTIVE FOR ALL TO PUBLIC {own};"
        )
    };
    tables.iter().map(policy).collect()
}
