//! An admission is written down.

use context::{Admission, Caller};

fn case(caller: Caller) -> Option<Admission> {
    match caller {
        Caller::Tenant(admission) => Some(Admission(admission.0)),
        Caller::Operator(_) | Caller::Grant(_) => None,
    }
}

fn main() {}
