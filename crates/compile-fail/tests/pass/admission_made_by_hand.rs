//! An admission is what authentication gives.

use context::{Admission, Caller};

fn case(caller: Caller) -> Option<Admission> {
    match caller {
        Caller::Tenant(admission) => Some(admission),
        Caller::Operator(_) | Caller::Grant(_) => None,
    }
}

fn main() {}
