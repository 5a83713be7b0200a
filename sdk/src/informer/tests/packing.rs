//! When an informer has its objects packed better.
use std::time::Duration;

use super::*;
use crate::clock;
use crate::informer::runner::REFINE_AFTER;
use crate::store::fixture::described;

#[tokio::test(start_paused = true)]
async fn a_better_dictionary_is_not_made_in_the_rush_after_a_list() {
    let script = Script::new();
    let object = |number: u64| described(number).version(number + 1);
    script.list(1, &(0..600).map(object).collect::<Vec<_>>()).await;
    script.reaches(1).await;
    let packing = || script.informer.lister().memory_usage().packing;
    let first = packing();
    clock::sleep(REFINE_AFTER - Duration::from_millis(1)).await;
    assert_eq!(packing(), first);
    clock::sleep(Duration::from_secs(1)).await;
    assert_ne!(packing(), first);
}
