//! Databases for servers that are measured on PostgreSQL.

use anyhow::ensure;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A database server on which each server that is measured gets a database of its own.
pub(crate) struct Databases {
    admin: String,
    made: AtomicU32,
}

impl Databases {
    /// At this administrator's address.
    pub(crate) fn new(admin: String) -> Self {
        Self { admin, made: AtomicU32::new(0) }
    }

    /// Makes a database under a master key of its own, and says how a server is configured for it.
    pub(crate) fn make(&self, program: &Path, folder: &Path, key: &Path) -> anyhow::Result<String> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench_{}_{number}", std::process::id());
        let place: Vec<_> = self
            .admin
            .split_whitespace()
            .filter(|part| !part.starts_with("user=") && !part.starts_with("dbname="))
            .collect();
        let url = format!("{} user={name}_server dbname={name}", place.join(" "));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(key)?;
        let mut random = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        writeln!(file, "{}", random.map(|byte| format!("{byte:02x}")).concat())?;
        let init = folder.join("init.toml");
        std::fs::write(&init, format!("[store]\nurl = \"{url}\"\nadmin_url = \"{}\"\n", self.admin))?;
        let made = Command::new(program)
            .args(["store", "init", "--config"])
            .arg(&init)
            .arg("--master-key-file")
            .arg(key)
            .stdout(Stdio::null())
            .status()?;
        ensure!(made.success(), "the database could not be made");
        Ok(format!("\n[store]\nurl = \"{url}\"\n"))
    }
}
