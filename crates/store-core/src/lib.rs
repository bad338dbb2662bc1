//! What every durable backend does alike, so that no two of them can come to differ in it: a tenant's keys, the
//! numbering of its audit log, cursors and pages, sums of usage, the container of its backups, and what a change, a
//! filter and an order mean.

pub mod backup;
pub mod change;
pub mod cursor;
mod fault;
pub mod keys;
pub mod log;
pub mod page;
pub mod query;
pub mod report;
pub mod totals;

pub use fault::Fault;
