//! A running server, its operator, and tenants with their owners.

use client::{Answer, Client};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server on a port and in a folder of its own, which ends with the test.
pub(crate) struct Server {
    process: Child,
    pub(crate) operator: Client,
    url: String,
    folder: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with("", &[])
    }

    /// A server with this configuration and these arguments besides the usual ones.
    pub(crate) fn start_with(config: &str, arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().unwrap(), config, arguments, |_| Vec::new())
    }

    /// A server on this folder, with what its environment has besides the test's own.
    pub(crate) fn start_in(
        folder: TempDir,
        config: &str,
        arguments: &[&str],
        environment: impl FnOnce(&Path) -> Vec<(String, String)>,
    ) -> Self {
        let file = folder.path().join("tenantry.toml");
        std::fs::write(&file, config).unwrap();
        let mut all = vec!["--config".to_owned(), file.to_str().unwrap().to_owned()];
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        let environment = environment(folder.path());
        let (process, operator, url) = serve(folder.path(), &all, &environment);
        Self { process, operator, url, folder, arguments: all, environment }
    }

    /// Another server with the same operators, which are in a store that both share.
    pub(crate) fn start_beside(&self, config: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::copy(self.folder().join("operator.key"), folder.path().join("operator.key")).unwrap();
        Self::start_in(folder, config, arguments, |_| Vec::new())
    }

    /// The server's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens, as host and port.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Sends bytes on a connection of their own, and gives back all that comes until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        String::from_utf8_lossy(&read).into_owned()
    }

    /// The folder that its data is in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its first operator's key.
    pub(crate) fn operator_key(&self) -> SecretText {
        let key = std::fs::read_to_string(self.folder.path().join("operator.key")).unwrap();
        SecretText::new(key.trim().to_owned())
    }

    /// Ends the server at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops the server at once, as a crash would, and starts it again on the same folder.
    pub(crate) fn crash_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Starts the server again on the same folder, after it has ended.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.operator, self.url) =
            serve(self.folder.path(), &self.arguments, &self.environment);
    }

    /// Starts the server again, and ends it at once after this long, however far it has come.
    pub(crate) async fn start_and_kill(&mut self, after: std::time::Duration) {
        self.process = spawn(self.folder.path(), &self.arguments, &self.environment);
        tokio::time::sleep(after).await;
        self.kill();
    }

    /// Asks the server to stop, waits until it has, and starts it again on the same folder.
    pub(crate) async fn stop_and_restart(&mut self) {
        self.stop_and_change(|_| {}).await;
    }

    /// Asks the server to stop, waits until it has, changes something in its folder, and starts it again.
    pub(crate) async fn stop_and_change(&mut self, change: impl FnOnce(&Path)) {
        self.stop().await;
        change(self.folder.path());
        self.start_again();
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let kill = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(kill.success());
        // Whatever the test itself serves goes on meanwhile.
        let ended = loop {
            match self.process.try_wait().unwrap() {
                Some(ended) => break ended,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        assert!(ended.success());
    }

    /// A tenant's file, whether or not it is there.
    pub(crate) fn file_of(&self, tenant: &Tenant) -> PathBuf {
        self.folder.path().join(format!("regions/local/tenants/{}.db", tenant.id))
    }

    /// A tenant on a plan without limits, and its owner.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        self.tenant_on("unlimited", &json!({}), name).await
    }

    /// A tenant whose data rests in this region, and its owner.
    pub(crate) async fn tenant_in(&self, region: &str, name: &str) -> Tenant {
        let wanted = json!({"name": name, "region": region});
        Tenant::made(self, &self.operator.post("/v1/tenants", &wanted).await.unwrap())
    }

    /// A tenant that is kept so, and its owner.
    pub(crate) async fn tenant_kept(&self, name: &str, isolation: &str) -> Tenant {
        let wanted = json!({"name": name, "isolation": isolation});
        Tenant::made(self, &self.operator.post("/v1/tenants", &wanted).await.unwrap())
    }

    /// A tenant on a plan of this name that has these limits alone, and its owner.
    pub(crate) async fn tenant_on(&self, plan: &str, limits: &Value, name: &str) -> Tenant {
        let mut all = json!({
            "ai_calls_per_hour": null, "api_calls_per_hour": null, "requests_per_second": null,
            "concurrent_runs": null, "storage_bytes": null,
        });
        for (member, value) in limits.as_object().unwrap() {
            all[member] = value.clone();
        }
        self.operator.put(&format!("/v1/plans/{plan}"), &all).await.unwrap();
        let wanted = json!({"name": name, "plan": plan});
        Tenant::made(self, &self.operator.post("/v1/tenants", &wanted).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &Path, arguments: &[String], environment: &[(String, String)]) -> Child {
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder)
        .args(if named("--log-filter") { &[][..] } else { &["--log-filter", "warn"] })
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts the server and waits for its first line.
fn serve(folder: &Path, arguments: &[String], environment: &[(String, String)]) -> (Child, Client, String) {
    let mut process = spawn(folder, arguments, environment);
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
    let key = std::fs::read_to_string(folder.join("operator.key")).unwrap();
    let operator = Client::new(url.parse().unwrap()).with_key(SecretText::new(key.trim().to_owned()));
    (process, operator, url.to_owned())
}

/// A tenant and its owner.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) key_id: String,
    pub(crate) owner: Client,
    pub(crate) owner_key: SecretText,
}

impl Tenant {
    fn made(server: &Server, made: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let owner_key = SecretText::new(text(&made["api_key"]["key"]));
        let owner = server.operator.with_key(owner_key.clone());
        Self { id: text(&made["id"]), key_id: text(&made["api_key"]["id"]), owner, owner_key }
    }

    /// Its owner, at a server that was started again.
    pub(crate) fn owner_at(&self, server: &Server) -> Client {
        let key = self.owner_key.clone();
        server.operator.with_key(key)
    }

    /// A fresh record in `contacts`.
    pub(crate) async fn record(&self) -> String {
        self.make("/v1/records/contacts", json!({"name": "Ada"})).await
    }

    /// A fresh agent.
    pub(crate) async fn agent(&self) -> String {
        self.make("/v1/agents", json!({"name": "triage"})).await
    }

    /// A fresh API key's id.
    pub(crate) async fn api_key(&self) -> String {
        self.make("/v1/api-keys", json!({"name": "a key"})).await
    }

    /// A fresh signing key's id.
    pub(crate) async fn signing_key(&self) -> String {
        self.make("/v1/signing-keys", json!({"alg": "EdDSA", "public_jwk": PUBLIC_JWK.jwk()})).await
    }

    /// The id of what a call makes.
    pub(crate) async fn make(&self, path: &str, body: Value) -> String {
        self.owner.post(path, &body).await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// The events of its log that a query asks for, the newest first.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        events(&self.owner, "/v1/audit/events", query).await
    }
}

/// Events of a log, the newest first.
pub(crate) async fn events(who: &Client, log: &str, query: &str) -> Vec<Value> {
    let page = who.get(&format!("{log}?limit=500&{query}")).await.unwrap();
    page["data"].as_array().unwrap().clone()
}

/// The public key of RFC 8037, appendix A.2.
pub(crate) struct PublicJwk;
pub(crate) const PUBLIC_JWK: PublicJwk = PublicJwk;

impl PublicJwk {
    pub(crate) fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }
}

/// Sends a call without a body.
pub(crate) async fn send(who: &Client, method: Method, path: &str) -> Answer {
    who.call(method, path).send().await.unwrap()
}

/// Sends a call with a JSON body.
pub(crate) async fn send_json(who: &Client, method: Method, path: &str, body: &Value) -> Answer {
    who.call(method, path).json(body).unwrap().send().await.unwrap()
}

/// Status and code of a refusal.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    let problem = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
    for member in ["type", "title", "status", "code", "detail", "request_id"] {
        assert!(!problem[member].is_null(), "`{member}` is missing: {problem}");
    }
    (answer.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
}

/// Asserts a refusal with this status and code.
pub(crate) fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(refusal(answer), (status, code.to_owned()), "{}", answer.text());
}
