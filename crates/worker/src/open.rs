//! The worker's one door: what it reads of a tenant goes into that tenant's own run, and from there to the
//! steps that the tenant defined.

use context::{Private, Tenant, door};
use errors::Problem;
use store::StoreError;

pub(crate) fn open<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> Result<T, Problem> {
    door::tool(tenant, value).map_err(|crossing| StoreError::from(crossing).into())
}
