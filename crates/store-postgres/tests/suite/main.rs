//! The PostgreSQL backend as a whole, on a real server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test has failed it"
)]

mod attacks;
mod conformance;
mod homes;
mod instance;
mod place;
mod policies;
mod pooled_connections;
mod tls;
mod two_databases;
