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
}

impl RedisServer {
    /// Starts one that keeps nothing on disk.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Mutex::new(run(&folder));
        let server = Self { folder, process };
        server.ready().await;
        server
    }

    /// The process is killed, and another one begins with nothing.
    pub async fn restart(&self) {
        self.stop();
        *self.process.lock().unwrap() = run(&self.folder);
        self.ready().await;
    }

    /// Kills the process.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
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

fn run(folder: &TempDir) -> Child {
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
    command.arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("`redis-server` is there: scripts/test-deps installs it")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
