//! Properties over bodies that are split anywhere, damaged, or no protobuf at all.
use proptest::prelude::*;

use super::*;

/// A few objects, as a list and as a watch.
fn bodies() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    prop::collection::vec("[a-z\"\\\\é\n]{1,12}", 0..6).prop_map(|names| {
        let objects: Vec<_> = names.iter().map(|name| config_map(name)).collect();
        let events: Vec<_> = objects.iter().map(|object| event("ADDED", "v1", "ConfigMap", object)).collect();
        (list("ConfigMap", &objects), events.concat())
    })
}

/// Cuts `body` at places that depend on `sizes`.
fn split<'a>(mut body: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = body.split_at(*size.min(&body.len()));
        chunks.push(chunk);
        body = rest;
    }
    chunks.push(body);
    chunks
}

proptest! {
    #[test]
    fn the_json_does_not_depend_on_chunks((list, watch) in bodies(), sizes in prop::collection::vec(0_usize..90, 0..40)) {
        prop_assert_eq!(run(config_maps(), split(&list, &sizes)), run(config_maps(), [&list[..]]));
        prop_assert_eq!(run(config_map_events(), split(&watch, &sizes)), run(config_map_events(), [&watch[..]]));
    }

    #[test]
    fn damage_is_refused_or_read_and_what_is_written_is_json(
        (list, watch) in bodies(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in prop::collection::vec(0_usize..90, 0..40),
    ) {
        for (transcoder, mut body) in [(config_maps(), list), (config_map_events(), watch)] {
            for (at, byte) in &edits {
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = *byte;
                }
            }
            let watched = matches!(transcoder.frame, Frame::Watch);
            let (json, _) = run(transcoder, split(&body, &sizes));
            prop_assert!(json.len() <= 16 * (body.len() + 64), "{} of {}", json.len(), body.len());
            if watched {
                for line in json.lines() {
                    prop_assert!(serde_json::from_str::<Value>(line).is_ok(), "{}", line);
                }
            }
        }
    }

    #[test]
    fn garbage_is_no_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for body in [[b"k8s\0", &bytes[..]].concat(), bytes] {
            for json in [run(config_maps(), [&body[..]]).0, run(config_map_events(), [&body[..]]).0] {
                let lines = json.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
                prop_assert!(lines || !json.ends_with('\n'), "{}", json);
            }
        }
    }
}
