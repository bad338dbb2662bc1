//! What commands say, and how they end.

use crate::server::ConnectError;
use client::CallError;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// How a command that ran ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Good,
    Bad,
}

/// Why a command could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("the answer could not be written: {0}")]
    Write(#[from] io::Error),
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    /// Anything that says by itself what is wrong.
    pub(crate) fn other(text: impl ToString) -> Self {
        Self::Other(text.to_string())
    }
}

/// How a command ends.
pub(crate) type Ended = Result<News, Trouble>;

/// Writes a line of the answer.
pub(crate) fn say(line: impl AsRef<str>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", line.as_ref())?;
    output.flush()
}

/// Writes the answer as one JSON value.
pub(crate) fn say_json(value: &Value) -> io::Result<()> {
    say(serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()))
}

/// Shows how far long work is, on a terminal alone, in one line that the next one replaces.
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { shown: !quiet && io::stderr().is_terminal() }
    }

    pub(crate) fn tell(&self, text: &str) {
        if self.shown {
            // Progress that cannot be shown is not worth ending the work for.
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{text}");
        }
    }

    pub(crate) fn clear(&self) {
        self.tell("");
    }
}

/// The exit code, having told why a command could not run.
pub(crate) fn exit_code(ended: Ended) -> ExitCode {
    match ended {
        Ok(News::Good) => ExitCode::SUCCESS,
        Ok(News::Bad) => ExitCode::from(1),
        Err(trouble) => {
            // There is nobody left to tell if this cannot be written.
            let _ = writeln!(io::stderr().lock(), "tenantry: {trouble}");
            ExitCode::from(2)
        }
    }
}
