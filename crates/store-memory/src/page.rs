//! Pages: the part of an ordered list after a cursor, which names its tenant and its list.

use crate::tenant::Known;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Page, PageRequest, StoreError};

/// Reads where a list goes on.
pub(crate) fn place<P: DeserializeOwned>(
    known: &Known,
    list: &str,
    request: &PageRequest,
) -> Result<Option<P>, StoreError> {
    let refused = || StoreError::Invalid("The cursor is not one of this list's.".into());
    let Some(cursor) = &request.cursor else { return Ok(None) };
    let bytes = hex::decode(cursor).map_err(|_| refused())?;
    let (of, place): (String, P) = serde_json::from_slice(&bytes).map_err(|_| refused())?;
    if of == name(known, list) { Ok(Some(place)) } else { Err(refused()) }
}

/// The first of `rows` that fit, with a cursor where there are more.
pub(crate) fn cut<T, P: Serialize>(
    known: &Known,
    list: &str,
    request: &PageRequest,
    rows: impl Iterator<Item = T>,
    place: impl Fn(&T) -> P,
) -> Page<T> {
    let fits = request.limit.clamp(1, PageRequest::MAX_LIMIT) as usize;
    let mut data: Vec<_> = rows.take(fits + 1).collect();
    let more = data.len() > fits;
    data.truncate(fits);
    let last = data.last().filter(|_| more).map(|last| (name(known, list), place(last)));
    let next_cursor = last.and_then(|last| serde_json::to_vec(&last).ok()).map(hex::encode);
    Page { data, next_cursor }
}

fn name(known: &Known, list: &str) -> String {
    format!("{}/{list}", known.id)
}
