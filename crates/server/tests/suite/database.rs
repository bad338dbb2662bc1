//! The server on PostgreSQL: made by an administrator, refused where it has what only the administrator should, and
//! attacked as a whole.

use crate::harness::{Server, assert_refused, events, send_json};
use crate::two_servers::Stopped;
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A database, and the files that name it.
pub(crate) struct Place {
    folder: TempDir,
    name: String,
}

impl Place {
    /// Made with `tenantry store init`.
    pub(crate) fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("s{}_{name}", std::process::id());
        let place = Self { folder, name: name.clone() };
        let url = postgres_instance::address(&format!("{name}_server"), &name);
        let serve = format!("[store]\nurl = \"{url}\"\n");
        fs::write(place.file("serve.toml"), &serve).unwrap();
        let admin = format!("{serve}admin_url = \"{}\"\n", postgres_instance::admin());
        fs::write(place.file("init.toml"), admin).unwrap();
        place.write_key("master.key", 1);
        let made = place.run(&["store", "init", "--json"], "init.toml", "master.key");
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        assert_eq!((&made["database"], &made["role"]), (&json!(name), &json!(format!("{name}_server"))));
        place
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_key(&self, name: &str, seed: u8) {
        let text = (0..32u8).fold(String::new(), |mut text, at| {
            let _ = write!(text, "{:02x}", at.wrapping_mul(37).wrapping_add(seed));
            text
        });
        fs::write(self.file(name), text + "\n").unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The database's name.
    pub(crate) fn database(&self) -> String {
        self.name.clone()
    }

    pub(crate) fn command(&self, arguments: &[&str], config: &str, key: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(arguments).arg("--config").arg(self.file(config));
        command.arg("--master-key-file").arg(self.file(key));
        command
    }

    fn run(&self, arguments: &[&str], config: &str, key: &str) -> Output {
        self.command(arguments, config, key).output().unwrap()
    }

    /// What a server says that does not start.
    pub(crate) fn refused(&self, config: &str, key: &str) -> String {
        let data = self.file("refused");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let output = self.run(&arguments, config, key);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!data.join("operator.key").exists());
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn serve(&self) -> Server {
        let config = fs::read_to_string(self.file("serve.toml")).unwrap();
        let key = self.file("master.key");
        let log = self.file("server.log");
        let arguments = ["--master-key-file", key.to_str().unwrap(), "--log", log.to_str().unwrap()];
        Server::start_with(&config, &arguments)
    }

    /// Starts what starts tenants' own workers, which ask these servers.
    pub(crate) fn launch(&self, servers: &[&Server], more: &str) -> Stopped {
        self.workers_config(servers, more);
        let mut command = self.command(&["workers", "launch"], "workers.toml", "master.key");
        command.arg("--log").arg(self.file("workers.log"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "launching", "{:?}", fs::read_to_string(self.file("workers.log")));
        Stopped(process)
    }

    /// Writes the configuration of whoever gives tenants' own workers what they have.
    pub(crate) fn workers_config(&self, servers: &[&Server], more: &str) {
        let serve = fs::read_to_string(self.file("serve.toml")).unwrap();
        let urls: Vec<_> = servers.iter().map(|server| format!("\"http://{}\"", server.address())).collect();
        let config = format!("{serve}[workers]\nserver_urls = [{}]\n{more}", urls.join(", "));
        fs::write(self.file("workers.toml"), config).unwrap();
    }

    pub(crate) fn provision(&self) -> Provisioner {
        let mut command = self.command(&["provisioner"], "init.toml", "master.key");
        Provisioner(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// Ends with the test.
pub(crate) struct Provisioner(Child);

impl Drop for Provisioner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn two_that_start_at_once_make_one_first_key() {
    let redis = redis_instance::RedisServer::start().await;
    for round in 0..10 {
        let place = Place::make();
        let serve = fs::read_to_string(place.file("serve.toml")).unwrap();
        let config = format!("{serve}[limits]\nredis_url = \"{}\"\nservers = 2\n", redis.url());
        fs::write(place.file("both.toml"), config).unwrap();
        let start = |name: &str| {
            let data = place.file(name);
            let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
            let mut command = place.command(&arguments, "both.toml", "master.key");
            command.arg("--log").arg(place.file(&format!("{name}.log")));
            Stopped(command.stdout(Stdio::piped()).spawn().unwrap())
        };
        let mut both = ["one", "two"].map(start);
        let urls = both.each_mut().map(|server| {
            let mut line = String::new();
            BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            line.trim().trim_start_matches("listening on ").to_owned()
        });
        let keys: Vec<_> = ["one", "two"]
            .iter()
            .filter_map(|name| fs::read_to_string(place.file(name).join("operator.key")).ok())
            .collect();
        let [key] = &keys[..] else { panic!("round {round}: {} keys", keys.len()) };
        let key = secret::SecretText::new(key.trim().to_owned());
        for url in urls {
            let operator = client::Client::new(url.parse().unwrap()).with_key(key.clone());
            assert!(operator.get("/v1/tenants").await.is_ok(), "round {round}");
        }
    }
}

#[test]
fn a_server_refuses_what_it_must_not_have() {
    let place = Place::make();
    assert!(place.refused("init.toml", "master.key").contains("`[store] admin_url`"));
    place.write_key("other.key", 2);
    assert!(place.refused("serve.toml", "other.key").contains("master key"));
    let without = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(place.file("refused"))
        .arg("--config")
        .arg(place.file("serve.toml"))
        .output()
        .unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("--master-key-file"));
    let server = place.serve();
    let data = server.folder().to_str().unwrap();
    let doctor = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["doctor", "--json", "--data", data, "--config", place.file("serve.toml").to_str().unwrap()])
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let found = found["findings"].as_array().unwrap();
    for check in ["forced row-level security", "the role's attributes", "the schema's version"] {
        assert!(found.iter().any(|it| it["check"] == check && it["verdict"] == "good"), "{found:?}");
    }
    assert!(place.refused("serve.toml", "master.key").contains("another server is on this database"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_live_in_each_kind_of_home() {
    let place = Place::make();
    let (server, _provisioner) = (place.serve(), place.provision());
    let mut owners = Vec::new();
    for isolation in ["pooled", "schema", "dedicated"] {
        let wanted = json!({"name": isolation, "isolation": isolation});
        let made = server.operator.post("/v1/tenants", &wanted).await.unwrap();
        assert_eq!(made["isolation"], isolation);
        let key = made["api_key"]["key"].as_str().unwrap().to_owned();
        let owner = server.operator.with_key(secret::SecretText::new(key));
        let record = owner.post("/v1/records/notes", &json!({"of": isolation})).await.unwrap();
        let path = format!("/v1/records/notes/{}", record["id"].as_str().unwrap());
        owners.push((made["id"].as_str().unwrap().to_owned(), owner, path));
    }
    for (at, (_, owner, _)) in owners.iter().enumerate() {
        for (other, (_, _, path)) in owners.iter().enumerate() {
            if at == other {
                assert_eq!(
                    owner.get(path).await.unwrap()["data"]["of"],
                    ["pooled", "schema", "dedicated"][at]
                );
            } else {
                assert_refused(&send_json(owner, Method::GET, path, &json!({})).await, 404, "not_found");
            }
        }
    }
    let (id, owner, path) = &owners[2];
    server.operator.delete(&format!("/v1/tenants/{id}")).await.unwrap();
    assert_refused(&send_json(owner, Method::GET, path, &json!({})).await, 401, "unauthorized");
    let unknown = json!({"name": "None", "isolation": "cellular"});
    let refused = send_json(&server.operator, Method::POST, "/v1/tenants", &unknown).await;
    assert_refused(&refused, 409, "isolation_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_how_its_tenants_are_kept_apart() {
    let place = Place::make();
    let (server, _provisioner) = (place.serve(), place.provision());
    let plan = |isolation: Value| {
        json!({"ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": null,
            "concurrent_runs": null, "storage_bytes": null, "isolation": isolation})
    };
    let put = async |isolation: Value| {
        send_json(&server.operator, Method::PUT, "/v1/plans/gold", &plan(isolation)).await
    };
    for unheard_of in ["embedded", "cellular"] {
        assert_refused(&put(json!(unheard_of)).await, 409, "isolation_unavailable");
    }
    assert_eq!(put(json!("schema")).await.json()["isolation"], "schema");
    let make = async |wanted: Value| server.operator.post("/v1/tenants", &wanted).await.unwrap();
    let shown = |made: &Value| (made["isolation"].clone(), made.get("plan_isolation").cloned());
    let made = make(json!({"name": "One", "plan": "gold"})).await;
    assert_eq!(shown(&made), (json!("schema"), Some(json!("schema"))));
    let otherwise = make(json!({"name": "Two", "plan": "gold", "isolation": "pooled"})).await;
    assert_eq!(shown(&otherwise), (json!("pooled"), Some(json!("schema"))));
    // The plan says nothing any more, and then something else: whoever is there stays.
    assert_eq!(put(Value::Null).await.json().get("isolation"), None);
    assert_eq!(shown(&make(json!({"name": "Three", "plan": "gold"})).await), (json!("pooled"), None));
    put(json!("dedicated")).await;
    let path = format!("/v1/tenants/{}", otherwise["id"].as_str().unwrap());
    let change = async |plan: &str| {
        send_json(&server.operator, Method::PATCH, &path, &json!({"plan": plan})).await.json()
    };
    assert_eq!(shown(&change("starter").await), (json!("pooled"), None));
    assert_eq!(shown(&change("gold").await), (json!("pooled"), Some(json!("dedicated"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_moved_by_a_command_and_both_logs_tell_of_it() {
    let place = Place::make();
    let (server, _provisioner) = (place.serve(), place.provision());
    let tenant = server.tenant("Moved").await;
    let record = tenant.owner.post("/v1/records/notes", &json!({"of": "pooled"})).await.unwrap();
    let path = format!("/v1/records/notes/{}", record["id"].as_str().unwrap());
    let url = format!("http://{}", server.address());
    let moved = async |to: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenantry"));
        let key = server.folder().join("operator.key");
        command.args(["tenants", "--url", &url, "--operator-key-file"]).arg(key);
        command.args(["move", &tenant.id, "--to", to, "--json"]).output().await.unwrap()
    };
    for (from, to) in [("pooled", "dedicated"), ("dedicated", "schema"), ("schema", "pooled")] {
        let output = moved(to).await;
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&said["from"], &said["to"], &said["phase"]), (&json!(from), &json!(to), &json!("done")));
        assert!(
            said["writes_waited_ms"].as_u64().unwrap() < 4_000 && said["rows"].as_u64().unwrap() > 3,
            "{said}"
        );
        assert_eq!(tenant.owner.get(&path).await.unwrap()["data"]["of"], "pooled");
        let shown = server.operator.get(&format!("/v1/tenants/{}", tenant.id)).await.unwrap();
        assert_eq!((&shown["isolation"], &shown["last_move"]["phase"]), (&json!(to), &json!("done")));
        for who in ["operator", "tenant"] {
            // The server looks every quarter of a second whether the move has ended, and then says so.
            let mut tries = 0;
            let ended = loop {
                let found = match who {
                    "operator" => {
                        events(&server.operator, "/v1/operator/audit/events", "action=tenant.move").await
                    }
                    _ => tenant.events("action=tenant.move").await,
                };
                if found[0]["result"] == "success" && found[0]["details"]["to"] == to {
                    break found[0].clone();
                }
                tries += 1;
                assert!(tries < 100, "{who}: {found:#?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            assert_eq!(ended["details"]["from"], from, "{who}");
        }
    }
    let again = moved("pooled").await;
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("which the tenant is in"), "{again:?}");
    let path = format!("/v1/tenants/{}/move", tenant.id);
    let refused = send_json(&server.operator, Method::POST, &path, &json!({"to": "embedded"})).await;
    assert_refused(&refused, 409, "isolation_unavailable");
}

/// Runs the attack suite, which finds nothing and leaves nothing out.
pub(crate) async fn assert_nothing_leaks(server: &[&str], arguments: &[&str]) {
    let attacked = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["verify", "--json"])
        .args(server)
        .args(arguments)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&attacked.stderr);
    let report: Value = serde_json::from_slice(&attacked.stdout).unwrap_or_else(|_| panic!("{told}"));
    assert_eq!((&report["leaks"], &report["unattacked"]), (&json!([]), &json!([])));
    assert!(report["patterns"].as_u64().unwrap() > 1_000, "{}", report["patterns"]);
    assert!(attacked.status.success());
}
