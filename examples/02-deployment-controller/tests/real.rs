//! This controller and the built-in one, each on a control plane of its own, under the same kubectl commands: they must
//! end in the same state.
mod real {
    pub(crate) mod alone;
    pub(crate) mod failing;
    pub(crate) mod ours;
    pub(crate) mod owners;
    pub(crate) mod pair;
    pub(crate) mod rollouts;
    pub(crate) mod scales;
    pub(crate) mod state;
}

use controlplane::harness::{Trial, run};

fn main() -> std::process::ExitCode {
    let code = run([
        Trial::shared("a_deployment_is_created_and_scaled", real::scales::a_deployment_is_created_and_scaled),
        Trial::shared("a_scale_in_a_rollout_is_proportional", real::scales::a_scale_in_a_rollout_is_proportional),
        Trial::shared("a_new_template_is_rolled_out", real::rollouts::a_new_template_is_rolled_out),
        Trial::shared("a_rollout_is_undone", real::rollouts::a_rollout_is_undone),
        Trial::shared("a_paused_deployment_waits", real::rollouts::a_paused_deployment_waits),
        Trial::shared(
            "recreating_waits_for_the_end_of_the_old",
            real::rollouts::recreating_waits_for_the_end_of_the_old,
        ),
        Trial::shared("old_revisions_are_cleaned_up", real::rollouts::old_revisions_are_cleaned_up),
        Trial::shared("orphans_are_adopted", real::owners::orphans_are_adopted),
        Trial::shared("what_is_no_longer_selected_is_let_go", real::owners::what_is_no_longer_selected_is_let_go),
        Trial::shared("a_deletion_takes_all_along_or_nothing", real::owners::a_deletion_takes_all_along_or_nothing),
        Trial::shared("a_name_that_is_taken_is_avoided", real::owners::a_name_that_is_taken_is_avoided),
        Trial::shared("a_rollout_that_stands_still_is_late", real::failing::a_rollout_that_stands_still_is_late),
        Trial::shared("a_set_that_can_not_be_made_is_told_of", real::failing::a_set_that_can_not_be_made_is_told_of),
        Trial::shared("a_failing_replica_set_is_told_of", real::failing::a_failing_replica_set_is_told_of),
        Trial::shared(
            "an_unchanged_deployment_costs_no_request",
            real::alone::an_unchanged_deployment_costs_no_request,
        ),
        Trial::shared("a_restart_goes_on_where_it_stopped", real::alone::a_restart_goes_on_where_it_stopped),
        Trial::shared(
            "what_was_deleted_in_an_outage_is_made_again",
            real::alone::what_was_deleted_in_an_outage_is_made_again,
        ),
    ]);
    real::ours::end();
    code
}
