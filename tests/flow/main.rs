//! Informers, operators and their writes, in one process with the trial, on the real Kubernetes control plane.
mod attributes;
mod children;
mod controllers;
mod dependents;
mod echoes;
mod encodings;
mod faults;
mod finalizers;
mod informers;
mod listing;
mod narrow;
mod operators;
mod outages;
mod own_writes;
mod pair;
mod protobuf;
mod quiet;
mod sharing;
mod status;
mod storm;

use controlplane::harness::{Trial, run};

fn main() -> std::process::ExitCode {
    let trials = caches().into_iter().chain(reconciles()).chain(writes());
    run(trials
        .chain(children::trials())
        .chain(controllers::trials())
        .chain(dependents::trials())
        .chain(sharing::trials())
        .chain(outages::trials())
        .chain(attributes::trials())
        .chain(encodings::trials())
        .chain(protobuf::trials()))
}

/// What is cached.
fn caches() -> Vec<Trial> {
    vec![
        Trial::shared(
            "handlers_see_every_change_in_order_and_late_ones_everything_once",
            informers::handlers_see_every_change_in_order_and_late_ones_everything_once,
        ),
        Trial::shared(
            "callers_share_one_watch_for_each_part_of_a_kind",
            informers::callers_share_one_watch_for_each_part_of_a_kind,
        ),
        Trial::shared(
            "metadata_alone_is_cached_where_it_alone_was_asked_for",
            informers::metadata_alone_is_cached_where_it_alone_was_asked_for,
        ),
        Trial::shared(
            "a_watch_list_and_a_paged_list_bring_the_same_objects",
            listing::a_watch_list_and_a_paged_list_bring_the_same_objects,
        ),
        Trial::shared(
            "a_version_that_is_no_longer_kept_costs_one_list_and_loses_nothing",
            listing::a_version_that_is_no_longer_kept_costs_one_list_and_loses_nothing,
        ),
        Trial::shared(
            "narrowed_relations_are_seen_repaired_and_quiet",
            narrow::narrowed_relations_are_seen_repaired_and_quiet,
        ),
        Trial::shared(
            "a_child_that_comes_and_goes_ends_as_last_declared",
            narrow::a_child_that_comes_and_goes_ends_as_last_declared,
        ),
    ]
}

/// What runs, and when.
fn reconciles() -> Vec<Trial> {
    vec![
        Trial::shared(
            "two_operators_of_both_scopes_run_under_their_roles_alone",
            pair::two_operators_of_both_scopes_run_under_their_roles_alone,
        ),
        Trial::shared("finalizers_of_others_are_never_dropped", finalizers::finalizers_of_others_are_never_dropped),
        Trial::shared(
            "a_deletion_during_a_reconcile_is_cleaned_up_after_it",
            finalizers::a_deletion_during_a_reconcile_is_cleaned_up_after_it,
        ),
        Trial::shared(
            "a_storm_of_edits_ends_as_declared_and_in_silence",
            storm::a_storm_of_edits_ends_as_declared_and_in_silence,
        ),
        Trial::shared(
            "a_bad_key_is_retried_as_it_asks_and_holds_up_no_other",
            storm::a_bad_key_is_retried_as_it_asks_and_holds_up_no_other,
        ),
    ]
}

/// What is written, and what becomes of it.
fn writes() -> Vec<Trial> {
    vec![
        Trial::shared("what_the_server_normalises_is_no_drift", quiet::what_the_server_normalises_is_no_drift),
        Trial::shared(
            "conditions_and_status_belong_to_whoever_set_them",
            status::conditions_and_status_belong_to_whoever_set_them,
        ),
        Trial::shared(
            "a_primary_created_anew_while_nobody_looked_is_another_one",
            status::a_primary_created_anew_while_nobody_looked_is_another_one,
        ),
        Trial::shared(
            "caches_show_what_a_reconcile_wrote_before_the_next_one_begins",
            own_writes::caches_show_what_a_reconcile_wrote_before_the_next_one_begins,
        ),
        Trial::shared(
            "own_writes_wake_nobody_and_those_of_others_always_do",
            echoes::own_writes_wake_nobody_and_those_of_others_always_do,
        ),
        Trial::shared("operators_survive_failures_with_and_without_effect", faults::failures_with_and_without_effect),
        Trial::shared("operators_survive_cut_connections", faults::cut_connections),
        Trial::shared("operators_survive_expired_and_late_watches", faults::expired_and_late_watches),
        Trial::shared("operators_survive_slow_answers_and_429", faults::slow_answers_and_too_many_requests),
        Trial::shared("operators_survive_storms_of_conflicts", faults::storms_of_conflicts),
    ]
}
