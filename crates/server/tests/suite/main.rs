//! The whole server, tried from outside: the built binary on a port of its own, over HTTP.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod attack_suite;
#[cfg(test)]
mod audit_log;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod database;
#[cfg(test)]
mod description;
#[cfg(test)]
mod disk_full;
#[cfg(test)]
mod escrow;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod machine_loss;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod operator_keys;
#[cfg(test)]
mod own_worker;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod power;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rude;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod shim;
#[cfg(test)]
mod store_attack;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod trail;
#[cfg(test)]
mod transfers;
#[cfg(test)]
mod two_servers;
#[cfg(test)]
mod unlogged;
#[cfg(test)]
mod unseen;
#[cfg(test)]
mod verify_grants;
#[cfg(test)]
mod witness;
#[cfg(test)]
mod work;
