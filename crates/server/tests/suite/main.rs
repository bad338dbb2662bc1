//! The whole server, tried from outside: the built binary on a port of its own, over HTTP.

mod agents;
mod audit_log;
mod catalog;
mod description;
mod gateway;
mod harness;
mod idempotency;
mod keys;
mod lifecycle;
mod provider;
mod records;
mod refusals;
mod samples;
mod tenants;
mod trail;
mod unseen;
