//! A private Redis on a socket in a folder of its own, ended with the test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test has failed it"
)]

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

/// A running Redis.
pub struct RedisServer {
    folder: TempDir,
    process: Mutex<Child>,
    /// What it is told beside the usual.
    more: Vec<String>,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// One with further arguments, and files in its folder.
    pub async fn start_with(more: &[&str], files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let more: Vec<_> = more.iter().map(|&word| word.to_owned()).collect();
        let process = Mutex::new(run(&folder, &more));
        let server = Self { folder, process, more };
        server.ready().await;
        server
    }

    /// One that is also reached over TLS on this port of loopback, by whoever shows a certificate of the authority's. What
    /// it is given is PEM.
    pub async fn start_secure(port: u16, authority: &str, certificate: &str, key: &str) -> Self {
        let port = port.to_string();
        let more = [
            "--bind",
            "127.0.0.1",
            "--tls-port",
            &port,
            "--tls-auth-clients",
            "yes",
            "--tls-ca-cert-file",
            "authority.pem",
            "--tls-cert-file",
            "certificate.pem",
            "--tls-key-file",
            "key.pem",
        ];
        let files = [("authority.pem", authority), ("certificate.pem", certificate), ("key.pem", key)];
        Self::start_with(&more, &files).await
    }

    /// The process is killed, and another one begins with nothing.
    pub async fn restart(&self) {
        self.stop();
        *self.process.lock().unwrap() = run(&self.folder, &self.more);
        self.ready().await;
    }

    /// Kills the process.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Lets the process stand still, as one that cannot be reached, or go on.
    pub fn halt(&self, halted: bool) {
        let signal = if halted { "-STOP" } else { "-CONT" };
        let id = self.process.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis+unix://{}/s", self.folder.path().display())
    }

    /// What it answers to a command.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
    }

    /// All keys that there are.
    pub async fn keys(&self) -> Vec<String> {
        redis::from_redis_value(self.command(&["KEYS", "*"]).await).unwrap()
    }

    async fn ready(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        for _ in 0..500 {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Redis does not answer");
    }
}

fn run(folder: &TempDir, more: &[String]) -> Child {
    let socket = folder.path().join("s");
    let _ = std::fs::remove_file(&socket);
    let mut command = Command::new("redis-server");
    command.current_dir(folder.path()).args([
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--unixsocket",
    ]);
    command.arg(&socket).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("`redis-server` is there: scripts/test-deps installs it")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
