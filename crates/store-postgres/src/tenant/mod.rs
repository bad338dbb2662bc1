//! A tenant in use: its keys, its audit log's place, and the one path that its writes take.

mod ending;
mod handle;
mod log;
mod writes;

pub(crate) use ending::work_name;
pub(crate) use handle::{CONTENT, TenantHandle};
pub(crate) use log::{HEAD, Tree, head_row, new_head};
pub(crate) use writes::Txn;
