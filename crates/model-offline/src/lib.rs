//! The built-in model `offline`.
