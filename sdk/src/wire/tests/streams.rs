//! Framing of lists and watches.
use super::super::*;

/// Feeds `body` in chunks of `size` bytes; returns items and head.
pub(super) fn split_list(body: &[u8], size: usize) -> Result<(Vec<Vec<u8>>, list::ListHead), Error> {
    let mut splitter = ListSplitter::new();
    let (mut items, mut models) = (Vec::new(), Models::learning());
    for chunk in body.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next_item(&mut models)? {
            items.push(item.raw.to_vec());
        }
    }
    splitter.finish().map(|head| (items, head))
}

/// Feeds `body` in chunks of `size` bytes; returns lines and what stands after the last.
pub(super) fn split_lines(body: &[u8], size: usize) -> Result<Vec<Bytes>, Error> {
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(line) = splitter.next_line()? {
            lines.push(Bytes::copy_from_slice(line));
        }
    }
    lines.extend(splitter.finish().map(Bytes::from));
    Ok(lines)
}

#[test]
fn items_come_whatever_the_order_of_members_and_the_chunks() {
    let metadata = r#""metadata":{"resourceVersion":"12","continue":"tok\"en","remainingItemCount":3}"#;
    let items = r#""items":[ {"metadata":{"name":"a]}"}} , {"metadata":{"name":"b\"["}}]"#;
    for body in [
        format!(r#"{{"kind":"PodList","apiVersion":"v1",{metadata},{items}}}"#),
        format!(r#" {{ {items} , {metadata} , "kind" : "PodList" }} "#),
        format!(r#"{{{items},"more":{{"a":["}}",{{}}]}},{metadata},"n":12,"t":true}}"#),
        format!(r#"{{"n":-1e9,{metadata},{}}}"#, items.replace("items", r"it\u0065ms")),
    ] {
        for size in [1, 2, 3, 7, 64, body.len()] {
            let (items, head) = split_list(body.as_bytes(), size).unwrap();
            assert_eq!(
                items,
                [&br#"{"metadata":{"name":"a]}"}}"#[..], br#"{"metadata":{"name":"b\"["}}"#],
                "{size} {body}"
            );
            assert_eq!(head.version.as_str(), "12", "{size} {body}");
            assert_eq!(head.continue_token.as_deref(), Some("tok\"en"));
        }
    }
}

#[test]
fn the_next_page_is_known_as_soon_as_the_list_has_said_it() {
    let (metadata, items) = (r#""metadata":{"continue":"token"}"#, r#""items":[{},{}]"#);
    for body in [format!("{{{metadata},{items}}}"), format!("{{{items},{metadata}}}")] {
        let known = body.find(metadata).unwrap() + metadata.len();
        let (mut splitter, mut models) = (ListSplitter::new(), Models::learning());
        for (at, byte) in body.bytes().enumerate() {
            assert_eq!(splitter.continue_token(), (at >= known).then_some("token"), "{at} of {body}");
            splitter.push(Bytes::copy_from_slice(&[byte]));
            while splitter.next_item(&mut models).unwrap().is_some() {}
        }
    }
}

#[test]
fn a_list_without_items_is_a_list() {
    for items in ["[]", "[ ]", "null"] {
        let body =
            format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"1","continue":""}},"items":{items}}}"#);
        let (items, head) = split_list(body.as_bytes(), 5).unwrap();
        assert!(items.is_empty() && head.continue_token.is_none());
    }
}

#[test]
fn what_is_no_whole_list_is_an_error() {
    let check = |body: &str, expected: Error| {
        for size in [1, 1000] {
            assert_eq!(split_list(body.as_bytes(), size).unwrap_err(), expected, "{size} {body}");
        }
    };
    check("", Error::Truncated);
    check(r#"{"kind":"PodList","items":[{}"#, Error::Truncated);
    check(r#"{"kind":"PodList","items":[{}]"#, Error::Truncated);
    check(r#"{"kind":"Table","rows":[{}]}"#, Error::Table);
    check(r#"{"rows":[{"object":{}}],"kind":"Table"}"#, Error::Table);
    check(r#"{"kind":"Status","metadata":{},"status":"Failure"}"#, Error::NotAList);
    check(r#"{"a":1}"#, Error::NotAList);
    for malformed in [
        "[]",
        "{]",
        r#"{"items":[{}{}]}"#,
        r#"{"items" 1}"#,
        r#"{"items":5}"#,
        r#"{} x"#,
        r#"{"metadata":5}"#,
        r#"{"items":[],"a":}}"#,
        r#"{"items":[],"a":]}"#,
        r#"{"items":[],"a":,"b":1}"#,
        r#"{"items":[],"a"::1}"#,
        r#"{"items":[],"a":[}}"#,
        r#"{"items":[],"a":x}"#,
        r#"{"items":[],"a":"\q"}"#,
        "{\"items\":[],\"a\":\"\n\"}",
        "{\x0c\"items\":[]}",
    ] {
        let error = split_list(malformed.as_bytes(), 1).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{malformed}: {error:?}");
    }
}

#[test]
fn a_list_that_says_something_twice_is_none() {
    for twice in [
        r#"{"items":[],"items":[{}]}"#,
        r#"{"items":null,"it\u0065ms":[]}"#,
        r#"{"metadata":{},"items":[],"metadata":{"resourceVersion":"2"}}"#,
        r#"{"kind":"PodList","items":[],"kind":"Table"}"#,
    ] {
        let error = split_list(twice.as_bytes(), 3).unwrap_err();
        assert!(error.to_string().contains("stands twice"), "{twice}: {error}");
    }
}

#[test]
fn heads_and_items_of_any_depth_cost_no_stack() {
    let deep = "[".repeat(60_000);
    for (body, truncated) in [
        (format!(r#"{{"metadata":{{"a":{deep}}}"#), true),
        (format!(r#"{{"other":{}"#, "[".repeat(300_000)), true),
        (format!(r#"{{"items":[{}"#, "{\"a\":[".repeat(100_000)), true),
        (format!(r#"{{"metadata":{{"a":{deep}{}}},"items":[]}}"#, "]".repeat(60_000)), false),
    ] {
        for size in [4096, body.len()] {
            let error = split_list(body.as_bytes(), size).unwrap_err();
            assert!(if truncated { error == Error::Truncated } else { error != Error::Truncated }, "{error}");
        }
    }
}

#[test]
fn the_memory_of_a_list_is_bounded() {
    let mut models = Models::learning();
    let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
    for (start, limit) in [
        (r#"{"items":[{"a":""#, MAX_OBJECT_BYTES),
        (r#"{"other":""#, MAX_OBJECT_BYTES),
        (r#"{"metadata":{"continue":""#, 64 << 10),
        ("{\"", 64 << 10),
    ] {
        let mut splitter = ListSplitter::new();
        splitter.push(Bytes::from(start));
        assert!(splitter.next_item(&mut models).unwrap().is_none());
        let error = (0..32).find_map(|_| {
            splitter.push(mebibyte.clone());
            splitter.next_item(&mut models).err()
        });
        assert_eq!(error, Some(Error::TooLarge { limit }), "{start}");
    }
}

/// However much of it arrives at once.
#[test]
fn an_item_above_the_bound_is_none_in_one_chunk_either() {
    let body = [r#"{"items":[{"a":""#, &"x".repeat(MAX_OBJECT_BYTES), r#""}]}"#].concat();
    assert_eq!(split_list(body.as_bytes(), body.len()).unwrap_err(), Error::TooLarge { limit: MAX_OBJECT_BYTES });
}

#[test]
fn the_memory_of_a_line_is_bounded() {
    let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
    let mut splitter = LineSplitter::default();
    let error = (0..32).find_map(|_| {
        splitter.push(mebibyte.clone());
        splitter.next_line().err()
    });
    assert_eq!(error, Some(Error::TooLarge { limit: MAX_OBJECT_BYTES }));
}

#[test]
fn lines_come_whatever_the_chunks() {
    let body = b"one\n\n  \r\ntwo\r\nthree";
    for size in 1..=body.len() {
        let lines = split_lines(body, size).unwrap();
        assert_eq!(lines, [&b"one"[..], b"two\r", b"three"], "{size}");
    }
}

#[test]
fn events_come_in_either_order_of_members() {
    let check = |line: &str, r#type: EventType| {
        let event = Event::parse(line.as_bytes(), &mut Models::default()).unwrap();
        assert_eq!(event.r#type, r#type, "{line}");
        assert_eq!(event.object.version().as_str(), "9");
        event.object.ends_initial_events()
    };
    let object = r#"{"kind":"Pod","metadata":{"name":"a","resourceVersion":"9"}}"#;
    for (name, r#type) in [
        ("ADDED", EventType::Added),
        ("MODIFIED", EventType::Modified),
        ("DELETED", EventType::Deleted),
        ("ERROR", EventType::Error),
        ("FUTURE", EventType::Unknown),
    ] {
        check(&format!(r#"{{"type":"{name}","object":{object}}}"#), r#type);
        check(&format!(r#"{{ "object" : {object} , "type" : "{name}" , "more" : [] }}"#), r#type);
    }
    for (value, ends) in [("\"true\"", true), ("\"false\"", false), ("null", false)] {
        let line = format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"9","annotations":{{"k8s.io/initial-events-end":{value}}}}}}}}}"#
        );
        assert_eq!(check(&line, EventType::Bookmark), ends, "{value}");
    }
    for malformed in [r#"{"type":"ADDED","type":"DELETED","object":{}}"#, r#"{"type":"ADDED","object":{},"object":{}}"#]
    {
        let error = Event::parse(malformed.as_bytes(), &mut Models::default()).unwrap_err();
        assert!(error.to_string().contains("stands twice"), "{malformed}: {error}");
    }
    for malformed in [
        "{}",
        r#"{"type":"ADDED"}"#,
        r#"{"object":{}}"#,
        r#"{"type":5,"object":{}}"#,
        "x",
        r#"{"type":"ADDED","object":{}} {}"#,
        r#"{"type":"ADDED","object":{}}}"#,
        "\u{feff}{\"type\":\"ADDED\",\"object\":{}}",
        "{\"type\":\"ADDED\",\"object\":{}}\0",
        "{\"type\":\"ADDED\",\"object\":{}}\x0c",
    ] {
        assert!(
            matches!(Event::parse(malformed.as_bytes(), &mut Models::default()), Err(Error::Malformed { .. })),
            "{malformed}"
        );
    }
}
