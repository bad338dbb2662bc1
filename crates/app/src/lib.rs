//! Use cases, one module each. A use case takes the [`App`], the [`context::Tenant`] whose visit it is and
//! an input, and gives back a [`context::Private`] output or a [`errors::Problem`]. It knows ports, no
//! adapters, and nothing of HTTP.

mod app;
pub mod audit_log;
mod events;
pub mod keys;
pub mod plans;
mod read_log;
pub mod records;
pub mod tenants;

pub use app::{App, Parts};
pub use events::{fail, note};
pub use read_log::{Flush, ReadLog};
