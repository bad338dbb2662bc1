//! Every parser of outside bytes, as a function that takes any bytes. A target panics where something that must
//! hold does not; what the parser refuses is as good as what it takes.
//!
//! `tests/fuzz` replays `corpus/` and goes on from there; `make fuzz` does so for ten minutes. Where
//! `cargo fuzz` is at hand, a target of its own is one call of [`Target::run`].

mod callers;
mod lists;
pub mod mutate;
mod targets;

pub use targets::TARGETS;

/// A parser.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder in the corpus.
    pub name: &'static str,
    /// Feeds it.
    pub run: fn(&[u8]),
}
