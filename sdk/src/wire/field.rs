//! Finds the values of one field in an object, and decodes nothing else.
use super::Error;
use super::outline::{self, OutlineView};
use super::scan::Scanner;

/// Calls `visit` for each scalar that stands at `path`, whose names are parted by dots, in an object that was parsed
/// before. Elements of lists on the way are all entered; null is no value.
pub(crate) fn field_values(json: &[u8], path: &str, visit: &mut dyn FnMut(&str)) {
    // What was parsed before is JSON; of anything else the beginning is read.
    let _ = enter(&mut Scanner::new(json), Some(path), visit);
}

/// Does the same in an object of which the outline is known.
pub(super) fn outlined_values(json: &[u8], outline: OutlineView<'_>, path: &str, visit: &mut dyn FnMut(&str)) {
    if let Some((mut scanner, rest)) = outline.lead(json, path) {
        let _ = enter(&mut scanner, rest, visit);
    }
}

fn enter(scanner: &mut Scanner<'_>, path: Option<&str>, visit: &mut dyn FnMut(&str)) -> Result<(), Error> {
    match (scanner.peek()?, path) {
        (b'{', Some(path)) => {
            let (name, rest) = outline::first(path);
            if scanner.find(name)? { enter(scanner, rest, visit) } else { Ok(()) }
        }
        (b'[', _) => enter_list(scanner, path, visit),
        (b'{', None) | (_, Some(_)) => Ok(()),
        (b'"', None) => scanner.string().map(|text| visit(&text)),
        (b'n', None) => Ok(()),
        (_, None) => {
            let value = scanner.skip()?;
            std::str::from_utf8(scanner.slice(value)).into_iter().for_each(visit);
            Ok(())
        }
    }
}

/// Enters each element of a list, and of the lists in it, which may be nested as deeply as an object may.
fn enter_list(scanner: &mut Scanner<'_>, path: Option<&str>, visit: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let mut open = 0_usize;
    loop {
        if scanner.take(b'[') {
            if !scanner.take(b']') {
                open += 1;
                continue;
            }
        } else {
            let element = scanner.skip()?;
            // Apart, because what is found in it ends the search there.
            enter(&mut Scanner::new(scanner.slice(element)), path, visit)?;
        }
        while open > 0 && !scanner.take(b',') {
            scanner.close(b']', "a comma or the end of the array is expected")?;
            open -= 1;
        }
        if open == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::RawObject;

    fn values(json: &[u8], path: &str) -> Vec<String> {
        let mut values = Vec::new();
        field_values(json, path, &mut |value| values.push(value.to_owned()));
        values
    }

    fn outlined(json: &[u8], path: &str) -> Vec<String> {
        let mut values = Vec::new();
        RawObject::parse(json).unwrap().field_values(path, &mut |value| values.push(value.to_owned()));
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
            let check = |path: &str, expected: &[&str]| {
                assert_eq!(values(text.as_bytes(), path), expected, "{path}");
                assert_eq!(outlined(text.as_bytes(), path), expected, "{path}, by the outline");
            };
            check("metadata.name", &["a"]);
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

    #[test]
    fn lists_in_lists_are_entered_whatever_their_depth() {
        let check = |json: &str, expected: &[&str]| {
            let object = format!(r#"{{"metadata":{{"name":"a"}},"spec":{{"a":{json}}}}}"#);
            assert_eq!(values(object.as_bytes(), "spec.a.b"), expected, "{json}");
            assert_eq!(outlined(object.as_bytes(), "spec.a.b"), expected, "{json}, by the outline");
        };
        check(r#"[[],[{"b":1,"c":[]}],[[{"c":{"b":0}},[{"b":[[2],3]}]],4],{"b":5}]"#, &["1", "2", "3", "5"]);
        check("[[[]]]", &[]);
        let levels = 9_990;
        let deep = [&"[".repeat(levels), r#"{"b":1},{"b":2}"#, &"]".repeat(levels)].concat();
        check(&deep, &["1", "2"]);
    }

    #[test]
    fn a_name_is_what_a_key_says_and_not_how_it_is_spelled() {
        let object = r#"{"metadata":{"name":"a"},"a":"","a\"":1,"\u0061b":2,"a\\":3,"a\":\"":4}"#;
        for (name, expected) in
            [("a", ""), ("a\"", "1"), ("ab", "2"), ("a\\", "3"), ("a\":\"", "4"), ("\\u0061b", ""), ("a\\\"", "")]
        {
            let expected: Vec<&str> = if name == "a" || !expected.is_empty() { vec![expected] } else { Vec::new() };
            assert_eq!(values(object.as_bytes(), name), expected, "{name}");
            assert_eq!(outlined(object.as_bytes(), name), expected, "{name}, by the outline");
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
