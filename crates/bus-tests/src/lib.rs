//! The conformance suite of buses: what every one must do, with two tenants in every case. A bus's tests are one
//! line: `bus_tests::conformance!(MyBackend);`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite of tests: what goes wrong in it has failed the test"
)]
#![expect(missing_docs, reason = "the cases' names say what they are, and nothing but tests calls them")]

pub mod bells;
pub mod keeping;
pub mod telling;
mod world;

pub use bells::Bells;
pub use world::{Backend, KEPT, World};

/// Makes a test of every case for a bus.
#[macro_export]
macro_rules! conformance {
    ($backend:ty) => {
        $crate::cases! { $backend;
            telling: everybody_hears_in_order, nobody_hears_another_tenant, patterns_choose,
                another_tenants_visit_opens_nothing, heard_from_then_on;
            keeping: goes_on_after_a_place, what_is_not_kept_is_missed, another_order_is_heard_from_its_beginning,
                what_is_forgotten_is_not_heard, the_neighbour_is_not_forgotten;
        }
    };
}

/// Makes a test of every case for a doorbell.
#[macro_export]
macro_rules! doorbell {
    ($bells:ty) => {
        $crate::rings! { $bells;
            a_ring_is_heard_at_every_server, rings_of_a_topic_fall_together, a_topic_drowns_out_no_other
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! rings {
    ($bells:ty; $($case:ident),+) => {
        mod bells {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::bells::run::<$bells>(async |one, two| $crate::bells::$case(one, two).await);
                }
            )+
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($backend:ty; $($area:ident: $($case:ident),+;)+) => {$(
        mod $area {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::World::<$backend>::run(async |world| $crate::$area::$case(world).await);
                }
            )+
        }
    )+};
}
