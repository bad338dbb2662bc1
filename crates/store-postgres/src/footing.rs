//! What a start checks before it serves anybody: that the role cannot step over the policies, that every table has
//! them, and that nothing is open to whoever connects.

use crate::PostgresStore;
use crate::Tls;
use crate::error::Fault;
use crate::home::params;
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::schema::{self, Place};
use ids::TenantId;
use std::fmt;
use store::Isolation;
use tokio_postgres::Client;

/// The first version without a known hole in row-level security.
const OLDEST_SERVER: i64 = 150_009;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootingRow {
    /// What was looked at.
    pub check: &'static str,
    /// Of which kind of isolation: `pooled`, `schema` or `dedicated`.
    pub tier: &'static str,
    /// Whose home it is, where it is a tenant's own.
    pub tenant: Option<TenantId>,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// What the database stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footing {
    /// Everything that was looked at.
    pub rows: Vec<FootingRow>,
}

impl Footing {
    /// Whether everything is as it should be.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.ok)
    }

    /// Itself, where it holds.
    pub(crate) fn held(self) -> Result<Self, SetupError> {
        if self.holds() { Ok(self) } else { Err(SetupError::Footing(self)) }
    }
}

/// What does not hold.
impl fmt::Display for Footing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, row) in self.rows.iter().filter(|row| !row.ok).enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{} ({}): {}", row.check, row.tier, row.found)?;
        }
        Ok(())
    }
}

/// Looks the platform's database and the shared tables over, as the role that the address names.
pub async fn footing(url: &str, tls: &Tls) -> Result<Footing, SetupError> {
    let client = Link::parse(url, tls)?.connect().await?;
    Ok(examine(&client, &Place::Platform).await?)
}

/// Looks a tenant's own home over, as its role.
pub(crate) async fn own_footing(
    client: &Client,
    schema: &str,
    isolation: Isolation,
) -> Result<Footing, Fault> {
    let place = match isolation {
        Isolation::Dedicated => Place::Dedicated(schema),
        _ => Place::Schema(schema),
    };
    examine(client, &place).await
}

impl PostgresStore {
    /// Looks over the shared tables, and the homes of as many tenants as `sample` of those that have their own.
    pub async fn footing(&self, sample: u32) -> Result<Footing, SetupError> {
        let inner = self.inner();
        let mut all = examine(&*inner.homes.shared().session().await?, &Place::Platform).await?;
        let some = "SELECT tenant, isolation FROM tenantry.home WHERE version > 0 ORDER BY random() LIMIT $1";
        for row in inner.platform.query(some, params![i64::from(sample) => INT8]).await? {
            let tenant = crate::platform::id_of(&row, 0)?;
            let isolation = Isolation::parse(row.try_get(1)?).ok_or(Fault::Damaged("the row of a home"))?;
            let found = async {
                let (link, _) = inner.homes.own_link(&inner.platform, tenant, isolation).await?;
                let client = link.connect().await?;
                Ok::<_, SetupError>(own_footing(&client, &Naming::schema(tenant), isolation).await?)
            };
            let rows = found.await.map_or_else(|error| vec![unreachable(isolation, &error)], |it| it.rows);
            all.rows.extend(rows.into_iter().map(|row| FootingRow { tenant: Some(tenant), ..row }));
        }
        Ok(all)
    }
}

fn unreachable(isolation: Isolation, error: &SetupError) -> FootingRow {
    let (tier, found) = (isolation.as_str(), error.to_string());
    FootingRow { check: "the connection", tier, tenant: None, ok: false, found }
}

/// Looks a place over, as the role that is connected.
pub(crate) async fn examine(client: &Client, place: &Place<'_>) -> Result<Footing, Fault> {
    let (tier, schema) = match place {
        Place::Platform => ("pooled", schema::POOLED),
        Place::Schema(schema) => ("schema", *schema),
        Place::Dedicated(schema) => ("dedicated", *schema),
    };
    let mut rows = Vec::new();
    for (check, select) in CHECKS {
        let row = client.query_typed_one(select, params![schema => TEXT]).await?;
        let found: String = row.try_get(0)?;
        rows.push(FootingRow { check, tier, tenant: None, ok: found.is_empty(), found });
    }
    let (check, select) = match place {
        Place::Platform => ("changes are counted", UNCOUNTED),
        _ => ("the platform's tables", PLATFORM_RIGHTS),
    };
    let found: String = client.query_typed_one(select, &[]).await?.try_get(0)?;
    rows.push(FootingRow { check, tier, tenant: None, ok: found.is_empty(), found });
    let version: i64 = client
        .query_typed_one("SELECT current_setting('server_version_num')::int8", &[])
        .await?
        .try_get(0)?;
    let (ok, found) = (version >= OLDEST_SERVER, version.to_string());
    rows.push(FootingRow { check: "the server's version", tier, tenant: None, ok, found });
    // Where the role may not even look, the rows above have said so.
    if rows.iter().all(|row| row.ok) {
        rows.push(version_row(client, place, tier).await?);
        rows.push(rows_row(client, schema, &place.tables(), tier).await?);
    }
    for row in rows.iter_mut().filter(|row| row.found.is_empty()) {
        "as it should be".clone_into(&mut row.found);
    }
    Ok(Footing { rows })
}

