//! The embedded backend as a whole, through its ports and on real files.

mod conformance;
mod crash;
mod crowd;
mod folder;
mod lockstep;
mod mixed_up;
mod opening;
mod readable;
mod versions;
