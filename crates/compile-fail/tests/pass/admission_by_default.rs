//! An admission is a copy of one.

use context::Admission;

fn case(admission: &Admission) -> Admission {
    admission.clone()
}

fn main() {}
