//! One tenant's store: its keys, its place in the audit log, and its database, which is a file or, until
//! something asks for one, a view in memory over the journal.

mod append;
mod copy;
mod database;
mod handle;
mod log;
mod moves;
mod openings;
mod reads;
mod schema;
mod slot;
mod turns;
mod whole;
mod writes;

pub(crate) use copy::AtRest;
pub(crate) use database::{Database, Home, used_bytes};
pub(crate) use handle::{Append, TenantHandle, blocking};
pub(crate) use moves::{Moved, RunPlace};
pub(crate) use openings::Openings;
pub(crate) use schema::{LATEST, migrate};
pub(crate) use whole::is_damage;
pub(crate) use writes::Txn;
