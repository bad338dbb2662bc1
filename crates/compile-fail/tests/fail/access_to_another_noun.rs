//! Records are read with the access to read runs.

use context::{Access, Read, on};
use store::{RecordQuery, RecordStore};

async fn case(store: &dyn RecordStore, access: &Access<'_, Read<on::Run>>, query: &RecordQuery) {
    let _ = store.records(access, query).await;
}

fn main() {}
