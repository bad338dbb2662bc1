//! The vault with a store in memory, the real way out, and a provider of our own that rotates tokens and
//! punishes whoever shows an old one.

mod leaks;
mod provider;
mod races;
mod refreshing;
mod tampering;
mod using;
mod world;
