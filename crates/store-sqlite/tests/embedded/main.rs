//! The embedded backend as a whole, through its ports and on real files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test has failed it")]

mod conformance;
mod crash;
mod crowd;
mod damaged;
mod faults;
mod folder;
mod journal_file;
mod lockstep;
mod mixed_up;
mod opening;
mod readable;
mod regions;
mod versions;
