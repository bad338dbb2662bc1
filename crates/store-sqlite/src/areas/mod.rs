//! What a tenant's store can do, area by area, over the tables.

mod audit_search;
mod audit_trail;
mod idempotency;
mod leases;
mod objects;
mod operator_log;
mod operators;
mod record_query;
mod records;
mod runs;
mod usage;
mod usage_hours;
mod usage_report;
mod verify_grants;

pub(crate) use record_query::make_indexes;
pub(crate) use usage::kind_name;
pub(crate) use usage_hours::{Sums, sum_up_calls};

use crate::error::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Page, PageRequest, StoreError};
use store_core::page::one_more;

/// A value as the text that a table keeps.
fn to_text<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Damaged("a value that does not serialise"))
}

/// A value from the text that a table keeps.
fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Damaged("a stored value"))
}

/// How many were forgotten. Where there were none the write is undone, and its events with it.
fn some_forgotten(count: usize) -> Result<u64, Fault> {
    if count == 0 { Err(StoreError::NotFound.into()) } else { Ok(count as u64) }
}

/// The other end of [`some_forgotten`].
fn or_none(forgotten: Result<u64, StoreError>) -> Result<u64, StoreError> {
    match forgotten {
        Err(StoreError::NotFound) => Ok(0),
        forgotten => forgotten,
    }
}

/// [`store_core::page::paged`], as this backend fails.
fn paged<T, P>(
    page: &PageRequest,
    rows: Vec<T>,
    place: impl FnOnce(&T) -> P,
    seal: impl FnOnce(P) -> Result<String, store_core::Fault>,
) -> Result<Page<T>, Fault> {
    Ok(store_core::page::paged(page, rows, place, seal)?)
}
