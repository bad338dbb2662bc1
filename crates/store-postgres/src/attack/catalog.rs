//! What the catalog says of each table and of the database: mistakes that open nothing today, since something else
//! stands in front of them, or that open something for whoever comes next. It is read as the role that is attacked.

use super::Outcome;
use super::ground::{Ground, place};
use super::tally::{Tally, code, leak};
use crate::footing::examine;
use crate::home::params;
use crate::init::SetupError;
use tokio_postgres::{Client, Error, Row};

/// A question of the catalog; the answer is what is not as it should be. `$1` is a table, or the schema of tenants'
/// tables, and `$2` the role.
struct Question {
    place: &'static str,
    attack: &'static str,
    select: &'static str,
}

const fn question(place: &'static str, attack: &'static str, select: &'static str) -> Question {
    Question { place, attack, select }
}

const OF_A_TABLE: &[Question] = &[
    question(
        "pg_class",
        "row-level security that does not hold for everybody",
        "SELECT concat_ws(', ', CASE WHEN NOT relrowsecurity THEN 'it is not enabled' END,
            CASE WHEN NOT relforcerowsecurity THEN 'it is not forced' END)
         FROM pg_class WHERE oid = $1::regclass AND $2 <> ''",
    ),
    question(
        "pg_class",
        "an owner that the attacker's role is",
        "SELECT CASE WHEN pg_has_role($2, relowner, 'MEMBER') THEN 'the role owns it' ELSE '' END
         FROM pg_class WHERE oid = $1::regclass",
    ),
    question(
        "pg_policy",
        "a policy that is wider than ours, or another",
        "SELECT concat_ws(', ',
            (SELECT string_agg(polname, ', ' ORDER BY polname) FROM pg_policy WHERE polrelid = $1::regclass
                AND (polname, polpermissive) NOT IN (('own', true), ('only_own', false))),
            (SELECT string_agg(polname || ' is not for all and by the tenant', ', ' ORDER BY polname)
                FROM pg_policy WHERE polrelid = $1::regclass AND $2 <> '' AND NOT (polcmd = '*' AND polroles = '{0}'
                AND pg_get_expr(polqual, polrelid) LIKE '(tenant_id = ( SELECT tenantry.current_tenant() AS current_tenant))')),
            CASE WHEN (SELECT count(*) FROM pg_policy WHERE polrelid = $1::regclass) < 2 THEN 'one is missing' END)",
    ),
    question(
        "pg_policy",
        "a policy that does not check what is written",
        "SELECT coalesce(string_agg(polname, ', ' ORDER BY polname), '') FROM pg_policy
         WHERE polrelid = $1::regclass AND $2 <> '' AND pg_get_expr(polwithcheck, polrelid)
            IS DISTINCT FROM '(tenant_id = ( SELECT tenantry.current_tenant() AS current_tenant))'",
    ),
    question(
        "pg_index",
        "a key in which the tenant does not stand",
        "SELECT coalesce(string_agg(indexrelid::regclass::text, ', '), '') FROM pg_index
         WHERE indrelid = $1::regclass AND $2 <> '' AND indisunique AND NOT (SELECT attnum FROM pg_attribute
            WHERE attrelid = indrelid AND attname = 'tenant_id') = ANY(indkey::int2[])",
    ),
    question(
        "pg_constraint",
        "a reference in which the tenant does not stand",
        "SELECT coalesce(string_agg(conname, ', '), '') FROM pg_constraint
         WHERE contype = 'f' AND conrelid = $1::regclass AND $2 <> '' AND NOT (SELECT attnum FROM pg_attribute
            WHERE attrelid = conrelid AND attname = 'tenant_id') = ANY(conkey)",
    ),
    question(
        "pg_class",
        "rights of others than the owner and the role",
        "SELECT coalesce(string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            || ' has ' || privilege_type, ', '), '')
         FROM (SELECT relowner, relacl FROM pg_class WHERE oid = $1::regclass
            UNION ALL SELECT relowner, attacl FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE attrelid = $1::regclass AND attacl IS NOT NULL) AS it(owner, acl), LATERAL aclexplode(acl)
         WHERE grantee <> owner AND (grantee = 0 OR grantee::regrole::text <> $2
            OR privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') OR is_grantable)",
    ),
    question(
        "pg_trigger, pg_rewrite",
        "something that is carried out with each write",
        "SELECT concat_ws(', ', (SELECT string_agg(tgname, ', ') FROM pg_trigger
                WHERE tgrelid = $1::regclass AND NOT tgisinternal AND $2 <> ''),
            (SELECT string_agg(rulename, ', ') FROM pg_rewrite WHERE ev_class = $1::regclass))",
    ),
];

