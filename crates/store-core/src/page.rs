//! Pages of lists: one row more is asked for than fits, to learn whether there are more.

use crate::Fault;
use store::{Page, PageRequest};

/// How many rows to ask for.
pub fn one_more(page: &PageRequest) -> u32 {
    page.limit.clamp(1, PageRequest::MAX_LIMIT) + 1
}

/// Cuts off the row that was asked for beyond the page, and seals where to go on after the last one left.
pub fn paged<T, P>(
    page: &PageRequest,
    mut rows: Vec<T>,
    place: impl FnOnce(&T) -> P,
    seal: impl FnOnce(P) -> Result<String, Fault>,
) -> Result<Page<T>, Fault> {
    let fits = page.limit.clamp(1, PageRequest::MAX_LIMIT) as usize;
    let more = rows.len() > fits;
    rows.truncate(fits);
    let next_cursor = match rows.last() {
        Some(last) if more => Some(seal(place(last))?),
        _ => None,
    };
    Ok(Page { data: rows, next_cursor })
}
