//! What a tenant's store can do, area by area.

mod audit_trail;
mod idempotency;
mod leases;
mod lifecycle;
mod objects;
mod operators;
mod platform;
mod ranges;
mod records;
mod rekey;
mod runs;
mod usage;
mod work;

pub(crate) use leases::lease as held_by;
pub(crate) use records::{index_anew, settings as collection_settings};

use crate::error::Fault;
use store::StoreError;

/// How many were forgotten. Where there were none the write is undone, and its events with it.
fn some_forgotten(count: u64) -> Result<u64, Fault> {
    if count == 0 { Err(StoreError::NotFound.into()) } else { Ok(count) }
}

/// The other end of [`some_forgotten`].
fn or_none(forgotten: Result<u64, Fault>) -> Result<u64, StoreError> {
    match forgotten {
        Err(Fault::Answer(StoreError::NotFound)) => Ok(0),
        forgotten => Ok(forgotten?),
    }
}
