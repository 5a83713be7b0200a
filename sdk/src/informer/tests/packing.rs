//! When an informer has its objects packed better.
use std::time::Duration;

use super::*;
use crate::clock;
use crate::informer::runner::REFINE_AFTER;

#[tokio::test(start_paused = true)]
async fn a_better_dictionary_is_not_made_in_the_rush_after_a_list() {
    let script = Script::new();
    let object = |number: u64| {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        config_map(&format!("team-{}/app-{}-{noise:x}", number % 7, number % 5))
            .uid(&format!("{noise:08x}-{number:04x}-4000-a000-{noise:012x}")[..36])
            .version(number + 1)
            .label("app.kubernetes.io/name", &format!("app-{}", number % 5))
            .controller(&format!("0a1b2c3d-0000-4000-8000-{:012x}", number / 10))
            .data("words", format!("all w{}", number % 11))
            .data("script", "set -eu; exec /usr/bin/serve --listen 0.0.0.0:8080 --config /etc/app/config.yaml")
            .data("checksum", format!("{noise:x}{:x}", noise.rotate_left(17)))
    };
    script.list(1, &(0..600).map(object).collect::<Vec<_>>()).await;
    script.reaches(1).await;
    let packing = || script.informer.lister().memory_usage().packing;
    let first = packing();
    clock::sleep(REFINE_AFTER - Duration::from_millis(1)).await;
    assert_eq!(packing(), first);
    clock::sleep(Duration::from_secs(1)).await;
    assert_ne!(packing(), first);
}
