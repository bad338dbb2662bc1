//! The stores in memory.
