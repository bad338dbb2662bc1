//! The engine: what happens in each case, and what holds in every case.

mod cases;
mod drive;
mod laws;
mod light;
mod shipped;
