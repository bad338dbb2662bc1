//! Logs: structured lines on standard error, or in a file. They carry `tenant.id`, never content.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

const DEFAULT_FILTER: &str = "info";

/// Begins to log: as JSON lines into `file` where one is given, else to standard error.
pub(crate) fn start(file: Option<&Path>, filter: Option<&str>, as_json: bool) -> io::Result<()> {
    let filter = EnvFilter::new(filter.unwrap_or(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match file {
        Some(path) => {
            let output = OpenOptions::new().create(true).append(true).open(path)?;
            builder.json().with_writer(Mutex::new(output)).try_init()
        }
        None if as_json => builder.json().with_writer(io::stderr).try_init(),
        None => builder.with_writer(io::stderr).with_ansi(false).try_init(),
    };
    started.map_err(io::Error::other)
}

/// Tells the person at the terminal what stands in the way.
#[expect(clippy::print_stderr, reason = "a command's last word to the person who called it")]
pub(crate) fn complain(text: &str) -> ExitCode {
    eprintln!("tenantry: {text}");
    ExitCode::from(super::COULD_NOT_RUN)
}

/// Writes a line that scripts wait for.
pub(crate) fn announce(line: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
