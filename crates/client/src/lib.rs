//! The server's own HTTP API, as its commands call it.
