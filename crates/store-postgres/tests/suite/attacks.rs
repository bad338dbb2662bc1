//! What a role can reach that is not its own: whoever can have statements carried out as a tenant's role, or as the
//! server's, tries. And what a start finds where somebody has left something open.

use crate::connect;
use crate::homes::{OWN, Scene, hex, run, schema};
use crate::policies::token;
use ids::TenantId;
use postgres_instance::address;
use store::{Isolation, StoreError, TenantLifecycle as _};
use store_postgres::Footing;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Two tenants of one kind, and a connection as the role of the first.
struct Attack {
    scene: Scene,
    isolation: Isolation,
    one: TenantId,
    two: TenantId,
    role: Client,
    /// The administrator's, in the database of the first.
    admin: Client,
}

impl Attack {
    async fn set(isolation: Isolation) -> Self {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let (one, two) = (scene.create(isolation).await.unwrap(), scene.create(isolation).await.unwrap());
        let role = scene.tenant(one, isolation).await;
        let admin = connect(&address("postgres", &scene.database(one, isolation))).await;
        Self { scene, isolation, one, two, role, admin }
    }

    /// The ids of objects in a schema, seen by the first tenant's role with this token.
    async fn seen(&self, token: &str, schema: &str) -> Result<usize, SqlState> {
        self.role.batch_execute("BEGIN").await.unwrap();
        let bind = format!("SELECT set_config('tenantry.tenant', '{token}', true)");
        self.role.batch_execute(&bind).await.unwrap();
        let rows = self.role.query_typed(&format!("SELECT id FROM {schema}.object"), &[]).await;
        self.role.batch_execute("ROLLBACK").await.unwrap();
        rows.map(|rows| rows.len()).map_err(|error| error.code().unwrap().clone())
    }
}

async fn refused(client: &Client, statement: &str) {
    let error = client.batch_execute(statement).await.expect_err(statement);
    let code = error.code().unwrap_or_else(|| panic!("{statement}: {error}"));
    // Not allowed, or not to be found at all.
    let codes = ["42501", "42P01", "3F000"];
    assert!(codes.contains(&code.code()), "{statement}: {error:?}");
}

#[test]
fn a_tenants_role_sees_its_own_rows_with_its_own_token_alone() {
    run(async {
        for isolation in OWN {
            let attack = Attack::set(isolation).await;
            let own = schema(attack.one);
            let (mine, theirs) = (
                token(&attack.admin, attack.one, 30_000).await,
                token(&attack.admin, attack.two, 30_000).await,
            );
            assert_eq!(attack.seen(&mine, &own).await, Ok(1));
            assert_eq!(attack.seen(&theirs, &own).await, Ok(0));
            assert_eq!(attack.seen("", &own).await, Ok(0));
            for token in [&mine, &theirs] {
                for place in [schema(attack.two), "pooled".to_owned()] {
                    let code = attack.seen(token, &place).await.unwrap_err();
                    let expected = match isolation {
                        Isolation::Dedicated => SqlState::UNDEFINED_TABLE,
                        _ => SqlState::INSUFFICIENT_PRIVILEGE,
                    };
                    assert_eq!(code, expected, "{place}");
                }
            }
            // A row for somebody else is refused in the tenant's own tables as well.
            let foreign = format!(
                "BEGIN; SELECT set_config('tenantry.tenant', '{mine}', true);
                 INSERT INTO {own}.object(tenant_id, kind, id, version, body) VALUES('\\x{}', 'agent', 'a', 1, '')",
                hex(attack.two)
            );
            refused(&attack.role, &foreign).await;
        }
    });
}

#[test]
fn a_token_of_one_database_is_none_in_another() {
    run(async {
        let attack = Attack::set(Isolation::Dedicated).await;
        let shared = token(&attack.scene.admin, attack.one, 30_000).await;
        assert_eq!(attack.seen(&shared, &schema(attack.one)).await, Ok(0));
        let inside = token(&attack.admin, attack.one, 30_000).await;
        assert_eq!(attack.seen(&inside, &schema(attack.one)).await, Ok(1));
    });
}

