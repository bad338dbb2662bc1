//! `tenantry verify --store`: on a database that is sound, on one with a mistake in it, and where the run before was
//! killed or is told to stop.

use crate::database::Place;
use serde_json::{Value, json};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

impl Place {
    fn verify(&self) -> Command {
        self.command(&["verify", "--store", "--json"], "init.toml", "master.key")
    }

    fn attacked(&self) -> (Output, Value) {
        let output = self.verify().output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output, report)
    }

    /// The administrator's connection.
    async fn admin(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&postgres_instance::address("postgres", &self.database()), NoTls)
                .await
                .unwrap();
        tokio::spawn(connection);
        client
    }

    /// Tenants, grants, schemas, databases and roles of tenants that there are.
    async fn left(&self) -> i64 {
        let database = self.database();
        let left = format!(
            "SELECT (SELECT count(*) FROM tenantry.tenant) + (SELECT count(*) FROM tenantry.home)
                + (SELECT count(*) FROM tenantry.credential)
                + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%')
                + (SELECT count(*) FROM pg_database WHERE datname LIKE '{database}\\_t\\_%')
                + (SELECT count(*) FROM pg_roles WHERE rolname LIKE '{database}\\_t\\_%')"
        );
        self.admin().await.query_one(&left, &[]).await.unwrap().get(0)
    }

    /// A run that is in the middle of it.
    async fn begin(&self, command: &mut Command) -> std::io::Result<Child> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        for _ in 0..600 {
            if self.left().await > 6 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_a_sound_database_and_nothing_is_left_in_it() {
    let place = Place::make();
    let (output, report) = place.attacked();
    assert_eq!((&report["leaks"], &report["unattacked"]), (&json!([]), &json!([])), "{output:?}");
    assert!(output.status.success());
    for tier in ["pooled", "schema", "dedicated"] {
        assert!(report["surfaces"][tier]["patterns"].as_u64().unwrap() > 550, "{report}");
    }
    let extension = "a database with the extension `pg_stat_statements`";
    let not_offered = report["not_offered"].as_array().unwrap();
    assert!(not_offered.iter().all(|it| it["give"] == extension), "{report}");
    assert_eq!(place.left().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_database_is_named_and_a_server_may_run_meanwhile() {
    let place = Place::make();
    let server = place.serve();
    let made = server.operator.post("/v1/tenants", &json!({"name": "real"})).await.unwrap();
    let before = place.left().await;
    let mistake = "ALTER TABLE pooled.run NO FORCE ROW LEVEL SECURITY";
    place.admin().await.batch_execute(mistake).await.unwrap();
    let (output, report) = place.attacked();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let leaks = report["leaks"].as_array().unwrap();
    assert!(leaks.iter().all(|it| it["surface"] == "pooled"), "{leaks:?}");
    let named = json!({
        "surface": "pooled", "operation": "catalog", "place": "pg_class of pooled.run",
        "attack": "row-level security that does not hold for everybody", "detail": "it is not forced",
    });
    assert!(leaks.contains(&named), "{leaks:?}");
    assert_eq!(place.left().await, before);
    let path = format!("/v1/tenants/{}", made["id"].as_str().unwrap());
    assert_eq!(server.operator.get(&path).await.unwrap()["name"], "real");
}

// What is made for the attacks is removed by the store's own statements, to which nothing else is open but by mistake.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_database_loses_nothing_of_its_tenants_and_each_open_table_is_named() {
    let place = Place::make();
    let real = {
        let server = place.serve();
        let tenant = server.tenant("Real").await;
        for number in 0..3 {
            tenant.owner.post("/v1/records/notes", &json!({"number": number})).await.unwrap();
        }
        tenant.id.parse::<ids::TenantId>().unwrap()
    };
    let admin = place.admin().await;
    let id = hex::encode(ids::Id::to_bytes(real));
    let rows = format!(
        "SELECT (SELECT count(*) FROM pooled.record WHERE tenant_id = '\\x{id}')
            + 100 * (SELECT count(*) FROM pooled.audit_event WHERE tenant_id = '\\x{id}'),
            (SELECT size FROM pooled.log_head WHERE tenant_id = '\\x{id}')"
    );
    let kept = async || {
        let row = admin.query_one(&rows, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    let before = kept().await;
    assert_eq!(before.0 % 100, 3);
    let off = "ALTER TABLE pooled.{} DISABLE ROW LEVEL SECURITY";
    let gone = "DROP POLICY own ON pooled.{}; DROP POLICY only_own ON pooled.{}";
    for (mistake, tables, attack) in [
        (off, &["record"][..], "row-level security that does not hold for everybody"),
        (
            off,
            &["record_token", "object", "run", "call", "log_head", "audit_event"],
            "row-level security that does not hold for everybody",
        ),
        (gone, &["collection", "merkle_node"], "a policy that is wider than ours, or another"),
    ] {
        for table in tables {
            admin.batch_execute(&mistake.replace("{}", table)).await.unwrap();
        }
        let (output, report) = place.attacked();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let leaks = report["leaks"].as_array().unwrap();
        let named = |place: String, attack: &str| {
            leaks.iter().any(|it| it["place"] == place.as_str() && it["attack"] == attack)
        };
        for table in tables {
            let about = if mistake == off { "pg_class" } else { "pg_policy" };
            assert!(named(format!("{about} of pooled.{table}"), attack), "{table}");
        }
        assert!(named("pooled.record".to_owned(), "the transaction says no tenant"), "rows that are there");
        assert_eq!(kept().await, before, "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_goes_with_the_next_and_one_that_is_stopped_leaves_nothing() {
    let place = Place::make();
    let mut killed = place.begin(&mut place.verify()).await.unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(place.left().await > 0);
    let (output, _) = place.attacked();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(place.left().await, 0);
    let stopped = place.begin(&mut place.verify()).await.unwrap();
    let told = Command::new("kill").args(["-TERM", &stopped.id().to_string()]).status().unwrap();
    assert!(told.success());
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"), "{output:?}");
    assert_eq!(place.left().await, 0);
}
