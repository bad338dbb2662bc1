//! Decisions about cost and quantity, pure and deterministic: what a call costs ([`prices`], [`tokens`]),
//! how much of something an hour may hold ([`window`]), what a budget still covers ([`budget`]), what a
//! plan grants ([`plan`]), whose turn it is in one process ([`fair`]) and over several ([`turns`]), and how the
//! answer's headers say it ([`headers`]).
//!
//! Nothing in here does I/O, waits, or reads a clock; every moment is an argument.

pub mod budget;
pub mod fair;
pub mod headers;
pub mod plan;
pub mod prices;
pub mod tokens;
pub mod turns;
pub mod window;
