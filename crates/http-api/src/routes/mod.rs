//! The routes: each in a file of its own, which says all there is to say about it.

mod audit_events;
mod health;
mod me;
mod openapi;
mod records_create;
mod records_get;
mod tenants_create;

use crate::Operation;

/// Every operation of the API.
pub fn operations() -> Vec<Operation> {
    vec![
        health::live(),
        health::ready(),
        openapi::operation(),
        tenants_create::operation(),
        me::operation(),
        records_create::operation(),
        records_get::operation(),
        audit_events::operation(),
    ]
}
