//! The website operator on the real Kubernetes control plane: what its README says, and what a production operator owes.
mod real {
    pub(crate) mod failures;
    pub(crate) mod lifecycle;
    pub(crate) mod manifests;
    pub(crate) mod operator;
    pub(crate) mod outage;
    pub(crate) mod quiet;
}

use controlplane::Options;
use controlplane::harness::{Trial, run};

fn main() -> std::process::ExitCode {
    run([
        Trial::own(
            "a_website_lives_and_leaves_nothing_behind",
            Options::default(),
            real::lifecycle::a_website_lives_and_leaves_nothing_behind,
        ),
        Trial::shared("a_deleted_or_edited_child_comes_back", real::lifecycle::a_deleted_or_edited_child_comes_back),
        Trial::shared(
            "a_changed_config_map_reconciles_exactly_its_websites",
            real::lifecycle::a_changed_config_map_reconciles_exactly_its_websites,
        ),
        Trial::shared(
            "cleanup_runs_before_the_finalizer_goes",
            real::lifecycle::cleanup_runs_before_the_finalizer_goes,
        ),
        Trial::shared("an_unchanged_website_costs_no_request", real::quiet::an_unchanged_website_costs_no_request),
        Trial::shared(
            "a_restart_applies_each_child_at_most_once_and_changes_nothing",
            real::quiet::a_restart_applies_each_child_at_most_once_and_changes_nothing,
        ),
        Trial::own(
            "an_outage_of_the_api_server_loses_nothing",
            Options::default(),
            real::outage::an_outage_of_the_api_server_loses_nothing,
        ),
        Trial::own(
            "the_printed_manifests_run_in_a_restricted_namespace",
            Options::default(),
            real::manifests::the_printed_manifests_run_in_a_restricted_namespace,
        ),
        Trial::own(
            "a_missing_crd_is_named_and_waited_for",
            Options::default(),
            real::failures::a_missing_crd_is_named_and_waited_for,
        ),
        Trial::shared("a_missing_permission_is_named", real::failures::a_missing_permission_is_named),
        Trial::shared("an_unreachable_server_is_named", real::failures::an_unreachable_server_is_named),
        Trial::shared("a_wrong_kubeconfig_is_named", real::failures::a_wrong_kubeconfig_is_named),
        Trial::shared("sigterm_stops_it_with_success", real::failures::sigterm_stops_it_with_success),
    ])
}
