//! An admission is made out of nothing.

use context::Admission;

fn case(admission: &Admission) -> Admission {
    let _ = admission;
    Admission::default()
}

fn main() {}
