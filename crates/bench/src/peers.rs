//! `bench --peers FOLDER`: what others in the field do on this machine, in the same run and by turns. They are
//! measured with nothing on, Tenantry with everything.

mod gateways;
mod restate;

use crate::figure::Figure;
use crate::machine::Cores;
use crate::process::{cpu_of, resident_of};
use crate::rows::Plan;
use crate::wire::{Connection, Request};
use anyhow::{Context as _, bail};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a peer may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Every figure that the peers in this folder allow. `alone` where nobody else is on this network.
pub(crate) fn all(plan: &Plan, folder: &Path, alone: bool) -> anyhow::Result<Vec<Figure>> {
    let mut figures = gateways::measure(plan, folder, alone)?;
    figures.extend(restate::measure(plan, folder)?);
    Ok(figures)
}

/// Whether a peer was installed.
fn is_there(folder: &Path, name: &str) -> bool {
    let there = folder.join(name).join(".pin").exists();
    if !there {
        println!("{name} is not installed and not measured");
    }
    there
}

/// A peer's processes, which end with it.
struct Peer {
    name: &'static str,
    children: Vec<Child>,
}

impl Peer {
    fn new(name: &'static str) -> Self {
        Self { name, children: Vec::new() }
    }

    /// Starts one more of its processes, on the core of a server.
    fn start(&mut self, cores: Option<Cores>, command: &mut Command, log: &Path) -> anyhow::Result<()> {
        let log = std::fs::File::create(log)?;
        let mut command = pinned(cores, command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.children.push(command.spawn().with_context(|| format!("{} did not start", self.name))?);
        Ok(())
    }

    /// Waits until it answers this request with success.
    fn answers(&mut self, address: SocketAddr, request: &Request) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let begun = Instant::now();
        let mut last = "it never listened".to_owned();
        while begun.elapsed() < PATIENCE {
            let asked = runtime.block_on(async {
                let mut connection = Connection::open(address).await?;
                let answer = connection.ask(request).await?;
                anyhow::Ok((answer.status, String::from_utf8_lossy(connection.body()).into_owned()))
            });
            match asked {
                Ok((200..300, _)) => return Ok(()),
                Ok((status, body)) => last = format!("it answered {status}: {body}"),
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        bail!("{} does not answer: {last}", self.name)
    }

    /// The processor time that all of it has used.
    fn cpu(&self) -> anyhow::Result<Duration> {
        self.processes().into_iter().map(cpu_of).sum()
    }

    /// The memory of all of it, in MiB.
    fn resident(&self) -> anyhow::Result<f64> {
        self.processes().into_iter().map(resident_of).sum()
    }

    /// Its processes and those that they started.
    fn processes(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut next = 0;
        while let Some(parent) = all.get(next).copied() {
            all.extend(children_of(parent));
            next += 1;
        }
        all
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let started = self.processes();
        for id in started.iter().rev().filter_map(|id| i32::try_from(*id).ok()) {
            if let Some(id) = rustix::process::Pid::from_raw(id) {
                // It may have ended by itself.
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// The command on the core of a server.
fn pinned(cores: Option<Cores>, command: &mut Command) -> Command {
    let Some(cores) = cores else { return std::mem::replace(command, Command::new("true")) };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &cores.server.to_string()]).arg(command.get_program()).args(command.get_args());
    pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        pinned.current_dir(folder);
    }
    pinned
}

/// A port that nobody listens on.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