#[test]
fn a_tenants_role_reaches_nothing_of_the_platform_and_makes_nothing() {
    run(async {
        for isolation in OWN {
            let attack = Attack::set(isolation).await;
            let (own, other) = (schema(attack.one), attack.scene.role(attack.two));
            let database = &attack.scene.place().database;
            let tables =
                "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE nspname = 'tenantry' AND relkind = 'r'";
            let rows = attack.scene.admin.query_typed(tables, &[]).await.unwrap();
            assert!(rows.len() > 12);
            for row in rows {
                refused(&attack.role, &format!("SELECT * FROM tenantry.{}", row.get::<_, String>(0))).await;
            }
            for statement in [
                "INSERT INTO tenantry.provisioning(tenant, what, isolation) VALUES('', 'remove', 'schema')"
                    .to_owned(),
                format!("TRUNCATE {own}.object"),
                format!("ALTER TABLE {own}.object NO FORCE ROW LEVEL SECURITY"),
                format!("CREATE POLICY wide ON {own}.object USING (true)"),
                format!("CREATE TABLE {own}.mine(id int)"),
                format!("CREATE VIEW {own}.mine AS SELECT 1"),
                "CREATE TABLE public.mine(id int)".to_owned(),
                "CREATE TEMPORARY TABLE mine(id int)".to_owned(),
                "CREATE SCHEMA mine".to_owned(),
                "CREATE DATABASE mine".to_owned(),
                "CREATE ROLE mine".to_owned(),
                "SET ROLE postgres".to_owned(),
                format!("SET ROLE {database}_owner"),
                format!("SET ROLE {database}_server"),
                format!("SET ROLE {other}"),
                format!("COPY {own}.object TO '/tmp/object'"),
                "COPY (SELECT 1) TO PROGRAM 'true'".to_owned(),
                "SELECT pg_read_file('/etc/passwd')".to_owned(),
                "SELECT * FROM pg_authid".to_owned(),
            ] {
                refused(&attack.role, &statement).await;
            }
        }
    });
}

#[test]
fn nobody_connects_to_a_database_that_is_anothers() {
    run(async {
        let attack = Attack::set(Isolation::Dedicated).await;
        let (one, two) = (attack.scene.role(attack.one), attack.scene.role(attack.two));
        let database = attack.scene.place().database.clone();
        let server = format!("{database}_server");
        for (role, database) in [(&one, &two), (&two, &one), (&one, &database), (&server, &one)] {
            let tried = tokio_postgres::connect(&address(role, database), tokio_postgres::NoTls).await;
            let code = tried.err().and_then(|error| error.code().cloned());
            assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{role} {database}");
        }
    });
}

#[test]
fn a_tenants_role_sees_no_statement_and_no_statistics_of_others() {
    run(async {
        for isolation in OWN {
            let attack = Attack::set(isolation).await;
            let other = attack.scene.tenant(attack.two, isolation).await;
            let server = connect(&attack.scene.place().url()).await;
            let word = &attack.scene.place().database;
            for client in [&other, &server] {
                client.batch_execute(&format!("SELECT 'a word of {word}'")).await.unwrap();
            }
            let said =
                format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%a word of ' || '{word}%'");
            let count =
                async |client: &Client| client.query_typed_one(&said, &[]).await.unwrap().get::<_, i64>(0);
            assert_eq!(count(&attack.scene.admin).await, 2);
            assert_eq!(count(&attack.role).await, 0);
            attack.scene.admin.batch_execute("ANALYZE").await.unwrap();
            let statistics =
                "SELECT count(*) FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
            let of = attack.scene.admin.query_typed_one(statistics, &[]).await.unwrap();
            assert!(of.get::<_, i64>(0) > 0);
            let of = attack.role.query_typed_one(statistics, &[]).await.unwrap();
            assert_eq!(of.get::<_, i64>(0), 0);
        }
    });
}

#[test]
fn the_servers_role_reaches_no_tenants_own_schema_and_cannot_rewrite_the_queue() {
    run(async {
        let attack = Attack::set(Isolation::Schema).await;
        let server = connect(&attack.scene.place().url()).await;
        for statement in [
            format!("SELECT * FROM {}.object", schema(attack.one)),
            format!("SET ROLE {}", attack.scene.role(attack.one)),
            "UPDATE tenantry.provisioning SET state = 'waiting'".to_owned(),
            "DELETE FROM tenantry.provisioning".to_owned(),
            "UPDATE tenantry.home SET sealed = ''".to_owned(),
            "INSERT INTO tenantry.home(tenant, isolation, sealed) VALUES('', 'schema', '')".to_owned(),
            "INSERT INTO tenantry.provisioning(tenant, what, isolation, state) VALUES('', 'make', 'schema', 'done')"
                .to_owned(),
        ] {
            refused(&server, &statement).await;
        }
    });
}

