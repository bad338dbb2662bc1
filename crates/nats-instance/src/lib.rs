//! NATS servers for tests, each on a loopback port and in a folder of its own, which end with whoever started them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test has failed it"
)]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Ends the server with the input: whoever started it may stop in any way at all.
const UNTIL_THE_INPUT_ENDS: &str =
    r#""$@" & server=$!; cat >/dev/null; kill -KILL "$server"; wait "$server""#;

/// Keeps what it is told on disk, in its folder.
pub const JETSTREAM: &str = "jetstream: { store_dir: \"store\" }\n";

/// A NATS server.
pub struct NatsServer {
    folder: TempDir,
    process: Option<Child>,
    port: u16,
    process_id: u32,
}

impl NatsServer {
    /// A server with JetStream.
    pub fn start() -> Self {
        Self::start_with(JETSTREAM, &[])
    }

    /// A server with this configuration, beside which these files stand.
    pub fn start_with(config: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut server = Self { folder, process: None, port: 0, process_id: 0 };
        server.start_again(config);
        server
    }

    /// Starts it again on the same port and folder, with this configuration, after it was stopped.
    pub fn start_again(&mut self, config: &str) {
        let folder = self.folder.path();
        fs::write(folder.join("nats.conf"), config).unwrap();
        let ports = folder.join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).unwrap();
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = Command::new("sh")
            .args(["-c", UNTIL_THE_INPUT_ENDS, "sh", "nats-server", "--config", "nats.conf"])
            .args(["--addr", "127.0.0.1", "--port", &port, "--ports_file_dir", "ports"])
            .current_dir(folder)
            .env("PATH", format!("{}:/usr/sbin", std::env!("PATH")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
        (self.port, self.process_id) = listening(&ports).unwrap_or_else(|| {
            panic!(
                "no NATS server: `scripts/test-deps` installs Debian's package `nats-server`\n{}",
                fs::read_to_string(folder.join("log")).unwrap_or_default()
            )
        });
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Kills it, and starts it again with what it has on disk.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again(JETSTREAM);
    }

    /// Has it answer nothing for a while, with its connections open.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // Each of its threads stops by itself.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process_id.to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The port and the process, from the file in which the server says them when it listens.
fn listening(ports: &Path) -> Option<(u16, u32)> {
    for _ in 0..500 {
        for entry in fs::read_dir(ports).unwrap() {
            let path = entry.unwrap().path();
            let Ok(said) = serde_json::from_slice::<Value>(&fs::read(&path).unwrap_or_default()) else {
                continue;
            };
            let url = said["nats"][0].as_str().expect("an address");
            let name = path.file_stem().unwrap().to_string_lossy();
            return Some((
                url.rsplit(':').next()?.parse().unwrap(),
                name.rsplit('_').next()?.parse().unwrap(),
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
