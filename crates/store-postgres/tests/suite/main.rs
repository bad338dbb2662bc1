//! The PostgreSQL backend as a whole, on a real server.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test has failed it")]

mod conformance;
mod instance;
mod place;
mod policies;
