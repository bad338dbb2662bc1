//! The demonstration: two tenants on one server, one template, real deliveries and runs, shown live in the
//! terminal; then what each tenant used, its audit log checked offline, and a first attack on the server.

mod accounts;
mod crm;
mod deliveries;
mod play;
mod screen;
mod stage;
mod watch;

pub use play::{DemoError, Options, play};
