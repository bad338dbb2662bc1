//! The doors: the only ways in which a value leaves a tenant. Each compares the value's proven origin with
//! the tenant and lets nothing through on a difference. `cargo xtask tidy` lists every call of them.

use crate::{Crossing, Private, Tenant};
use std::fmt;

/// Where a value is about to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Answer,
    Upstream,
    Tool,
    Export,
}

impl fmt::Display for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Answer => "answer",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Export => "export",
        })
    }
}

/// To the caller whose visit this is.
pub fn answer<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Crossing> {
    pass(Door::Answer, tenant, value)
}

/// To a model's provider.
pub fn upstream<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Crossing> {
    pass(Door::Upstream, tenant, value)
}

/// To an outside service that the tenant named.
pub fn tool<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Crossing> {
    pass(Door::Tool, tenant, value)
}

/// Into a file or stream that the tenant takes away.
pub fn export<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Crossing> {
    pass(Door::Export, tenant, value)
}

fn pass<'t, T>(door: Door, tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Crossing> {
    let passed = value.open_for(tenant);
    match passed {
        Ok(_) => tracing::trace!(tenant.id = %tenant.id(), %door, "a value left"),
        Err(_) => tracing::error!(tenant.id = %tenant.id(), %door, "a value of another tenant was stopped"),
    }
    passed
}
