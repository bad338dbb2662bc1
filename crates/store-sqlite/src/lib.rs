//! The embedded backend.
//!
//! `DATA/platform.db` is the platform store, encrypted under a key derived from the master key.
//! `DATA/regions/<region>/journal.db` is where every tenant's writes become durable, sealed under each
//! tenant's own key, many tenants to one `fsync`. `DATA/regions/<region>/tenants/<tenant>.db` is what the
//! journal folds into, one file per tenant under the tenant's own key, made when the tenant first stores
//! records, documents or workflows.

mod areas;
mod backup;
mod error;
mod files;
mod handles;
mod journal;
mod key_change;
mod keys;
mod lifecycle;
mod machine;
mod opening;
mod platform;
mod portable;
mod restore;
mod rows;
mod sqlite;
mod store_impl;
mod tenant;
mod tree;
mod upkeep;

pub use machine::{FailedCheck, PutBack, PutBackError, WholeRestore, confirm_put_back, put_back};
pub use opening::{OpenError, Settings, regions_of};
use store_core::cursor;
pub use store_core::cursor::CursorKey;
pub use store_impl::EmbeddedStore;
