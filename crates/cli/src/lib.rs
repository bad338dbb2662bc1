//! The commands besides `serve`: callers of the server's own API, and what works without a server.
//!
//! Every command takes `--json`, and ends with 0 (good), 1 (the answer is bad news) or 2 (it could not
//! run).

mod apply;
mod audit;
mod backup;
mod command;
mod cosign;
mod demo;
mod doctor;
mod evidence;
mod issued;
mod keys;
mod keys_given;
mod machine;
mod offline;
mod operator_keys;
mod output;
mod runs;
mod server;
mod table;
mod tenants;
mod verify;
mod verify_grants;
mod witness;

pub use command::{Command, run};
pub use offline::{FootingLine, Offline, Surroundings, WantedAttack, WantedRestore, WantedStore};
