//! Messages over NATS pass the suite, over one connection and over two, and hold where NATS does not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test has failed it"
)]

mod conformance;
