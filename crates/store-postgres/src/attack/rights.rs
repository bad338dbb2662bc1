//! What a role must not do at all: reach other homes and the platform's own tables, change what keeps tenants apart, read
//! the server's files, become somebody else, connect elsewhere.

use super::Outcome;
use super::ground::{Ground, tried};
use super::tally::{Tally, code, leak, refused};
use crate::init::SetupError;
use crate::link::Link;
use crate::schema::POOLED;
use std::pin::pin;
use store::Isolation;
use tokio_postgres::Client;

/// A statement that must be refused. `{t}` is a table of the attacker's place, `{s}` its schema.
struct Forbidden {
    statement: &'static str,
    place: &'static str,
    attack: &'static str,
    sql: &'static str,
}

const fn forbidden(
    statement: &'static str,
    place: &'static str,
    attack: &'static str,
    sql: &'static str,
) -> Forbidden {
    Forbidden { statement, place, attack, sql }
}

const CHANGES: &str = "what keeps tenants apart is changed";
const FILES: &str = "files of the database's server";
const SYSTEM: &str = "what the server keeps for itself";
const MAKES: &str = "something of the attacker's own is made";

const FORBIDDEN: &[Forbidden] = &[
    forbidden("ALTER TABLE", "object", CHANGES, "ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY"),
    forbidden(
        "ALTER TABLE",
        "object",
        "the policies are turned off",
        "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY",
    ),
    forbidden("CREATE POLICY", "object", CHANGES, "CREATE POLICY verify ON {t} USING (true)"),
    forbidden("DROP POLICY", "object", CHANGES, "DROP POLICY only_own ON {t}"),
    forbidden("CREATE RULE", "object", CHANGES, "CREATE RULE verify AS ON INSERT TO {t} DO ALSO NOTHING"),
    forbidden(
        "CREATE TRIGGER",
        "object",
        CHANGES,
        "CREATE TRIGGER verify BEFORE INSERT ON {t} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    forbidden("SET", "row_security", CHANGES, "SET LOCAL session_replication_role = replica"),
    forbidden(
        "CREATE FUNCTION",
        "tenantry.current_tenant",
        CHANGES,
        "CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'",
    ),
    forbidden("CREATE TABLE", "the schema", MAKES, "CREATE TABLE {s}.verify(id int)"),
    forbidden("CREATE VIEW", "the schema", MAKES, "CREATE VIEW {s}.verify AS SELECT 1"),
    forbidden("CREATE TABLE", "the schema public", MAKES, "CREATE TABLE public.verify(id int)"),
    forbidden("CREATE TABLE", "pg_temp", MAKES, "CREATE TEMPORARY TABLE verify(id int)"),
    forbidden("CREATE SCHEMA", "the database", MAKES, "CREATE SCHEMA verify"),
    forbidden("CREATE ROLE", "the server", MAKES, "CREATE ROLE verify"),
    forbidden("CREATE EXTENSION", "the database", MAKES, "CREATE EXTENSION file_fdw"),
    forbidden("COPY TO", "a file", FILES, "COPY (SELECT 1) TO '/dev/null'"),
    forbidden("COPY TO", "a program", FILES, "COPY (SELECT 1) TO PROGRAM 'true'"),
    forbidden("SELECT", "pg_read_file", FILES, "SELECT pg_read_file('PG_VERSION')"),
    forbidden("SELECT", "pg_ls_dir", FILES, "SELECT pg_ls_dir('.')"),
    forbidden("SELECT", "lo_import", FILES, "SELECT lo_import('/dev/null')"),
    forbidden("SELECT", "pg_authid", SYSTEM, "SELECT * FROM pg_authid"),
    forbidden("SELECT", "pg_shadow", SYSTEM, "SELECT * FROM pg_shadow"),
    forbidden("SELECT", "pg_largeobject", SYSTEM, "SELECT * FROM pg_largeobject"),
    forbidden("SELECT", "pg_user_mapping", SYSTEM, "SELECT * FROM pg_user_mapping"),
    forbidden("SELECT", "pg_hba_file_rules", SYSTEM, "SELECT * FROM pg_hba_file_rules"),
    forbidden("SELECT", "pg_file_settings", SYSTEM, "SELECT * FROM pg_file_settings"),
    forbidden("SELECT", "tenantry.token_pad", "the key of tokens", "SELECT * FROM tenantry.token_pad"),
    forbidden(
        "UPDATE",
        "tenantry.token_pad",
        "the key of tokens",
        "UPDATE tenantry.token_pad SET inner_pad = outer_pad",
    ),
];

/// What servers must not do with the platform's own tables.
const OF_THE_PLATFORM: &[Forbidden] = &[
    forbidden("UPDATE", "tenantry.own_key", "the platform's keys", "UPDATE tenantry.own_key SET sealed = ''"),
    forbidden("UPDATE", "tenantry.home", "others' homes", "UPDATE tenantry.home SET sealed = ''"),
    forbidden(
        "UPDATE",
        "tenantry.provisioning",
        "others' homes",
        "UPDATE tenantry.provisioning SET state = 'waiting'",
    ),
    forbidden("DELETE", "tenantry.provisioning", "others' homes", "DELETE FROM tenantry.provisioning"),
    forbidden("UPDATE", "tenantry.epoch", "what servers remember", "UPDATE tenantry.epoch SET number = 0"),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    let own = ground.attacker.token();
    let platform = OF_THE_PLATFORM.iter().filter(|_| ground.is_shared());
    for Forbidden { statement, place, attack, sql } in FORBIDDEN.iter().chain(platform) {
        let sql = ground.on("object", sql).replace("{s}", &ground.attacker.schema);
        tally.note(statement, *place, attack, refused(tried(&client, Some(&own), &[], &sql).await));
    }
    roles(ground, &client, tally).await;
    unfiltered(ground, &client, tally).await;
    if !ground.is_shared() {
        elsewhere(ground, &client, tally).await?;
    }
    if ground.isolation == Isolation::Dedicated {
        connections(ground, tally).await;
    }
    Ok(())
}

/// Who the attacker must not become.
async fn roles(ground: &Ground<'_>, client: &Client, tally: &mut Tally) {
    let naming = ground.naming;
    let mut others =
        vec![("the owner's role", naming.owner()), ("the victim's role", naming.role(ground.victim.tenant))];
    if let Some(admin) = ground.admin.config.get_user() {
        others.push(("the administrator's role", admin.to_owned()));
    }
    match ground.isolation {
        // It has the one role that there is.
        Isolation::Embedded | Isolation::Pooled => others.retain(|(what, _)| *what != "the victim's role"),
        Isolation::Schema | Isolation::Dedicated => others.push(("the server's role", naming.server.clone())),
    }
    for (what, role) in others {
        let role = format!("SET LOCAL ROLE \"{}\"", role.replace('"', "\"\""));
        tally.note(
            "SET ROLE",
            what,
            "the attacker becomes somebody else",
            refused(tried(client, None, &[], &role).await),
        );
    }
}

/// Reading without the policies: a statement that they would be left out of is refused.
async fn unfiltered(ground: &Ground<'_>, client: &Client, tally: &mut Tally) {
    let off = ["SET LOCAL row_security = off".to_owned()];
    for (table, missing) in &ground.tables {
        let outcome = match missing {
            Some(missing) => Outcome::Unattacked(missing.clone()),
            None => {
                let own = ground.attacker.token();
                let read = ground.on(table, "SELECT count(*) FROM (SELECT 1 FROM {t} LIMIT 1000) AS it");
                refused(tried(client, Some(&own), &off, &read).await)
            }
        };
        tally.note("SELECT", ground.place(table), "the policies are left out", outcome);
    }
}

/// The victim's home, the shared tables and the platform's, from a tenant's own role, with the token of either.
async fn elsewhere(ground: &Ground<'_>, client: &Client, tally: &mut Tally) -> Result<(), SetupError> {
    let server = ground.server.connect().await?;
    let (own, victims) = (ground.attacker.token(), ground.victim.token());
    for (table, missing) in &ground.tables {
        let places = [("the victim's home", ground.victim.schema.as_str()), ("the shared tables", POOLED)];
        for (place, schema) in places.into_iter().filter(|(_, schema)| *schema != POOLED || *table != "work")
        {
            let read = format!("SELECT count(*) FROM {schema}.{table}");
            for (token, attack) in [(&own, "with the own token"), (&victims, "with the victim's token")] {
                let outcome = match missing {
                    Some(missing) => Outcome::Unattacked(missing.clone()),
                    None => refused(tried(client, Some(token), &[], &read).await),
                };
                tally.note("SELECT", format!("{table} in {place}"), attack, outcome);
            }
        }
        let read = format!("SELECT count(*) FROM {}.{table}", ground.victim.schema);
        let outcome = refused(tried(&server, Some(&victims), &[], &read).await);
        tally.note("SELECT", format!("{table} in the victim's home"), "as the server's role", outcome);
    }
    let platform = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'tenantry' AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname";
    for row in server.query_typed(platform, &[]).await? {
        let table: String = row.try_get(0)?;
        let read = format!("SELECT count(*) FROM tenantry.{table}");
        let outcome = refused(tried(client, Some(&own), &[], &read).await);
        tally.note("SELECT", format!("tenantry.{table}"), "the platform's own tables", outcome);
    }
    Ok(())
}

/// Databases of others.
async fn connections(ground: &Ground<'_>, tally: &mut Tally) {
    let (own, victims) = (&ground.attacker.link, &ground.victim.link);
    let theirs = victims.config.get_dbname().unwrap_or_default();
    for (place, link) in [
        ("the victim's database", own.within(theirs)),
        ("the platform's database", own.within(&ground.naming.database)),
        ("the victim's database, as the server's role", ground.server.within(theirs)),
    ] {
        tally.note("CONNECT", place, "a database of somebody else's", connected(&link).await);
    }
}

/// Whether a statement is carried out there. A pooler lets everybody in, and says that it was refused when it has
/// something to do; the victim's own connections went the same way.
async fn connected(link: &Link) -> Outcome {
    let asked = async {
        let (client, connection) = link.config.connect(link.tls.clone()).await?;
        let mut asked = pin!(client.query_typed("SELECT 1", &[]));
        tokio::select! {
            answered = &mut asked => answered,
            // What is asked learns of it.
            _ = connection => asked.await,
        }
    };
    match asked.await {
        Ok(_) => leak("a statement was carried out"),
        // Not allowed, by the database or by rules of the server's or a pooler's own.
        Err(error) if ["42501", "28000", "28P01", "08P01"].contains(&code(&error)) => Outcome::Held,
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    }
}