const OF_THE_DATABASE: &[Question] = &[
    question(
        "every view",
        "a view that reads with its owner's rights",
        "SELECT coalesce(string_agg(pg_class.oid::regclass::text, ', '), '') FROM pg_class
         JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND $1 <> '' AND relkind IN ('v', 'm', 'f')
         AND has_any_column_privilege($2, pg_class.oid, 'SELECT')
         AND NOT (relkind = 'v' AND coalesce('security_invoker=true' = ANY(reloptions)
            OR 'security_invoker=on' = ANY(reloptions), false))
         AND NOT EXISTS(SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')",
    ),
    question(
        "every function",
        "a function that works with its owner's rights",
        "SELECT coalesce(string_agg(pg_proc.oid::regprocedure::text, ', '), '') FROM pg_proc
         JOIN pg_namespace ON pg_namespace.oid = pronamespace
         WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND $1 <> '' AND prosecdef
         AND prorettype <> 'trigger'::regtype
         AND has_function_privilege($2, pg_proc.oid, 'EXECUTE') AND has_schema_privilege($2, pronamespace, 'USAGE')
         AND pg_proc.oid::regprocedure::text <> 'tenantry.current_tenant()'",
    ),
    question(
        "pg_auth_members",
        "a role whose rights the attacker's role has",
        "SELECT coalesce(string_agg(roleid::regrole::text, ', '), '') FROM pg_auth_members
         WHERE member = $2::regrole AND $1 <> ''",
    ),
    question(
        "pg_db_role_setting",
        "a setting that every connection begins with",
        "SELECT coalesce(string_agg(split_part(setting, '=', 1), ', '), '') FROM pg_db_role_setting, unnest(setconfig) AS setting
         WHERE (setrole = 0 OR setrole = $2::regrole) AND $1 <> ''
         AND (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
         AND split_part(setting, '=', 1) SIMILAR TO '(tenantry.%|row_security|search_path|role|session_replication_role)'",
    ),
    question(
        "pg_default_acl",
        "rights of everybody to what is made later",
        "SELECT coalesce(string_agg(DISTINCT privilege_type, ', '), '') FROM pg_default_acl, LATERAL aclexplode(defaclacl)
         WHERE $1 <> '' AND $2 <> '' AND (grantee = 0 OR grantee = $2::regrole) AND defaclrole <> grantee",
    ),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    let role: String = client.query_typed_one("SELECT current_user::text", &[]).await?.try_get(0)?;
    for table in ground.tables.keys() {
        let named = format!("{}.{table}", ground.attacker.schema);
        for Question { place, attack, select } in OF_A_TABLE {
            let outcome = answered(ask(&client, select, &named, &role).await);
            tally.note("catalog", format!("{place} of {}", ground.place(table)), attack, outcome);
        }
    }
    for Question { place, attack, select } in OF_THE_DATABASE {
        let outcome = answered(ask(&client, select, &ground.attacker.schema, &role).await);
        tally.note("catalog", *place, attack, outcome);
    }
    footing(ground, &client, tally).await
}

/// What a start looks at before it serves anybody.
async fn footing(ground: &Ground<'_>, client: &Client, tally: &mut Tally) -> Result<(), SetupError> {
    let footing = examine(client, &place(ground.isolation, &ground.attacker.schema)).await?;
    for row in footing.rows {
        let outcome = if row.ok { Outcome::Held } else { leak(row.found) };
        tally.note("footing", row.check, "what a start refuses to serve with", outcome);
    }
    Ok(())
}

async fn ask(client: &Client, select: &str, about: &str, role: &str) -> Result<Vec<Row>, Error> {
    client.query_typed(select, params![about => TEXT, role => TEXT]).await
}

fn answered(found: Result<Vec<Row>, Error>) -> Outcome {
    let found = found.map(|rows| rows.first().and_then(|row| row.try_get::<_, String>(0).ok()));
    match found {
        Ok(Some(found)) if found.is_empty() => Outcome::Held,
        Ok(Some(found)) => leak(found),
        Ok(None) => Outcome::Unattacked("the catalog says nothing of it".to_owned()),
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    }
}
