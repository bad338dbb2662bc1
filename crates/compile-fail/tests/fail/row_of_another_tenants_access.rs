//! A record read with another tenant's access is answered.

use context::{Access, Read, Tenant, door, on};
use ids::{RecordId, Slug};
use store::{RecordStore, StoreError};

async fn case<'a, 'b>(
    store: &dyn RecordStore,
    tenant: &Tenant<'a>,
    access: &Access<'b, Read<on::Record>>,
    _: &Tenant<'b>,
    contacts: &Slug,
    id: RecordId,
) -> Result<(), StoreError> {
    let record = store.record(access, contacts, id).await?;
    let _ = door::answer(tenant, record)?;
    Ok(())
}

fn main() {}
