//! The conformance suite of the read models: what every database has to give. A database runs
//! all of it with `read_model_contract!` and a factory of empty databases.
//!
//! The log is the embedded one throughout: what is under test is the database.

mod clicks;
mod commits;
mod erasures;
mod hours_of_day;
mod joining;
mod links;
mod orphans;
mod parking;
mod partitions;
mod rebuilds;
mod retention;
mod runner;
mod searches;
mod selections;
mod sharing;
mod sums;
mod tags;
mod texts;
mod top_links;
mod turns;
mod verification;
mod world;

pub(crate) use clicks::*;
pub(crate) use commits::*;
pub(crate) use erasures::*;
pub(crate) use hours_of_day::*;
pub(crate) use joining::*;
pub(crate) use links::*;
pub(crate) use orphans::*;
pub(crate) use parking::*;
pub(crate) use partitions::*;
pub(crate) use rebuilds::*;
pub(crate) use retention::*;
pub(crate) use runner::*;
pub(crate) use searches::*;
pub(crate) use selections::*;
pub(crate) use sharing::*;
pub(crate) use sums::*;
pub(crate) use tags::*;
pub(crate) use texts::*;
pub(crate) use top_links::*;
pub(crate) use turns::*;
pub(crate) use verification::*;
pub(crate) use world::{CHROME, NAMES, PATIENCE, World, at, click, key};

/// Makes a test of every promise, each on an empty database from the factory (an async
/// expression that gives something to keep alive and a `Database`).
macro_rules! read_model_contract {
    ($factory:expr) => {
        read_model_contract!($factory,
            a_link_is_the_sum_of_its_events,
            a_state_is_what_the_last_events_made_of_it,
            extras_of_a_link_are_the_sum_of_its_events,
            lists_are_filtered,
            every_sort_shows_every_link_once_page_by_page,
            links_by_clicks_come_once_while_clicks_come_in,
            lists_are_what_a_look_at_every_link_gives,
            a_text_is_found_wherever_it_is_and_as_it_is_now,
            a_batch_that_changes_makes_and_erases_links_loses_none,
            an_erased_link_leaves_no_text_to_find,
            lists_of_the_version_before_are_read,
            tags_are_listed_with_how_many_links_have_them,
            tags_of_the_version_before_are_listed,
            links_with_a_tag_come_once_page_by_page,
            a_link_is_reused_only_by_its_owner_while_it_lives,
            due_links_are_those_whose_end_has_come,
            clicks_are_listed_newest_first_page_by_page,
            days_add_up_to_the_total_in_every_zone,
            a_range_holds_for_every_number_alike,
            sums_and_single_clicks_give_the_same_numbers,
            batches_written_together_give_the_same_rows,
            sums_of_every_range_are_what_its_clicks_add_up_to,
            what_comes_late_is_in_the_sums_of_spans_that_are_over,
            a_question_about_a_year_reads_few_rows,
            few_clicks_and_many_have_the_same_numbers,
            statistics_of_the_version_before_are_read,
            clicks_of_the_version_before_are_read,
            no_click_is_handed_over_twice,
            variants_and_rules_are_counted,
            trap_20_a_page_of_numbers_counts_no_clicks,
            a_filter_counts_what_it_admits,
            the_answer_says_which_range_was_counted,
            owners_and_everybody_are_counted_together,
            statistics_of_a_tag_are_those_of_its_links,
            statistics_of_a_domain_are_those_of_its_links,
            other_batches_give_the_same_tables,
            a_restart_goes_on_where_it_stopped,
            a_second_worker_changes_nothing,
            tables_of_another_log_are_not_written,
            tables_of_a_log_that_was_put_back_are_not_written,
            what_a_version_before_left_of_checkpoints_is_enough,
            clicks_that_are_gone_are_told_and_not_thrown_away,
            a_paused_projection_waits_and_goes_on,
            a_pause_outlives_a_restart,
            lag_is_the_age_of_the_first_event_that_waits,
            a_verification_finds_every_kind_of_difference,
            a_rebuild_gives_the_same_tables,
            readers_and_writers_do_not_notice_a_swap,
            a_verification_stops_nobody,
            a_rollback_reads_the_tables_from_before,
            two_rebuilds_at_once_are_one,
            a_build_is_told_by_every_process,
            a_killed_build_leaves_the_old_tables_or_the_new,
            a_new_version_builds_its_tables_by_itself,
            an_old_version_goes_back_to_its_tables,
            an_old_version_beside_newer_ones_only_reads,
            a_poison_event_parks_its_link_and_no_other,
            a_parked_link_goes_on_without_what_is_passed_over,
            a_poison_batch_of_clicks_is_parked_alone,
            orphan_visits_are_listed_newest_first_page_by_page,
            orphan_visits_are_counted_by_what_is_known_of_them,
            orphan_visits_are_told_by_the_values_that_most_have,
            orphan_visits_are_looked_through_in_turn,
            orphan_visits_are_forgotten_as_their_events_say,
            a_poison_batch_of_orphan_visits_is_parked_alone,
            only_what_can_not_be_handled_is_passed_over,
            what_two_retry_at_once_counts_once,
            broken_tables_park_nothing,
            a_row_that_can_not_be_kept_parks_its_link,
            the_turn_of_a_killed_member_goes_to_another,
            a_reader_learns_how_far_others_are,
            a_pause_holds_for_every_member,
            a_rebuild_by_one_is_read_by_all,
            partitions_give_the_tables_of_one,
            a_partition_is_written_by_one_at_a_time,
            members_share_the_partitions_evenly,
            a_rebuild_changes_the_partitions_under_load,
            a_pause_stops_every_partition,
            tables_of_before_partitions_are_taken_over,
            live_commits_are_told_and_rebuilds_are_not,
            texts_are_ordered_and_compared_byte_by_byte,
            nul_in_a_text_breaks_nothing,
            the_longest_texts_are_kept,
            clicks_of_any_age_are_kept,
            many_that_open_at_once_agree_on_the_tables,
            a_database_that_went_back_is_caught_up_with,
            links_are_ranked_as_a_list_of_clicks_says,
            of_two_with_one_score_the_one_that_came_first_ranks_higher,
            neighbours_end_where_the_ranking_ends,
            bots_and_strangers_do_not_count,
            shuffled_batches_give_the_same_scores,
            trap_20_ranks_are_read_and_not_counted,
            behind_a_hundred_thousand_no_rank_is_told,
            a_projection_of_a_newcomer_keeps_its_promises,
            an_erased_link_leaves_the_row_that_a_rebuild_gives,
            erased_clicks_are_the_rows_that_a_rebuild_gives,
            a_visitors_clicks_are_found_page_by_page,
            tables_from_before_are_dropped_with_what_is_erased,
            tables_that_killed_builders_left_of_links_are_dropped_with_what_is_erased,
            an_erasure_goes_on_unless_somebody_took_its_claim,
            while_clicks_are_erased_nothing_is_built_and_nothing_is_left_of_builds,
        );
    };
    ($factory:expr, $($promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (_keep, database) = $factory.await;
            $crate::contract::$promise($crate::contract::World::new(database).await).await;
        }
    )*};
}

pub(crate) use read_model_contract;
