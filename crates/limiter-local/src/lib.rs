//! Limits kept in the memory of one process.
//!
//! What a tenant has used lives in a bounded map while it is active, is dropped when it is idle, and is
//! restored from the rows of its calls and its budgets at the next call. Every call has its row from before
//! its answer until after its settlement, so the restored state is the one that was dropped.

mod limiter;
mod meter;
mod requests;
mod restore;

#[cfg(test)]
mod tests;

pub use limiter::{LocalLimiter, Settings};
pub use meter::Budgets;
pub use requests::Requests;
pub use restore::{Source, budgets, state};
