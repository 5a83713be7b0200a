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

const EXPIRED: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}
"#;

pub(crate) fn pieces(body: kube::client::Body) -> Pieces {
    Box::pin(body.into_data_stream().map(|piece| piece.map_err(io::Error::other)))
}

pub(crate) fn disturbed(pieces: Pieces, fault: StreamFault, rng: Rng) -> Pieces {
    match fault {
        StreamFault::Delay(low, high) => delayed(pieces, low, high, rng),
        StreamFault::Cut(after) => {
            Box::pin(pieces.take(after).chain(stream::iter([Err(io::Error::from(io::ErrorKind::ConnectionReset))])))
        }
        StreamFault::Expire(after) => expired(pieces, after),
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

/// Ends after the first whole line that follows `after` pieces.
fn expired(pieces: Pieces, after: usize) -> Pieces {
    let state = (pieces, 0, false);
    Box::pin(stream::unfold(state, move |(mut pieces, seen, ended)| async move {
        if ended {
            return None;
        }
        let piece = pieces.next().await?;
        let whole = piece.as_ref().is_ok_and(|piece| piece.ends_with(b"\n"));
        if seen < after || !whole {
            return Some((piece, (pieces, seen + 1, false)));
        }
        let piece = piece.map(|piece| Bytes::from([&piece[..], EXPIRED].concat()));
        Some((piece, (pieces, seen, true)))
    }))
}
