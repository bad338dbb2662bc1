//! The forms in which requests and answers travel. One today; a dialect is a room of its own, and what
//! goes through the port does not depend on it.

pub mod openai;
