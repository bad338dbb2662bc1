//! The embedded backend as a whole, through its ports and on real files.

mod conformance;
mod folder;
