//! What a fuzzer runs: any bytes as a list, as a watch and as an object, in JSON and in protobuf, and what must hold of each.
//! Not in the library.
//!
//! `fuzz/` has the target; the seeds there run with the tests, so that neither can rot.
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::protobuf::{Schema, Transcoder};
use super::{Buffers, Error, Event, LineSplitter, ListSplitter, ManagedFields, Models, RawObject, Scanned, list};

/// Takes the size of chunks from the first byte, and the rest as a body.
///
/// # Panics
/// When something does not hold: that is a finding.
pub fn wire(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    same_list_in_any_chunks(body, size);
    same_lines_in_any_chunks(body, size);
    object(body);
    for schema in &*SCHEMAS {
        same_json_in_any_chunks(schema, body, size);
    }
}

/// The schemas that protobuf is read by, of pods and of metadata alone: made once, as a fuzzer runs some thousand bodies a
/// second.
static SCHEMAS: LazyLock<[Arc<Schema>; 2]> = LazyLock::new(|| {
    let schemas = [Schema::of("v1", "Pod"), Schema::of_metadata()];
    // Both are built in.
    schemas.map(|schema| Arc::new(schema.expect("there is a schema")))
});

/// What is read of protobuf is JSON, whole lines of it, and the same in any chunks.
fn same_json_in_any_chunks(schema: &Arc<Schema>, body: &[u8], size: usize) {
    let watch = || Transcoder::watch(Arc::clone(schema), ManagedFields::Keep);
    let list = || Transcoder::list(Arc::clone(schema), ManagedFields::Keep);
    let watched = json_of(watch(), body, size);
    assert_eq!(watched, json_of(watch(), body, body.len()), "events do not depend on chunks");
    for line in watched.0.split_inclusive(|byte| *byte == b'\n') {
        assert!(
            serde_json::from_slice::<IgnoredAny>(line).is_ok() && line.ends_with(b"\n"),
            "each event is a line of JSON"
        );
    }
    let listed = json_of(list(), body, size);
    assert_eq!(listed, json_of(list(), body, body.len()), "nor do lists");
    let mut splitter = ListSplitter::new();
    splitter.push(Bytes::from(listed.0));
    let mut models = Models::learning();
    // Whatever comes of it is an item, or a list that has not ended.
    while let Ok(Some(_)) = splitter.next_item(&mut models) {}
}

/// Says whether the whole of `body` is a list of pods, or of their metadata, or events of such a watch, in protobuf.
#[cfg(test)]
pub(super) fn is_protobuf(body: &[u8]) -> bool {
    SCHEMAS.iter().any(|schema| {
        let list = json_of(Transcoder::list(Arc::clone(schema), ManagedFields::Keep), body, 7);
        let (lines, error) = json_of(Transcoder::watch(Arc::clone(schema), ManagedFields::Keep), body, 7);
        (list.1.is_none() && serde_json::from_slice::<IgnoredAny>(&list.0).is_ok())
            || (error.is_none() && !lines.is_empty())
    })
}

/// Returns all JSON that comes of `body`, and why it ended before the body did.
fn json_of(mut transcoder: Transcoder, body: &[u8], size: usize) -> (Vec<u8>, Option<Error>) {
    let mut json = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        let transcoded = transcoder.push(chunk);
        json.extend_from_slice(&transcoded.json);
        if transcoded.error.is_some() {
            return (json, transcoded.error);
        }
    }
    (json, None)
}

fn same_list_in_any_chunks(body: &[u8], size: usize) {
    let (items, end) = list_in(body, size);
    let (whole_items, whole_end) = list_in(body, body.len());
    assert_eq!(items, whole_items, "items do not depend on chunks");
    match (end, whole_end) {
        (Ok(head), Ok(whole)) => assert_eq!(head, whole, "nor does the head"),
        (Err(error), Err(whole)) => assert_eq!(kind(&error), kind(&whole), "nor does the failure"),
        (end, whole) => panic!("{end:?} in chunks of {size}, {whole:?} in one"),
    }
    assert!(items.iter().map(Vec::len).sum::<usize>() <= body.len(), "nothing is made up");
    items.iter().for_each(|item| object(item));
}

fn list_in(body: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<list::ListHead, Error>) {
    let (mut splitter, mut models, mut items) = (ListSplitter::new(), Models::learning(), Vec::new());
    for chunk in body.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(chunk));
        loop {
            match splitter.next_item(&mut models) {
                Ok(Some(item)) => {
                    let alone = Scanned::parse(item.raw).map(|alone| said(&alone));
                    assert_eq!(alone, Ok(said(&item)), "an item is the same whatever came before it");
                    items.push(item.raw.to_vec());
                }
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    (items, splitter.finish())
}

fn same_lines_in_any_chunks(body: &[u8], size: usize) {
    let lines = lines_in(body, size);
    assert_eq!(lines, lines_in(body, body.len()), "lines do not depend on chunks");
    let mut models = Models::learning();
    for line in lines {
        let alone = Event::parse(&line, &mut Models::default());
        let by_others = Event::parse(&line, &mut models);
        assert_eq!(
            by_others.map(|event| said(&event.object)),
            alone.as_ref().map(|event| said(&event.object)).map_err(Error::clone)
        );
        if let Ok(event) = alone {
            object(event.object.raw);
        }
    }
}

fn lines_in(body: &[u8], size: usize) -> Vec<Bytes> {
    let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
    for chunk in body.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(chunk));
        // Only a bound fails here: a finding if it does.
        while let Some(line) = splitter.next_line().expect("a fuzzer's bodies are below every bound") {
            lines.push(Bytes::copy_from_slice(line));
        }
    }
    lines.extend(splitter.finish().map(Bytes::from));
    lines
}

/// Returns all that an object says, or why it can not be used.
fn said(object: &Scanned<'_>) -> String {
    let (version, ends) = (object.version(), object.ends_initial_events());
    let whole = object.to_object(ManagedFields::Drop, &mut Buffers::exact());
    let whole = whole.map(|whole| {
        let marks: Vec<_> = whole.marks().collect();
        format!("{:?} {marks:?} {}", whole.head(), String::from_utf8_lossy(whole.json()))
    });
    format!("{version:?} {ends} {whole:?}")
}

/// What is accepted is JSON, stays JSON without its managedFields, and says the same of itself when it is parsed again.
fn object(json: &[u8]) {
    let Ok(object) = RawObject::parse(json) else { return };
    assert!(serde_json::from_slice::<IgnoredAny>(json).is_ok(), "what is accepted is JSON");
    // Anything else is a finding.
    let again = RawObject::parse(object.json()).expect("what is kept can be read again");
    assert_eq!(again.json(), object.json(), "there is nothing more to cut");
    assert_eq!(format!("{:?}", again.metadata()), format!("{:?}", object.metadata()), "the metadata is the same");
}

/// The failure without the place, which is counted within a chunk.
fn kind(error: &Error) -> String {
    match error {
        Error::Malformed { problem, .. } => (*problem).to_owned(),
        other => other.to_string(),
    }
}
