//! The policies by themselves: what the run-time role sees and writes with no token, a wrong one, and a right one.

use crate::connect;
use crate::place::Place;
use env::{Env, Timestamp};
use ids::{Id as _, TenantId};
use secret::SecretText;
use store_postgres::SetupError;
use tokio_postgres::Client;

/// Makes a token as whoever has the key would: for a tenant, ending so many milliseconds from now.
const TOKEN: &str = "SELECT said || '.' || encode(sha256(outer_pad || sha256(inner_pad || convert_to(said, 'UTF8'))), 'hex')
    FROM tenantry.token_pad, (SELECT $1 || '.' || (extract(epoch FROM clock_timestamp()) * 1000 + $2)::int8 AS said) AS it";

fn env() -> Env {
    Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1).0
}

fn run<R>(test: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

pub async fn token(admin: &Client, tenant: TenantId, millis: i64) -> String {
    use tokio_postgres::types::Type;
    let (tenant, millis) = (hex(tenant), millis as f64);
    let row = admin.query_typed_one(TOKEN, &[(&tenant, Type::TEXT), (&millis, Type::FLOAT8)]).await.unwrap();
    row.get(0)
}

fn hex(tenant: TenantId) -> String {
    tenant.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two tenants with a row each, and a connection of the run-time role's.
struct Scene {
    place: Place,
    admin: Client,
    server: Client,
    one: TenantId,
    two: TenantId,
}

impl Scene {
    async fn set() -> Self {
        let env = env();
        let place = Place::make(&env).await;
        let (admin, server) = (connect(&place.admin_url()).await, connect(&place.url()).await);
        let scene = Self { place, admin, server, one: env.id(), two: env.id() };
        for tenant in [scene.one, scene.two] {
            let token = token(&scene.admin, tenant, 30_000).await;
            let insert = format!(
                "INSERT INTO pooled.object(kind, id, version, body) VALUES('agent', '{tenant}', 1, '')"
            );
            scene.within(&token, &insert).await.unwrap();
        }
        scene
    }

    /// Carries out a statement in a transaction with this token.
    async fn within(&self, token: &str, statement: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        self.server.batch_execute("BEGIN").await?;
        let bind = format!("SELECT set_config('tenantry.tenant', '{token}', true)");
        self.server.batch_execute(&bind).await?;
        let rows = self.server.query_typed(statement, &[]).await;
        self.server.batch_execute("COMMIT").await?;
        Ok(rows?.iter().map(|row| row.get(0)).collect())
    }

    async fn seen(&self, token: &str) -> Vec<String> {
        self.within(token, "SELECT id FROM pooled.object").await.unwrap()
    }
}

#[test]
fn a_token_opens_its_own_tenants_rows() {
    run(async {
        let scene = Scene::set().await;
        for tenant in [scene.one, scene.two] {
            let token = token(&scene.admin, tenant, 30_000).await;
            assert_eq!(scene.seen(&token).await, [tenant.to_string()]);
        }
    });
}

#[test]
fn without_a_right_token_there_are_no_rows() {
    run(async {
        let scene = Scene::set().await;
        let right = token(&scene.admin, scene.one, 30_000).await;
        let (said, mac) = right.rsplit_once('.').unwrap();
        let end = said.split_once('.').unwrap().1;
        let mut altered = mac.to_owned();
        altered.replace_range(..1, if mac.starts_with('0') { "1" } else { "0" });
        let refused = [
            String::new(),
            hex(scene.one),
            "x".repeat(200),
            // Another tenant under the code of the first, and another end.
            format!("{}.{end}.{mac}", hex(scene.two)),
            format!("{}.{}.{mac}", hex(scene.one), end.parse::<i64>().unwrap() + 1),
            format!("{said}.{altered}"),
            token(&scene.admin, scene.one, -1).await,
            // Longer than a minute from now.
            token(&scene.admin, scene.one, 120_000).await,
        ];
        for token in refused {
            assert_eq!(scene.seen(&token).await, Vec::<String>::new(), "{token}");
        }
        assert!(scene.server.query_typed("SELECT id FROM pooled.object", &[]).await.unwrap().is_empty());
        // What was set for one transaction holds in no other.
        assert_eq!(scene.seen(&right).await.len(), 1);
        assert!(scene.server.query_typed("SELECT id FROM pooled.object", &[]).await.unwrap().is_empty());
    });
}

#[test]
fn nothing_is_written_for_another_tenant() {
    run(async {
        let scene = Scene::set().await;
        let token = token(&scene.admin, scene.one, 30_000).await;
        let two = hex(scene.two);
        let foreign = [
            format!(
                "INSERT INTO pooled.object(tenant_id, kind, id, version, body) VALUES('\\x{two}', 'agent', 'a', 1, '')"
            ),
            format!("UPDATE pooled.object SET tenant_id = '\\x{two}'"),
        ];
        for statement in foreign {
            let error = scene.within(&token, &statement).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
            scene.server.batch_execute("ROLLBACK").await.unwrap();
        }
        let others = format!("DELETE FROM pooled.object WHERE id = '{}' RETURNING id", scene.two);
        assert!(scene.within(&token, &others).await.unwrap().is_empty());
        let all = scene.admin.query_typed_one("SELECT count(*) FROM pooled.object", &[]).await.unwrap();
        assert_eq!(all.get::<_, i64>(0), 2);
    });
}

#[test]
fn the_server_cannot_make_tokens_or_step_over_policies() {
    run(async {
        let scene = Scene::set().await;
        for statement in [
            "SELECT * FROM tenantry.token_pad",
            "UPDATE tenantry.own_key SET sealed = ''",
            "TRUNCATE pooled.object",
            "ALTER TABLE pooled.object NO FORCE ROW LEVEL SECURITY",
            "CREATE POLICY wide ON pooled.object USING (true)",
            "CREATE TABLE pooled.mine(id int)",
            "CREATE TABLE public.mine(id int)",
            "CREATE FUNCTION tenantry.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SET ROLE postgres",
        ] {
            let error = scene.server.batch_execute(statement).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
        }
        let owner = format!("SET ROLE {}_owner", scene.place.database);
        assert_eq!(scene.server.batch_execute(&owner).await.unwrap_err().code().unwrap().code(), "42501");
    });
}

#[test]
fn a_later_wider_policy_opens_nothing() {
    run(async {
        let scene = Scene::set().await;
        scene.admin.batch_execute("CREATE POLICY wide ON pooled.object USING (true)").await.unwrap();
        let token = token(&scene.admin, scene.one, 30_000).await;
        assert_eq!(scene.seen(&token).await, [scene.one.to_string()]);
        assert!(scene.seen("").await.is_empty());
    });
}

#[test]
fn a_token_stands_in_no_statement_that_others_can_see() {
    run(async {
        let scene = Scene::set().await;
        let store = scene.place.open(&env()).await;
        assert!(store::PlatformStore::has_operators(&store).await.is_ok());
        let seen = "SELECT query FROM pg_stat_activity WHERE datname = current_database()";
        let rows = scene.admin.query_typed(seen, &[]).await.unwrap();
        let texts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let said = |text: &String| text.contains(&hex(scene.one)) || text.contains(&"0".repeat(32));
        // The test's own connection binds by text; the store's must not.
        let others = texts.iter().filter(|text| !text.contains("set_config('tenantry.tenant', '"));
        assert!(others.clone().count() > 1 && !others.clone().any(said), "{texts:?}");
    });
}

#[test]
fn a_database_of_the_version_before_is_brought_to_this_one() {
    run(async {
        use store_tests::World;
        let world = World::<crate::conformance::Tier<crate::conformance::Shared>>::new(1).await;
        let place = &world.backend.place;
        let admin = connect(&place.admin_url()).await;
        let before = "DROP FUNCTION tenantry.count_change() CASCADE; DROP TABLE tenantry.epoch;
            DROP TABLE tenantry.home, tenantry.provisioning, tenantry.work_elsewhere, tenantry.move, tenantry.moved,
                tenantry.turn, tenantry.pool;
            ALTER TABLE tenantry.plan DROP COLUMN pool;
            DROP INDEX tenantry.work_by_due, pooled.run_by_status;
            DROP TABLE pooled.record_range; ALTER TABLE pooled.collection DROP COLUMN range_indexes;
            ALTER TABLE pooled.run_part ADD CONSTRAINT run_part_tenant_id_run_fkey
                FOREIGN KEY (tenant_id, run) REFERENCES pooled.run ON DELETE CASCADE;
            ALTER TABLE tenantry.work DROP COLUMN holder, DROP COLUMN fence, DROP COLUMN held_until,
                DROP COLUMN revoked;
            ALTER TABLE tenantry.tenant DROP COLUMN log_epoch, DROP COLUMN log_generation;
            ALTER TABLE tenantry.work RENAME COLUMN tenant_id TO tenant;
            ALTER TABLE pooled.log_head DROP COLUMN generation;
            DELETE FROM tenantry.schema_version WHERE version > 1;
            UPDATE tenantry.tenant SET generation = 7";
        admin.batch_execute(before).await.unwrap();
        let env = world.env();
        assert!(matches!(place.try_open(&env).await, Err(SetupError::Footing(_))));
        place.init(&env).await;
        let store = place.open(&env).await;
        assert!(store.footing(0).await.unwrap().holds());
        let kept = "SELECT count(*), min(generation) FROM pooled.log_head WHERE tenant_id <> decode(repeat('00', 16), 'hex')";
        let row = admin.query_typed_one(kept, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 7));
        assert!(store::TenantLifecycle::stored_bytes(&store, &world.operator, world.one).await.is_ok());
    });
}

// A transaction that has one table and comes to another, which the expansion has already, is not ended for it.
#[test]
fn a_schema_is_expanded_beside_transactions_that_are_under_way() {
    run(async {
        let env = env();
        let place = Place::make(&env).await;
        let other = connect(&place.admin_url()).await;
        other.batch_execute("BEGIN; SELECT count(*) FROM pooled.run").await.unwrap();
        let reading = async {
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            other.batch_execute("SELECT count(*) FROM pooled.log_head; COMMIT").await
        };
        let ((), read) = futures::join!(place.init(&env), reading);
        read.unwrap();
    });
}

#[test]
fn a_database_that_is_open_is_not_served() {
    run(async {
        let env = env();
        let place = Place::make(&env).await;
        // Made again, nothing changes.
        place.init(&env).await;
        place.open(&env).await;
        let admin = connect(&place.admin_url()).await;
        let open = async || place.try_open(&env).await.err();
        let fails = |error: Option<SetupError>, check: &str, found: &str| {
            let Some(SetupError::Footing(footing)) = error else { panic!("{check}: {error:?}") };
            let rows: Vec<_> = footing.rows.iter().filter(|row| !row.ok).collect();
            assert!(rows.iter().any(|row| row.check == check && row.found.contains(found)), "{rows:?}");
        };
        admin.batch_execute("ALTER TABLE pooled.run NO FORCE ROW LEVEL SECURITY").await.unwrap();
        fails(open().await, "forced row-level security", "run");
        admin.batch_execute("ALTER TABLE pooled.run FORCE ROW LEVEL SECURITY").await.unwrap();
        assert!(open().await.is_none());
        let role = format!("{}_server", place.database);
        admin.batch_execute(&format!("ALTER ROLE {role} BYPASSRLS")).await.unwrap();
        fails(open().await, "the role's attributes", "steps over policies");
        let other = Place::make(&env).await;
        let foreign = store_postgres::PostgresStore::open(
            store_postgres::Settings { url: SecretText::new(other.url()), ..place.settings() },
            place.kms(&env),
            env.clone(),
        );
        assert!(matches!(foreign.await.err(), Some(SetupError::WrongMasterKey)));
    });
}
