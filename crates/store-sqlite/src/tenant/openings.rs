//! What the opening of every tenant's database shares: empty tables to begin with, and how many were opened lately.

use super::schema;
use crate::error::Fault;
use crate::sqlite::tenant_options;
use sqlcipher::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Shared by all tenants in use.
#[derive(Default)]
pub(crate) struct Openings {
    /// Tables of the present version with nothing in them, once somebody needed some. To copy them takes a fraction of
    /// the time that it takes to make them.
    empty: Mutex<Option<Connection>>,
    lately: AtomicUsize,
}

impl Openings {
    /// Empty tables in memory, for a tenant that has stored nothing which asks for a file.
    pub(super) fn empty_tables(&self) -> Result<Connection, Fault> {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = match &mut *empty {
            Some(empty) => empty,
            none => {
                let made = sqlcipher::open_memory(&tenant_options(true))?;
                schema::migrate(&made, || Ok(()))?;
                none.insert(made)
            }
        };
        Ok(empty.twin(&tenant_options(true))?)
    }

    /// A database was opened.
    pub(super) fn count(&self) {
        self.lately.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were opened since it was begun to count them.
    pub(crate) fn lately(&self) -> usize {
        self.lately.load(Ordering::Relaxed)
    }

    /// Begins to count them.
    pub(crate) fn begin_to_count(&self) {
        self.lately.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Openings;
    use crate::tenant::schema::LATEST;
    use sqlcipher::user_version;

    #[test]
    fn what_goes_into_ones_tables_is_in_no_others() {
        let openings = Openings::default();
        let (one, two) = (openings.empty_tables().unwrap(), openings.empty_tables().unwrap());
        one.execute("INSERT INTO identity VALUES(1, x'00', 1)", []).unwrap();
        let three = openings.empty_tables().unwrap();
        let count = |tables: &sqlcipher::Connection| -> i64 {
            tables.query_row("SELECT count(*) FROM identity", [], |row| row.get(0)).unwrap()
        };
        assert_eq!([&one, &two, &three].map(count), [1, 0, 0]);
        assert_eq!([one, two, three].map(|tables| user_version(&tables).unwrap()), [LATEST; 3]);
    }
}
