//! Use cases, one module each. A use case takes the [`App`], the [`context::Tenant`] whose visit it is and
//! an input, and gives back a [`context::Private`] output or a [`errors::Problem`]. It knows ports, no
//! adapters, and nothing of HTTP.

pub mod agents;
mod app;
pub mod audit_log;
pub mod budgets;
mod credentials;
pub mod definitions;
pub mod dispatch;
pub mod endpoints;
mod events;
pub mod evidence;
pub mod gateway;
mod hints;
pub mod hooks;
mod isolations;
pub mod keys;
pub mod lifecycle;
pub mod limits;
pub mod messages;
pub mod moves;
mod notice;
pub mod operator_keys;
pub mod operator_log;
mod operator_secrets;
pub mod own_workers;
pub mod plans;
pub mod problems;
mod read_log;
pub mod records;
pub mod runs;
mod scratch;
pub mod signing_keys;
pub mod standings;
pub mod templates;
pub mod tenants;
pub mod transfers;
pub mod usage;
pub mod vault;
pub mod verify_grants;
pub mod whole_backup;
pub mod witnesses;
pub mod workflows;

pub use app::{App, Parts};
pub use credentials::{Credentials, NoCredentials};
pub use events::{fail, note};
pub use notice::Notice;
pub use operator_secrets::OperatorSecrets;
pub use read_log::{Flush, ReadLog};
pub use scratch::{Scratch, ScratchFile};
