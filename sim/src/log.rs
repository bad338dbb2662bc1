//! [`Log`]: what happened, line by line. Two simulations are the same where their logs are.

use crate::world::World;
use sha2::{Digest as _, Sha256};
use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The lines of one simulation.
pub(crate) struct Log {
    hash: Mutex<Sha256>,
    shown: bool,
}

impl Log {
    /// An empty one; what is written into it is shown as well, or not.
    pub(crate) fn new(shown: bool) -> Self {
        Self { hash: Mutex::new(Sha256::new()), shown }
    }

    /// Adds a line.
    pub(crate) fn line(&self, at: i64, text: Arguments<'_>) {
        let line = format!("{at:>6} {text}\n");
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).update(&line);
        if self.shown {
            // Whoever looked may have gone.
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
    }

    /// What stands for all lines together.
    pub(crate) fn digest(&self) -> String {
        let hash = self.hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hex::encode(hash.finalize().get(..8).unwrap_or_default())
    }
}

/// Has what the parts say of themselves written down as well.
pub(crate) fn take_in(world: &Arc<World>) {
    let world = Arc::clone(world);
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || Lines(Arc::clone(&world)))
        .finish();
    // There is one simulation in a process.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Lines(Arc<World>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.note(format_args!("{}", String::from_utf8_lossy(line).trim_end()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