async fn version_row(client: &Client, place: &Place<'_>, tier: &'static str) -> Result<FootingRow, Fault> {
    let select = match place {
        Place::Platform => schema::FOUND_PLATFORM.to_owned(),
        Place::Schema(schema) | Place::Dedicated(schema) => schema::found_own(schema),
    };
    let found: i64 = client.query_typed_one(&select, &[]).await?.try_get(0)?;
    let ok = schema::fits(found);
    let found = format!("{found}, and this program is of {}", schema::VERSION);
    Ok(FootingRow { check: "the schema's version", tier, tenant: None, ok, found })
}

/// Without a token there are no rows, and every table that there should be is there.
async fn rows_row(
    client: &Client,
    schema: &str,
    tables: &[&str],
    tier: &'static str,
) -> Result<FootingRow, Fault> {
    let mut found = Vec::new();
    for table in tables {
        let any = format!("SELECT EXISTS(SELECT 1 FROM {schema}.{table})");
        if client.query_typed_one(&any, &[]).await?.try_get::<_, bool>(0)? {
            found.push(*table);
        }
    }
    let ok = found.is_empty();
    Ok(FootingRow { check: "rows without a token", tier, tenant: None, ok, found: found.join(", ") })
}

/// Each gives a list of what is not as it should be. `$1` is the schema with tenants' tables.
const CHECKS: [(&str, &str); 7] = [
    (
        "the role's attributes",
        "SELECT array_to_string(ARRAY(SELECT what FROM (VALUES
            (rolsuper, 'is a superuser'), (rolbypassrls, 'steps over policies'), (rolcreaterole, 'makes roles'),
            (rolcreatedb, 'makes databases'), (rolreplication, 'replicates'),
            (EXISTS(SELECT 1 FROM pg_auth_members WHERE member = pg_roles.oid), 'is a member of another role'),
            (EXISTS(SELECT 1 FROM pg_class WHERE relowner = pg_roles.oid), 'owns tables')
         ) AS it(is_so, what) WHERE is_so AND $1 <> ''), ', ') FROM pg_roles WHERE rolname = current_user",
    ),
    (
        "forced row-level security",
        "SELECT coalesce(string_agg(relname, ', ' ORDER BY relname), '') FROM pg_class
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
         AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT (relkind = 'r' AND relrowsecurity AND relforcerowsecurity)",
    ),
    (
        "the policies",
        "SELECT coalesce(string_agg(tablename, ', ' ORDER BY tablename), '') FROM pg_tables
         WHERE schemaname = $1 AND NOT EXISTS(
            SELECT 1 FROM pg_policies WHERE pg_policies.schemaname = $1
            AND pg_policies.tablename = pg_tables.tablename AND permissive = 'RESTRICTIVE' AND cmd = 'ALL'
            AND roles = '{public}' AND qual LIKE '(tenant_id = ( SELECT tenantry.current_tenant()%'
            AND with_check = qual)",
    ),
    (
        "rights of everybody",
        "SELECT coalesce(string_agg(DISTINCT what, ', '), '') FROM (
            SELECT relname::text, relacl FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE nspname IN ($1, 'tenantry')
            UNION ALL SELECT nspname::text, nspacl FROM pg_namespace WHERE nspname IN ($1, 'tenantry', 'public')
            UNION ALL SELECT proname::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
                JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname IN ($1, 'tenantry')
            UNION ALL SELECT datname::text, coalesce(datacl, acldefault('d', datdba)) FROM pg_database
                WHERE datname = current_database()
         ) AS it(what, acl), LATERAL aclexplode(acl) AS granted WHERE grantee = 0",
    ),
    (
        "the key of tokens",
        "SELECT CASE WHEN has_any_column_privilege('tenantry.token_pad', 'SELECT, INSERT, UPDATE') AND $1 <> ''
            THEN 'the role can read or change it' ELSE '' END",
    ),
    (
        "rights to make anything",
        "SELECT concat_ws(', ', (SELECT string_agg(nspname, ', ') FROM pg_namespace
                WHERE has_schema_privilege(oid, 'CREATE') AND $1 <> ''),
            CASE WHEN has_database_privilege(current_database(), 'CREATE, TEMPORARY') THEN current_database() END)",
    ),
    (
        "other schemas",
        "SELECT coalesce(string_agg(nspname, ', '), '') FROM pg_namespace
         WHERE has_schema_privilege(oid, 'USAGE') AND nspname NOT IN ($1, 'tenantry', 'pg_catalog', 'information_schema')",
    ),
];

/// The tables of which a server remembers rows, and whose changes nothing counts.
const UNCOUNTED: &str = "SELECT coalesce(string_agg(name, ', ' ORDER BY name), '')
     FROM unnest(ARRAY['tenant', 'plan', 'credential', 'endpoint']) AS name
     WHERE NOT EXISTS(SELECT 1 FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relname = name AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'tenantry')
        -- After each statement that inserts, deletes or updates, in every session.
        AND tgname = 'counted' AND tgtype = 28 AND tgenabled IN ('O', 'A'))";

/// What a tenant's own role may do with the platform's tables, which should be nothing.
const PLATFORM_RIGHTS: &str = "SELECT coalesce(string_agg(relname, ', ' ORDER BY relname), '') FROM pg_class
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'tenantry') AND relkind IN ('r', 'p', 'v', 'm')
     AND (has_table_privilege(oid, 'DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE, REFERENCES'))";
