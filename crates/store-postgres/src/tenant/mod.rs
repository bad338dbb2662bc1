//! A tenant in use: its keys, its audit log's place, and the one path that its writes take.

mod additions;
mod calls;
mod ending;
mod handle;
mod log;
mod moves;
mod place;
mod queue;
mod reads;
mod recalled;
mod transaction;
mod txn;
mod writes;

pub(crate) use additions::Addition;
pub(crate) use calls::{call, ended, kind_name, totals};
pub(crate) use ending::work_name;
pub(crate) use handle::{CONTENT, TenantHandle};
pub(crate) use log::{HEAD, Tree, head_row, new_head};
pub(crate) use moves::{EVENT, STEP, event_place, sealed_run};
pub(crate) use place::Place;
pub(crate) use recalled::Standing;
pub(crate) use txn::Txn;
