//! The whole of authentication against ports that are kept in memory: who gets in, who does not, and that
//! nobody learns why.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails as they do")]

mod hooks;
mod jwk;
mod keys;
mod mint;
mod private;
mod slowness;
mod system;
mod tenant;
mod tokens;
mod tokens_hostile;
mod world;
