//! The conformance suite of the stores: what every backend must answer, with two tenants in every case
//! whose data differ by one word. A backend's tests are one line:
//! `store_tests::conformance!(MyBackend);`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite of tests: what goes wrong in it has failed the test"
)]
#![expect(missing_docs, reason = "the cases' names say what they are, and nothing but tests calls them")]

pub mod audit_search;
pub mod audit_trail;
pub mod backups;
pub mod erasure;
pub mod filters;
pub mod happenings;
pub mod idempotency;
pub mod keys;
pub mod leases;
pub mod objects;
pub mod operators;
pub mod platform;
pub mod quota;
pub mod records;
pub mod restores;
pub mod runs;
pub mod samples;
pub mod survival;
pub mod usage;
mod world;

pub use tokio;
pub use world::{Backend, Store, World, out, page};

/// Makes a test of every case for a backend.
#[macro_export]
macro_rules! conformance {
    ($backend:ty) => {
        $crate::cases! { $backend;
            objects: kept_for_its_tenant_alone, versions_count, removed_at_its_version_alone,
                either_changed_or_removed_also_at_once, own_reach_sees_its_own,
                pages_go_on_where_they_stopped, cursors_open_their_own_list_alone;
            records: kept_for_its_tenant_alone, versions_count, merged_and_replaced,
                a_fraction_comes_back_as_it_was, pages_are_stable_under_inserts, cursors_open_their_own_query_alone,
                indexes_change_no_answer, what_cannot_be_indexed_is_refused;
            filters: every_comparison, every_order_pages_whole, times_compare_as_times,
                what_is_no_field_or_no_comparison_is_refused;
            runs: kept_for_its_tenant_alone, moved_from_its_cursor_alone, a_late_move_spoils_no_other, content_takes_its_own_permission,
                a_delivery_makes_one_run, a_delivery_at_once_makes_one_run, listed_by_workflow_and_status,
                an_id_is_used_once, forgotten_with_all_that_belongs_to_them;
            usage: an_outcome_that_has_its_place_is_read, a_call_from_its_beginning_to_its_end, only_an_unknown_outcome_can_be_corrected,
                outcomes_at_once_are_summed_once,
                a_meter_goes_on, grouped_and_exact, sums_stay_when_calls_are_forgotten,
                a_claim_holds_for_calls_too;
            audit_search: filtered_and_paged, actions_of_a_family_come_in_their_order;
            audit_trail: in_order_and_at_once, proofs_hold, an_export_verifies,
                erased_values_break_no_proof, people_can_be_erased_from_a_log, a_failed_write_leaves_no_event, a_bad_event_hurts_nobody_else;
            happenings: what_happened_is_told_in_its_order, much_is_told_in_parts, a_configuration_is_told_apart;
            idempotency: a_key_is_claimed_once, a_key_is_free_after_its_time, answers_are_remembered,
                an_answer_known_before_is_part_of_the_write, a_key_is_given_back,
                a_failed_write_claims_nothing, claimed_once_also_at_once;
            keys: differ_by_tenant_and_purpose, work_is_marked_until_it_ends, who_has_stored_something_is_listed;
            leases: a_run_is_held_by_one, as_many_of_a_tenant_as_may_be, counted_also_at_once,
                places_go_to_tenants_as_their_weights_say, a_place_for_certain_is_no_others,
                who_had_nothing_to_start_catches_up_a_little, who_lost_a_run_writes_nothing,
                a_lease_ends_by_itself, the_oldest_of_each_tenant_are_found, a_tenants_runs_are_taken_from_everybody,
                a_paused_tenants_runs_are_given_to_nobody, what_is_over_is_nobodys;
            platform: tenants_are_made_once, a_stale_change_is_refused, regions_and_plans_are_checked, an_isolation_is_offered_and_stays,
                plans_hold_from_the_next_request_on, templates_count_versions, endpoints_are_listed_by_name,
                credentials_are_found_until_revoked, last_uses_are_a_tenants_own, tenants_are_listed_in_pages;
            operators: events_are_listed, keys_are_claimed_and_given_back,
                keys_hold_until_they_are_revoked_and_one_admin_stays,
                the_log_proves_itself_and_signs_findings,
                grants_hold_until_they_are_revoked_and_are_no_operators;
            erasure: nothing_is_left_to_open, an_id_is_never_used_again, the_neighbour_stays;
            quota: full_is_read_only_and_audit_goes_on;
            survival: everything_acknowledged_is_there_after_reopening;
            backups: what_was_backed_up_comes_back, audit_and_usage_cannot_be_taken_back,
                another_tenants_backup_is_refused, an_altered_backup_is_refused,
                an_older_backup_is_refused_unless_allowed, a_target_is_never_overwritten;
            restores: keys_are_as_they_were_before_the_restore, runs_that_come_back_are_marked,
                runs_move_on_from_where_the_backup_has_them, whole_while_it_is_written,
                a_new_data_key_loses_nothing_and_opens_no_older_backup;
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
