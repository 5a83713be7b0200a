//! Finds the values of one field in an object, and decodes nothing else.
use std::borrow::Cow;

use super::list::Skim;

/// Calls `visit` for each scalar that stands at `path`, whose names are parted by dots, in an object that was parsed
/// before. Elements of lists on the way are all entered; null is no value.
pub(crate) fn field_values(json: &[u8], path: &str, visit: &mut dyn FnMut(&str)) {
    let mut at = 0;
    enter(json, &mut at, Some(path), visit);
}

fn enter(json: &[u8], at: &mut usize, path: Option<&str>, visit: &mut dyn FnMut(&str)) {
    skip_space(json, at);
    match (json.get(*at), path) {
        (Some(b'{'), Some(path)) => member(json, at, path, visit),
        (Some(b'['), _) => {
            *at += 1;
            while let Some(start) = next(json, at, b']') {
                // Its end is looked for apart, because what is found in it ends the search there.
                skip_value(json, at);
                enter(&json[start..*at], &mut 0, path, visit);
            }
        }
        (Some(b'{') | None, _) | (_, Some(_)) => {}
        (Some(_), None) => {
            let start = *at;
            skip_value(json, at);
            scalar(&json[start..*at], visit);
        }
    }
}

/// Looks for the first name of `path`, and for the rest behind it.
fn member(json: &[u8], at: &mut usize, path: &str, visit: &mut dyn FnMut(&str)) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    *at += 1;
    while let Some(start) = next(json, at, b'}') {
        skip_value(json, at);
        let found = text(&json[start..*at]).is_some_and(|key| key == name);
        skip_space(json, at);
        // The colon.
        *at += 1;
        skip_space(json, at);
        if found {
            return enter(json, at, rest, visit);
        }
        skip_value(json, at);
    }
}

fn scalar(json: &[u8], visit: &mut dyn FnMut(&str)) {
    match json {
        [b'"', ..] => text(json).into_iter().for_each(|text| visit(&text)),
        [] | b"null" => {}
        _ => std::str::from_utf8(json).into_iter().for_each(visit),
    }
}

/// Returns what a string stands for.
fn text(json: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', json).is_some() {
        return serde_json::from_slice(json).ok().map(Cow::Owned);
    }
    std::str::from_utf8(json.get(1..json.len().checked_sub(1)?)?).ok().map(Cow::Borrowed)
}

/// Goes to the next member or element and returns where it begins; `None` at the end of the container.
fn next(json: &[u8], at: &mut usize, end: u8) -> Option<usize> {
    skip_space(json, at);
    if json.get(*at) == Some(&b',') {
        *at += 1;
        skip_space(json, at);
    }
    (*json.get(*at)? != end).then_some(*at)
}

fn skip_value(json: &[u8], at: &mut usize) {
    Skim::default().read(json, at);
}

fn skip_space(json: &[u8], at: &mut usize) {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = json.get(*at) {
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn values(json: &[u8], path: &str) -> Vec<String> {
        let mut values = Vec::new();
        field_values(json, path, &mut |value| values.push(value.to_owned()));
        values
    }

    #[test]
    fn scalars_are_found_by_path_and_lists_are_entered() {
        let object = json!({
            "metadata": { "name": "a", "spec": { "node": "wrong" } },
            "spec": { "other": { "node": "wrong" }, "node": "n\"1", "count": 7, "on": true, "none": null,
                "parts": [{ "image": "x" }, { "size": 2 }, { "image": "y" }], "words": ["a", "b"] },
        });
        for text in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
            let check = |path: &str, expected: &[&str]| assert_eq!(values(text.as_bytes(), path), expected, "{path}");
            check("spec.node", &["n\"1"]);
            check("spec.count", &["7"]);
            check("spec.on", &["true"]);
            check("spec.parts.image", &["x", "y"]);
            check("spec.words", &["a", "b"]);
            for nothing in ["spec", "spec.none", "spec.node.more", "node", "", "spec..node", "spec.", "spec.missing"] {
                check(nothing, &[]);
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_neither_panics_nor_goes_on_for_ever(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[{}\\[\\]\",:a\\\\ 1.]{0,60}") {
            values(&bytes, "a.a");
            values(text.as_bytes(), "a.a");
            values(text.as_bytes(), "a");
        }

        #[test]
        fn what_is_found_is_what_a_full_decode_finds(name in "\\PC{0,8}", value in "\\PC{0,8}", before in "\\PC{0,8}") {
            prop_assume!(!name.contains('.') && name != before);
            let object = json!({ &before: [{ &name: 1 }], &name: { &name: &value } }).to_string();
            prop_assert_eq!(values(object.as_bytes(), &format!("{name}.{name}")), [value]);
            prop_assert!(serde_json::from_str::<Value>(&object).is_ok());
        }
    }
}
