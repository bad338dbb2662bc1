//! A record is made with the access to read records.

use context::{Access, Read, on};
use store::{Commit, Record, RecordStore};

async fn case(store: &dyn RecordStore, access: &Access<'_, Read<on::Record>>, record: Record) {
    let _ = store.create_record(access, record, Commit::default()).await;
}

fn main() {}
