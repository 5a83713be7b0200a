//! The events of a watch on their way through: later, cut off, or ended by 410.
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::StreamFault;

/// The pieces of a body.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// How many pieces may be late at once. Beyond it the API server waits, as it does for any slow watcher.
const LATE: usize = 10_000;

/// How the events of a watch are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each is a line of JSON.
    Lines,
    /// Each is preceded by its length, and protobuf.
    Lengths,
}

impl Framing {
    /// Returns that of an answer.
    pub(crate) fn of(headers: &http::HeaderMap) -> Self {
        let said = headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let protobuf = said.is_some_and(|said| said.starts_with(b"application/vnd.kubernetes.protobuf"));
        if protobuf { Self::Lengths } else { Self::Lines }
    }
}

const EXPIRED: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}
"#;

/// The same in protobuf: a WatchEvent, whose object is a Status in an envelope.
fn expired_in_protobuf() -> Vec<u8> {
    let status = [
        field(2, b"Failure"),
        field(3, b"too old resource version"),
        field(4, b"Expired"),
        // The code, 410.
        vec![6 << 3, 0x9a, 0x03],
    ];
    let r#type = [field(1, b"v1"), field(2, b"Status")].concat();
    let envelope = [b"k8s\0".to_vec(), field(1, &r#type), field(2, &status.concat())].concat();
    let event = [field(1, b"ERROR"), field(2, &field(1, &envelope))].concat();
    [vec![0, 0, 0, length(&event)], event].concat()
}

/// A field of protobuf that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[(number << 3) | 2, length(bytes)][..], bytes].concat()
}

fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).ok().filter(|length| *length < 128).expect("longer lengths take more bytes")
}

pub(crate) fn pieces(body: kube::client::Body) -> Pieces {
    Box::pin(body.into_data_stream().map(|piece| piece.map_err(io::Error::other)))
}

pub(crate) fn disturbed(pieces: Pieces, framing: Framing, fault: StreamFault, rng: Rng) -> Pieces {
    match fault {
        StreamFault::Delay(low, high) => delayed(pieces, low, high, rng),
        StreamFault::Cut(after) => {
            Box::pin(pieces.take(after).chain(stream::iter([Err(io::Error::from(io::ErrorKind::ConnectionReset))])))
        }
        StreamFault::Expire(after) => expired(pieces, framing, after),
    }
}

/// Each piece is taken from the API server at once and handed on when its time has come.
fn delayed(pieces: Pieces, low: Duration, high: Duration, mut rng: Rng) -> Pieces {
    let late = pieces.map(move |piece| {
        let spread = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
        let due = Instant::now() + low + Duration::from_micros(rng.u64(0..=spread));
        async move {
            tokio::time::sleep_until(due).await;
            piece
        }
    });
    Box::pin(late.buffered(LATE))
}

/// Ends after the first whole event that follows `after` pieces.
fn expired(pieces: Pieces, framing: Framing, after: usize) -> Pieces {
    let state = (pieces, Frames::default(), 0, false);
    Box::pin(stream::unfold(state, move |(mut pieces, mut frames, seen, ended)| async move {
        if ended {
            return None;
        }
        let piece = pieces.next().await?;
        let whole = piece.as_ref().is_ok_and(|piece| match framing {
            Framing::Lines => piece.ends_with(b"\n"),
            Framing::Lengths => frames.ends_with(piece),
        });
        if seen < after || !whole {
            return Some((piece, (pieces, frames, seen + 1, false)));
        }
        let expired = match framing {
            Framing::Lines => EXPIRED.to_vec(),
            Framing::Lengths => expired_in_protobuf(),
        };
        let piece = piece.map(|piece| Bytes::from([&piece[..], &expired].concat()));
        Some((piece, (pieces, frames, seen, true)))
    }))
}

/// Follows the events of a watch in protobuf: four bytes of length before each.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    left: usize,
}

impl Frames {
    /// Takes the next piece, and says whether an event ends with it.
    fn ends_with(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            let wanted = if self.left > 0 { self.left } else { 4 - self.head.len() };
            let (taken, rest) = piece.split_at(wanted.min(piece.len()));
            piece = rest;
            if self.left > 0 {
                self.left -= taken.len();
                continue;
            }
            self.head.extend_from_slice(taken);
            if let Some(length) = self.head.first_chunk() {
                self.left = u32::from_be_bytes(*length) as usize;
                self.head.clear();
            }
        }
        self.left == 0 && self.head.is_empty()
    }
}

#[test]
fn events_in_protobuf_end_where_their_lengths_say() {
    let events = [&expired_in_protobuf()[..], &expired_in_protobuf()].concat();
    let ends: Vec<usize> = {
        let mut frames = Frames::default();
        let pieces = events.chunks(1).enumerate();
        pieces.filter(|(_, piece)| frames.ends_with(piece)).map(|(at, _)| at + 1).collect()
    };
    assert_eq!(ends, [events.len() / 2, events.len()]);
    assert!(Frames::default().ends_with(&events), "several in one piece");
    assert!(!Frames::default().ends_with(&events[..events.len() - 1]));
}
