//! The commands besides serve.
