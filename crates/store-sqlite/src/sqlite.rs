//! How each kind of file is opened.

use sqlcipher::{Durability, OpenOptions};
use std::time::Duration;

const TENANT_APPLICATION: i32 = 0x7465_6e31;
const PLATFORM_APPLICATION: i32 = 0x7465_6e50;
const JOURNAL_APPLICATION: i32 = 0x7465_6e4a;

/// The journal waits for the disk, since it is the commit point of every tenant's writes; without
/// `durable` the operator has traded power-loss safety for speed.
pub(crate) fn journal_options(durable: bool) -> OpenOptions {
    OpenOptions {
        create: true,
        application_id: Some(JOURNAL_APPLICATION),
        durability: if durable { Durability::Full } else { Durability::Normal },
        cache_kib: 8192,
        // What the log has room for it need not ask the disk for again.
        journal_size_limit: 64 << 20,
        statement_cache: 16,
        busy_timeout: Duration::from_secs(10),
        exclusive: false,
        // Entries are sealed, the log has them all the same, and other entries take their pages soon.
        overwrite_deleted: false,
    }
}

/// A tenant's file lags behind the journal and need not wait for the disk: what a power loss takes from it
/// folds again.
pub(crate) fn tenant_options(create: bool) -> OpenOptions {
    OpenOptions {
        create,
        application_id: Some(TENANT_APPLICATION),
        durability: Durability::Normal,
        cache_kib: 2048,
        journal_size_limit: 1 << 20,
        statement_cache: 64,
        busy_timeout: Duration::from_secs(5),
        exclusive: true,
        overwrite_deleted: true,
    }
}

/// The platform store is its own commit point.
pub(crate) fn platform_options() -> OpenOptions {
    OpenOptions {
        create: true,
        application_id: Some(PLATFORM_APPLICATION),
        durability: Durability::Full,
        cache_kib: 8192,
        journal_size_limit: 16 << 20,
        statement_cache: 64,
        busy_timeout: Duration::from_secs(10),
        exclusive: false,
        overwrite_deleted: true,
    }
}
