//! What every durable backend does alike, so that no two of them can come to differ in it: a tenant's keys, the
//! numbering of its audit log, cursors and pages, sums of usage, the container of its backups, and what a change, a
//! filter and an order mean; and who holds a run where one process has the store for itself.

pub mod backup;
pub mod change;
pub mod cursor;
mod fault;
pub mod keys;
pub mod leases;
pub mod log;
pub mod page;
pub mod portable;
pub mod query;
pub mod report;
pub mod totals;

pub use fault::Fault;
