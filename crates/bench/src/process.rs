//! A server on a folder of its own, on a core of its own, and what it costs the machine.

use crate::machine::Cores;
use crate::rows::Plan;
use anyhow::{Context as _, bail};
use client::Client;
use secret::SecretText;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The unit of a process's times in `/proc`, which is the same on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) operator: Client,
    key: String,
    /// From the start of the process until it listened.
    pub(crate) started_in: Duration,
    folder: Option<Arc<TempDir>>,
    place: Place,
}

/// What a server is started with.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    program: PathBuf,
    cores: Option<Cores>,
    config: String,
    master_key: Option<PathBuf>,
}

impl Server {
    /// Starts a server on a fresh folder of the checkout's own disk, or on a fresh database.
    pub(crate) fn start(plan: &Plan, cores: Option<Cores>, config: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in("target")?;
        let mut config = config.to_owned();
        let key = folder.path().join("master.key");
        if let Some(database) = &plan.database {
            config.push_str(&database.make(&plan.program, folder.path(), &key)?);
        }
        let master_key = plan.database.is_some().then_some(key);
        let place = Place {
            folder: folder.path().to_owned(),
            program: plan.program.clone(),
            cores,
            config,
            master_key,
        };
        let mut server = Self::launch(place, None)?;
        server.folder = Some(Arc::new(folder));
        Ok(server)
    }

    /// Starts a server on a folder that stays.
    pub(crate) fn start_on(
        folder: &Path,
        program: &Path,
        cores: Option<Cores>,
        config: &str,
    ) -> anyhow::Result<Self> {
        let (folder, program, config) = (folder.to_owned(), program.to_owned(), config.to_owned());
        Self::launch(Place { folder, program, cores, config, master_key: None }, None)
    }

    /// Starts another server on the same database.
    pub(crate) fn another(&self) -> anyhow::Result<Self> {
        let mut server = Self::launch(self.place.clone(), Some(self.key.clone()))?;
        server.folder.clone_from(&self.folder);
        Ok(server)
    }

    /// Starts what makes and moves tenants' homes.
    pub(crate) fn provisioner(&self) -> anyhow::Result<Provisioner> {
        let mut command = Command::new(&self.place.program);
        command.arg("provisioner").arg("--config").arg(self.place.folder.join("init.toml"));
        command.arg("--master-key-file").args(&self.place.master_key);
        Ok(Provisioner(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?))
    }

    fn launch(place: Place, operator: Option<String>) -> anyhow::Result<Self> {
        let own = tempfile::Builder::new().prefix("server-").tempdir_in(&place.folder)?.keep();
        let file = own.join("tenantry.toml");
        std::fs::write(&file, &place.config)?;
        let data = if place.master_key.is_some() { own.join("data") } else { place.folder.join("data") };
        let mut command = on_its_core(&place.program, place.cores);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "warn", "--data"]);
        command.arg(&data).arg("--config").arg(&file).arg("--log").arg(own.join("server.log"));
        if let Some(key) = &place.master_key {
            command.arg("--master-key-file").arg(key);
        }
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.as_mut().context("the server has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let started_in = begun.elapsed();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            child.kill()?;
            bail!("the server said {line:?} in place of where it listens");
        };
        let key = match operator {
            Some(key) => key,
            None => std::fs::read_to_string(data.join("operator.key"))?.trim().to_owned(),
        };
        let operator = Client::new(url.parse()?).with_key(SecretText::new(key.clone()));
        let address = url.trim_start_matches("http://").parse()?;
        Ok(Self { child, address, operator, key, started_in, folder: None, place })
    }

    /// An operator's key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.context("the server has no id")?, rustix::process::Signal::TERM)?;
        let ended = self.child.wait()?;
        anyhow::ensure!(ended.success(), "the server ended with {ended}");
        Ok(())
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.child.id())
    }

    /// The memory that is its own, in MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        resident_of(self.child.id())
    }
}

/// What makes and moves tenants' homes, until it is let go of.
pub(crate) struct Provisioner(Child);

impl Drop for Provisioner {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program on the server's core, where it has one for itself.
pub(crate) fn on_its_core(program: &Path, cores: Option<Cores>) -> Command {
    let Some(cores) = cores else { return Command::new(program) };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &cores.server.to_string()]).arg(program);
    pinned
}

/// The processor time that a process has used.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold spaces.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat has another form")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND))
}

/// The memory that is a process's own, in MiB.
pub(crate) fn resident_of(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
