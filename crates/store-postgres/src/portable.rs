//! Tenants that go to another deployment, and that come from one: as lines that every durable backend has.

mod arrival;
mod departure;
mod reading;
mod rows;
