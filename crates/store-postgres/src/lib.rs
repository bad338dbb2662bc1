//! The PostgreSQL backend: tenants share tables behind row-level security, a token says in every transaction which
//! tenant it is of, and content is sealed under the tenant's own key before it leaves the process.
//!
//! Statements are unnamed, and nothing is set for longer than a transaction, so that a pooler between the server
//! and the database may give every transaction another connection.

mod areas;
pub mod attack;
mod backup;
mod error;
mod footing;
mod home;
mod homes;
mod init;
mod link;
mod naming;
mod only_server;
mod own_home;
mod platform;
mod portable;
mod provisioner;
mod restore;
mod role;
mod rotation;
mod schema;
mod store_impl;
mod tenant;
mod token;

pub use footing::{Footing, FootingRow, footing};
pub use init::{Made, SetupError, give_own_keys, init};
pub use only_server::OnlyServer;
pub use own_home::OwnHome;
pub use provisioner::Provisioner;
pub use rotation::KeyRotation;
pub use store_impl::{Carries, PostgresStore, Settings};
pub use tls::Tls;
