//! A record is made with the access to make records.

use context::{Access, Create, on};
use store::{Commit, Record, RecordStore};

async fn case(store: &dyn RecordStore, access: &Access<'_, Create<on::Record>>, record: Record) {
    let _ = store.create_record(access, record, Commit::default()).await;
}

fn main() {}