/// Where somebody has left something open, what finds it, and how it is closed again.
fn mistakes(schema: &str, role: &str, owner: &str) -> Vec<(&'static str, String, String)> {
    let mistake = |check, open: String, close: String| (check, open, close);
    let restrictive = format!(
        "DROP POLICY only_own ON {schema}.run; CREATE POLICY only_own ON {schema}.run AS RESTRICTIVE"
    );
    let own = "USING (tenant_id = (SELECT tenantry.current_tenant()))";
    let checked = format!("{own} WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()))");
    vec![
        mistake(
            "forced row-level security",
            format!("ALTER TABLE {schema}.run NO FORCE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {schema}.run FORCE ROW LEVEL SECURITY"),
        ),
        mistake(
            "forced row-level security",
            format!("CREATE VIEW {schema}.seen AS SELECT * FROM {schema}.object"),
            format!("DROP VIEW {schema}.seen"),
        ),
        mistake("the policies", format!("{restrictive} {own}"), format!("{restrictive} {checked}")),
        mistake(
            "the policies",
            format!("{restrictive} USING (true) WITH CHECK (true)"),
            format!("{restrictive} {checked}"),
        ),
        mistake(
            "rights of everybody",
            format!("GRANT SELECT ON {schema}.run TO PUBLIC"),
            format!("REVOKE SELECT ON {schema}.run FROM PUBLIC"),
        ),
        mistake(
            "rights of everybody",
            "GRANT EXECUTE ON FUNCTION tenantry.current_tenant() TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION tenantry.current_tenant() FROM PUBLIC".to_owned(),
        ),
        mistake(
            "the role's attributes",
            format!("GRANT {owner} TO {role}"),
            format!("REVOKE {owner} FROM {role}"),
        ),
        mistake(
            "the role's attributes",
            format!("ALTER ROLE {role} BYPASSRLS"),
            format!("ALTER ROLE {role} NOBYPASSRLS"),
        ),
        mistake(
            "the key of tokens",
            format!("GRANT SELECT ON tenantry.token_pad TO {role}"),
            format!("REVOKE SELECT ON tenantry.token_pad FROM {role}"),
        ),
        mistake(
            "rights to make anything",
            format!("GRANT CREATE ON SCHEMA {schema} TO {role}"),
            format!("REVOKE CREATE ON SCHEMA {schema} FROM {role}"),
        ),
        mistake(
            "other schemas",
            format!("CREATE SCHEMA beside; GRANT USAGE ON SCHEMA beside TO {role}"),
            "DROP SCHEMA beside".to_owned(),
        ),
    ]
}

fn fails(footing: &Footing, tier: &str, check: &str) -> bool {
    footing.rows.iter().any(|row| row.check == check && row.tier == tier && !row.ok)
}

#[test]
fn every_mistake_is_found_in_every_kind_of_home() {
    run(async {
        for isolation in [Isolation::Pooled, Isolation::Schema, Isolation::Dedicated] {
            let attack =
                Attack::set(if isolation == Isolation::Pooled { Isolation::Schema } else { isolation }).await;
            let (scene, database) = (&attack.scene, &attack.scene.place().database);
            let (place, role) = match isolation {
                Isolation::Pooled => ("pooled".to_owned(), format!("{database}_server")),
                _ => (schema(attack.one), scene.role(attack.one)),
            };
            let owner = format!("{database}_owner");
            let sound = scene.store.footing(10).await.unwrap();
            assert!(sound.holds() && sound.rows.len() > 25, "{sound}");
            let admin = if isolation == Isolation::Pooled { &scene.admin } else { &attack.admin };
            let uncounted = |how| format!("ALTER TABLE tenantry.credential {how} TRIGGER counted");
            let uncounted = (isolation == Isolation::Pooled)
                .then(|| ("changes are counted", uncounted("DISABLE"), uncounted("ENABLE")));
            for (check, open, close) in mistakes(&place, &role, &owner).into_iter().chain(uncounted) {
                admin.batch_execute(&open).await.unwrap();
                let found = scene.store.footing(10).await.unwrap();
                assert!(fails(&found, isolation.as_str(), check), "{isolation}: {open}: {found}");
                admin.batch_execute(&close).await.unwrap();
            }
            assert!(scene.store.footing(10).await.unwrap().holds());
        }
    });
}

#[test]
fn a_home_that_is_open_is_not_used_and_the_others_are() {
    run(async {
        for isolation in OWN {
            let attack = Attack::set(isolation).await;
            let own = schema(attack.one);
            let grant = match attack.isolation {
                Isolation::Schema => {
                    format!("GRANT SELECT ON tenantry.tenant TO {}", attack.scene.role(attack.one))
                }
                _ => format!("GRANT SELECT ON {own}.run TO PUBLIC"),
            };
            attack.admin.batch_execute(&grant).await.unwrap();
            let store = attack.scene.place().open(&attack.scene.env()).await;
            let operator = attack.scene.operator();
            assert_eq!(store.stored_bytes(operator, attack.one).await, Err(StoreError::TenantUnavailable));
            assert!(store.stored_bytes(operator, attack.two).await.is_ok());
        }
    });
}
