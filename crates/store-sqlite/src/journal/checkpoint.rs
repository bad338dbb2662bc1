//! The moving of the journal's write-ahead log into its file, by a thread of its own: it writes hundreds of pages and
//! waits for the disk, and everybody's commits would wait with it.
//!
//! A log that is written all the time is never moved to its last frame from beside. So the writer moves the little
//! that came meanwhile itself, when nobody waits; then the log begins anew instead of growing.

use crate::error::Fault;
use sqlcipher::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// After how many pages, as far as the writer can tell, the log is moved.
const PAGES: usize = 4000;
/// What each transaction writes besides its entries.
const PAGES_OF_A_COMMIT: usize = 4;
/// The pages from which on the writer waits for all of them to be moved, however busy it is.
pub(super) const MOST_PAGES: u32 = 16_000;

/// The writer's side.
pub(super) struct Checkpoints {
    written: usize,
    nudge: SyncSender<()>,
    /// Set when all but what came meanwhile was moved.
    moved: Arc<AtomicBool>,
}

/// Starts the thread, which ends with what the first value is given to.
pub(super) fn start(connection: Connection) -> Result<(Checkpoints, JoinHandle<()>), Fault> {
    let (nudge, nudges) = sync_channel(1);
    let moved = Arc::new(AtomicBool::new(false));
    let tell = moved.clone();
    let thread = super::thread("node-journal-log", move || run(&connection, &nudges, &tell))?;
    Ok((Checkpoints { written: 0, nudge, moved }, thread))
}

fn run(connection: &Connection, nudges: &Receiver<()>, moved: &AtomicBool) {
    while nudges.recv().is_ok() {
        match connection.checkpoint_what_is_free() {
            Ok(()) => moved.store(true, Ordering::Relaxed),
            // The writer does it in the end, and says so where it cannot either.
            Err(error) => tracing::debug!(%error, "the node journal's log was not moved"),
        }
    }
}

impl Checkpoints {
    /// Counts a transaction with so many entries.
    pub(super) fn count(&mut self, entries: usize) {
        self.written += entries + PAGES_OF_A_COMMIT;
        if self.written >= PAGES {
            self.written = 0;
            // One that waits already is as good.
            let _ = self.nudge.try_send(());
        }
    }

    /// Moves what is left, where most has been moved. For when nobody waits.
    pub(super) fn finish(&self, connection: &Connection) {
        if self.moved.swap(false, Ordering::Relaxed)
            && let Err(error) = connection.checkpoint_what_is_free()
        {
            tracing::debug!(%error, "the node journal's log was not moved to its end");
        }
    }
}
