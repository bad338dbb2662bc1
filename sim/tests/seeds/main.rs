//! The simulation, tried with some seeds: each in a process of its own, whose randomness is the seed's alone.

#[cfg(test)]
mod simulating;
