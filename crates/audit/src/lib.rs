//! The audit log: what happened in a tenant, in a form that the tenant can check without us.

pub mod event;
pub mod export;
pub mod merkle;
pub mod note;
