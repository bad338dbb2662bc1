//! Tenants' own homes: how they are made and removed, whoever stops in between, and what their roles can reach.

use crate::conformance::{Shared, Tier};
use crate::connect;
use crate::place::Place;
use context::Operator;
use env::Env;
use ids::{Id as _, TenantId};
use metering::plan::Limits;
use postgres_instance::address;
use std::sync::Arc;
use std::time::Duration;
use store::{Isolation, PlatformStore as _, StoreError, TenantLifecycle as _, TenantRow};
use store_postgres::{PostgresStore, Provisioner, Settings, Tls, footing, init};
use store_tests::World;
use tokio::sync::Notify;
use tokio_postgres::Client;

pub const OWN: [Isolation; 2] = [Isolation::Schema, Isolation::Dedicated];
/// More steps than there are.
const ENOUGH: usize = 20;

pub fn run<R>(test: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// A database with a store in it.
pub struct Scene {
    pub world: World<Tier<Shared>>,
    pub store: PostgresStore,
    pub admin: Client,
}

impl Scene {
    pub async fn set() -> Self {
        Self::with_patience(Duration::from_secs(20)).await
    }

    /// One whose server waits for no more than this.
    pub async fn with_patience(patience: Duration) -> Self {
        let world = World::<Tier<Shared>>::new(1).await;
        let place = &world.backend.place;
        let settings = Settings { patience, ..place.settings() };
        let store = PostgresStore::open(settings, place.kms(&world.env()), world.env()).await.unwrap();
        let admin = connect(&place.admin_url()).await;
        Self { world, store, admin }
    }

    pub fn place(&self) -> &Place {
        &self.world.backend.place
    }

    pub fn env(&self) -> Env {
        self.world.env()
    }

    pub fn operator(&self) -> &Operator {
        &self.world.operator
    }

    /// Makes a tenant.
    pub async fn create(&self, isolation: Isolation) -> Result<TenantId, StoreError> {
        let id = self.world.fixture.tenant(Limits::default());
        let row = TenantRow { isolation, ..self.world.row(id, None) };
        self.store.create_tenant(self.operator(), self.world.new_tenant(row)).await.map(|()| id)
    }

    /// Asks for something as a server does.
    pub async fn ask(&self, tenant: TenantId, what: &str, isolation: Isolation) {
        let ask = format!(
            "INSERT INTO tenantry.provisioning(tenant, what, isolation) VALUES('\\x{}', '{what}', '{isolation}')",
            hex(tenant)
        );
        connect(&self.place().url()).await.batch_execute(&ask).await.unwrap();
    }

    /// The state and the error of what was asked for.
    pub async fn state(&self, tenant: TenantId, what: &str) -> (String, Option<String>) {
        let select = format!(
            "SELECT state, error FROM tenantry.provisioning WHERE tenant = '\\x{}' AND what = '{what}'",
            hex(tenant)
        );
        let row = self.admin.query_typed_one(&select, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// How many of the role, the schema or database, and the row of a home there are.
    pub async fn left(&self, tenant: TenantId) -> i64 {
        let (role, schema) = (self.role(tenant), schema(tenant));
        let select = format!(
            "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = '{role}')
                + (SELECT count(*) FROM pg_database WHERE datname = '{role}')
                + (SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}')
                + (SELECT count(*) FROM tenantry.home WHERE tenant = '\\x{}')",
            hex(tenant)
        );
        self.admin.query_typed_one(&select, &[]).await.unwrap().get(0)
    }

    pub fn role(&self, tenant: TenantId) -> String {
        format!("{}_{}", self.place().database, schema(tenant))
    }

    /// The database that a tenant's home is in.
    pub fn database(&self, tenant: TenantId, isolation: Isolation) -> String {
        match isolation {
            Isolation::Dedicated => self.role(tenant),
            _ => self.place().database.clone(),
        }
    }

    /// A connection as a tenant's own role.
    pub async fn tenant(&self, tenant: TenantId, isolation: Isolation) -> Client {
        connect(&address(&self.role(tenant), &self.database(tenant, isolation))).await
    }
}

pub fn schema(tenant: TenantId) -> String {
    format!("t_{}", tenant.ulid().to_lowercase())
}

pub fn hex(tenant: TenantId) -> String {
    tenant.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serves one row and stops after so many steps, as a process does that is killed. Whether it came to the end.
async fn stopped_after(scene: &Scene, steps: usize) -> bool {
    let stopped = Arc::new(Notify::new());
    let provisioner = scene.place().provisioner(&scene.env()).stopping_after(steps, stopped.clone());
    loop {
        tokio::select! {
            ended = provisioner.run_once() => if ended.unwrap() {
                return true;
            },
            () = stopped.notified() => return false,
        }
        // The one before holds the row until the database has noticed that it is gone.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn who_comes_after_a_crash_finishes_what_was_begun() {
    run(async {
        let scene = Scene::set().await;
        for isolation in OWN {
            let mut steps = 0;
            let tenant: TenantId = scene.env().id();
            scene.ask(tenant, "make", isolation).await;
            // The same row is begun again and again, each time one step further.
            while !stopped_after(&scene, steps).await {
                assert_eq!(scene.state(tenant, "make").await, ("waiting".to_owned(), None), "step {steps}");
                steps += 1;
                assert!(steps < ENOUGH);
            }
            assert!(steps > 5, "{steps} steps");
            assert_eq!(scene.state(tenant, "make").await, ("done".to_owned(), None));
            assert_eq!(scene.left(tenant).await, 3);
            scene.ask(tenant, "remove", isolation).await;
            let mut steps = 0;
            while !stopped_after(&scene, steps).await {
                assert_eq!(scene.state(tenant, "remove").await, ("waiting".to_owned(), None), "step {steps}");
                steps += 1;
                assert!(steps < ENOUGH);
            }
            assert!(steps > 3, "{steps} steps");
            assert_eq!(scene.state(tenant, "remove").await, ("done".to_owned(), None));
            assert_eq!(scene.left(tenant).await, 0);
        }
    });
}

#[test]
fn two_that_serve_do_not_come_between_each_other() {
    run(async {
        let scene = Scene::set().await;
        let stopped = Arc::new(Notify::new());
        let first = scene.place().provisioner(&scene.env()).stopping_after(3, stopped.clone());
        let (one, two): (TenantId, TenantId) = (scene.env().id(), scene.env().id());
        scene.ask(one, "make", Isolation::Schema).await;
        scene.ask(two, "make", Isolation::Schema).await;
        let held = tokio::spawn(async move { first.run_once().await });
        stopped.notified().await;
        // The first row is held by whoever has stopped there, and the second is not.
        let second = scene.place().provisioner(&scene.env());
        assert!(second.run_once().await.unwrap());
        assert_eq!(scene.state(two, "make").await.0, "done");
        assert!(!second.run_once().await.unwrap());
        assert_eq!(scene.state(one, "make").await.0, "waiting");
        held.abort();
        // The lock goes with the connection.
        for _ in 0..100 {
            if second.run_once().await.unwrap() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(scene.state(one, "make").await.0, "done");
    });
}

#[test]
fn without_a_provisioner_a_tenant_is_refused_and_leaves_nothing() {
    run(async {
        let scene = Scene::with_patience(Duration::from_millis(200)).await;
        assert_eq!(scene.create(Isolation::Schema).await, Err(StoreError::ProvisioningUnavailable));
        assert_eq!(scene.create(Isolation::Dedicated).await, Err(StoreError::ProvisioningUnavailable));
        assert!(scene.create(Isolation::Pooled).await.is_ok());
        // Whoever comes later makes nothing that nobody waits for.
        let provisioner = scene.place().provisioner(&scene.env());
        while provisioner.run_once().await.unwrap() {}
        let rows = "SELECT count(*), count(*) FILTER (WHERE state = 'done'),
            (SELECT count(*) FROM tenantry.home) FROM tenantry.provisioning";
        let row = scene.admin.query_typed_one(rows, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (4, 4, 0));
    });
}

#[test]
fn a_home_whose_tenant_never_came_goes_and_one_whose_tenant_is_there_stays() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let there = scene.create(Isolation::Schema).await.unwrap();
        let never: TenantId = scene.env().id();
        scene.ask(never, "make", Isolation::Dedicated).await;
        until(async || scene.state(never, "make").await.0 == "done").await;
        let old = "UPDATE tenantry.provisioning SET asked_at = asked_at - interval '2 hours'";
        scene.admin.batch_execute(old).await.unwrap();
        until(async || scene.left(never).await == 0).await;
        // What has failed is tried again, but not the making of a home whose tenant is not there.
        let failed = "UPDATE tenantry.provisioning
            SET state = 'failed', error = 'x', ended_at = clock_timestamp() - interval '2 hours'";
        scene.admin.batch_execute(failed).await.unwrap();
        until(async || scene.state(never, "remove").await == ("done".to_owned(), None)).await;
        until(async || scene.state(there, "make").await == ("done".to_owned(), None)).await;
        assert_eq!(scene.state(never, "make").await.0, "failed");
        // Also where somebody asks for it.
        scene.ask(there, "remove", Isolation::Schema).await;
        until(async || scene.state(there, "remove").await.1.is_some()).await;
        assert_eq!(scene.left(there).await, 3);
    });
}

async fn until(there: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if there().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come");
}

#[test]
fn the_end_of_a_tenant_removes_its_home() {
    run(async {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        for isolation in OWN {
            let tenant = scene.create(isolation).await.unwrap();
            assert_eq!(scene.left(tenant).await, 3);
            let receipt = scene.store.erase(scene.operator(), tenant).await.unwrap();
            assert!(receipt.places.iter().any(|it| it.done.starts_with("they were removed")), "{receipt:?}");
            assert_eq!(scene.left(tenant).await, 0);
        }
    });
}

#[test]
fn an_older_home_waits_until_it_is_brought_to_this_version() {
    run(async {
        let scene = Scene::set().await;
        let provisioner = scene.place().provisioner(&scene.env());
        let tenant = {
            let making = scene.create(Isolation::Schema);
            let serving = provisioner.serve(std::future::pending());
            tokio::select! {
                made = making => made.unwrap(),
                () = serving => panic!("it ended"),
            }
        };
        let older = format!(
            "UPDATE tenantry.home SET version = 1; DROP TABLE {schema}.work;
             DROP INDEX {schema}.run_by_status; DROP TABLE {schema}.record_range;
             ALTER TABLE {schema}.collection DROP COLUMN range_indexes;
             ALTER TABLE {schema}.run_part ADD CONSTRAINT run_part_tenant_id_run_fkey
                FOREIGN KEY (tenant_id, run) REFERENCES {schema}.run ON DELETE CASCADE;
             ALTER TABLE {schema}.log_head DROP COLUMN generation; COMMENT ON SCHEMA {schema} IS '1'",
            schema = schema(tenant)
        );
        scene.admin.batch_execute(&older).await.unwrap();
        let again = scene.place().open(&scene.env()).await;
        let refused = again.stored_bytes(scene.operator(), tenant).await;
        assert_eq!(refused, Err(StoreError::Unavailable));
        assert!(provisioner.run_once().await.unwrap());
        assert!(again.stored_bytes(scene.operator(), tenant).await.is_ok());
    });
}

#[test]
fn an_administrator_need_not_be_a_superuser() {
    run(async {
        let scene = Scene::set().await;
        // The server's role is another database's, since an administrator can do nothing with what others made.
        let name = format!("{}_own", scene.place().database);
        let make = format!("CREATE ROLE {name}_admin LOGIN CREATEROLE CREATEDB");
        scene.admin.batch_execute(&make).await.unwrap();
        let (env, tls) = (scene.env(), Tls::default());
        let kms = scene.place().kms(&env);
        let admin = address(&format!("{name}_admin"), "postgres");
        let url = address(&format!("{name}_server"), &name);
        for _ in 0..2 {
            init(&admin, &url, &tls, kms.as_ref(), &env).await.unwrap();
        }
        assert!(footing(&url, &tls).await.unwrap().holds());
        let provisioner = Provisioner::new(&admin, &url, &tls, kms, env).unwrap();
        let (server, inside) = (connect(&url).await, connect(&address("postgres", &name)).await);
        for (isolation, tenant) in [(Isolation::Schema, "11"), (Isolation::Dedicated, "22")] {
            for what in ["make", "remove"] {
                let ask = format!(
                    "INSERT INTO tenantry.provisioning(tenant, what, isolation)
                     VALUES(decode(repeat('{tenant}', 16), 'hex'), '{what}', '{isolation}')"
                );
                server.batch_execute(&ask).await.unwrap();
                assert!(provisioner.run_once().await.unwrap());
                let waiting = "SELECT error FROM tenantry.provisioning WHERE state <> 'done'";
                let rows = inside.query_typed(waiting, &[]).await.unwrap();
                let errors: Vec<Option<String>> = rows.iter().map(|row| row.get(0)).collect();
                assert!(errors.is_empty(), "{what} {isolation}: {errors:?}");
            }
        }
        let left = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{name}_t_%'");
        assert_eq!(inside.query_typed_one(&left, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}
