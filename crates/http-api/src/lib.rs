//! The HTTP API: a file a route under [`routes`], each with its [`Operation`], from which the router, the
//! interface description and the attack suite all follow.

mod api;
mod bodies;
mod body;
mod call;
mod file;
mod follow;
mod json;
mod metered;
mod openapi;
mod operation;
pub mod outside;
mod problem;
mod query;
mod respond;
pub mod routes;
mod server;
mod shape;
mod shares;
mod writes;

pub use api::{Api, router};
pub use openapi::document;
pub use operation::{Audited, CallerKind, Operation};
pub use server::{Bounds, serve};
