//! What the figures were taken on.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Which core the server has to itself, and which one the load and the upstream share.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    load: String,
    syncs: f64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| {
                line.strip_prefix("model name")
                    .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            })
            .unwrap_or_else(|| "a processor without a name".to_owned());
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned(),
            syncs: syncs().unwrap_or(f64::NAN),
        }
    }

    /// The last core is the server's. With a single one there is nothing to be split.
    pub(crate) fn split(&self) -> Option<Cores> {
        (self.cores > 1).then(|| Cores { server: self.cores - 1, load: 0 })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, kernel, load, syncs } = self;
        write!(
            out,
            "{processor}, {cores} cores, Linux {kernel}; load before the run {load}; {syncs:.0} syncs of 4 KiB a second"
        )
    }
}

/// Keeps this thread, and those that it starts, on one core.
pub(crate) fn stay_on(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// How often the disk takes 4 KiB for certain.
fn syncs() -> std::io::Result<f64> {
    let mut file: File = tempfile::tempfile_in("target")?;
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
