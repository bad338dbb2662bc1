//! The master key in a file: for development, and for one machine whose disk and backups are looked after.
//!
//! Whoever has the file and the platform store has every tenant's data. Keep its copies apart from those
//! of the data.

mod adapter;
mod master_key;
mod shares;

pub use adapter::FileKms;
pub use master_key::{MasterKey, MasterKeyError};
pub use shares::{MAX_SHARES, Share, ShareError};
