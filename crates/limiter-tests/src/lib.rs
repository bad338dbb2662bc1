//! The conformance suite of the limiters: what each must answer, whatever keeps its counts. A limiter's tests
//! are one line: `limiter_tests::conformance!(MyBackend);`.
#![expect(clippy::unwrap_used, reason = "a suite of tests: what goes wrong in it has failed the test")]
#![expect(missing_docs, reason = "the cases' names say what they are, and nothing but tests calls them")]

pub mod budgets;
pub mod leases;
pub mod restoring;
pub mod rows;
pub mod windows;
mod world;

pub use rows::Rows;
pub use world::{Backend, Settings, World, code, hourly, usd};

/// Makes a test of every case for a limiter.
#[macro_export]
macro_rules! conformance {
    ($backend:ty) => {
        $crate::cases! { $backend;
            budgets: a_thousand_calls_at_once_never_exceed_a_budget,
                a_new_budget_knows_what_was_spent_and_counts_no_call_twice,
                charges_made_while_rows_are_read_for_a_new_budget_are_counted_once,
                the_largest_amounts_are_exact;
            windows: a_window_survives_a_restart_and_refuses_with_a_time, refusals_take_nothing,
                a_changed_plan_holds_for_the_next_call, requests_have_a_rate_by_the_second,
                a_rate_is_shown_without_a_request, the_largest_limits_are_limits;
            leases: what_nobody_wrote_down_is_given_back, a_call_of_which_no_row_tells_is_charged_after_its_lease,
                a_call_whose_outcome_was_lost_holds_again_and_costs_no_other_its_hold,
                a_released_call_whose_outcome_was_lost_holds_again_until_its_lease_ends,
                where_no_meter_is_in_memory_the_rows_tell_what_is_held;
            restoring: what_a_crash_left_open_stays_reserved_until_its_row_says_unknown,
                idle_tenants_are_dropped_and_restored, one_reader_restores_for_all_and_a_failure_admits_nothing,
                nothing_of_a_forgotten_tenant_is_left, tenants_share_nothing;
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
                    $crate::World::<$backend>::run($crate::$area::$case);
                }
            )+
        }
    )+};
}
