//! The body of a watch: what exists if it was asked for, a bookmark, then every change.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::broadcast;

use super::{Change, Collection, STRIDE};

/// Bytes of events that are written at once.
const CHUNK: usize = 64 * 1024;

struct Watch {
    collection: Arc<Collection>,
    changes: broadcast::Receiver<Change>,
    next: Next,
}

/// What comes next.
enum Next {
    /// The initial events from this object on.
    Initial { object: usize, version: u64 },
    /// Whatever happens.
    Change,
    /// The rest of a change.
    Modified { version: u64, object: usize, count: usize },
    /// Nothing.
    End,
}

/// Begins to watch now.
pub(super) fn stream(
    collection: Arc<Collection>,
    initial: bool,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    // Before the version is read: a change in between is sent twice rather than never.
    let changes = collection.changes.subscribe();
    let next = if initial { Next::Initial { object: 0, version: collection.version() } } else { Next::Change };
    stream::unfold(Watch { collection, changes, next }, |mut watch| async move {
        let chunk = watch.chunk().await?;
        Some((Ok(Bytes::from(chunk)), watch))
    })
}

impl Watch {
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK + 8 * 1024);
        loop {
            match self.next {
                Next::Initial { object, version } => {
                    self.initial(&mut chunk, object, version);
                    return Some(chunk);
                }
                Next::Change => {
                    self.next = match self.changes.recv().await {
                        Ok(Change::Modified { version, object, count }) => Next::Modified { version, object, count },
                        Ok(Change::Expired) | Err(broadcast::error::RecvError::Lagged(_)) => {
                            self.next = Next::End;
                            return Some(expired());
                        }
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
                Next::Modified { count: 0, .. } => self.next = Next::Change,
                Next::Modified { version, object, count } => {
                    self.modified(&mut chunk, version, object, count);
                    return Some(chunk);
                }
                Next::End => return None,
            }
        }
    }

    fn initial(&mut self, chunk: &mut Vec<u8>, from: usize, version: u64) {
        let objects = &self.collection.objects;
        let mut object = from;
        while object < objects.len() && chunk.len() < CHUNK {
            chunk.extend_from_slice(br#"{"type":"ADDED","object":"#);
            chunk.extend_from_slice(objects[object].json().as_bytes());
            chunk.extend_from_slice(b"}\n");
            object += 1;
        }
        if object < objects.len() {
            self.next = Next::Initial { object, version };
            return;
        }
        let kind = self.collection.kind;
        let (kind, api_version) = (kind.kind(), kind.api_version());
        let bookmark = format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{version}","creationTimestamp":null,"annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}}"#
        );
        chunk.extend_from_slice(bookmark.as_bytes());
        chunk.push(b'\n');
        self.next = Next::Change;
    }

    fn modified(&mut self, chunk: &mut Vec<u8>, mut version: u64, mut object: usize, mut count: usize) {
        let objects = &self.collection.objects;
        let sent = now();
        while count > 0 && chunk.len() < CHUNK {
            chunk.extend_from_slice(br#"{"type":"MODIFIED","object":"#);
            objects[object].write_changed(chunk, version, sent);
            chunk.extend_from_slice(b"}\n");
            (version, object, count) = (version + 1, (object + STRIDE) % objects.len(), count - 1);
        }
        self.next = Next::Modified { version, object, count };
    }
}

/// What a server says whose history does not reach back so far.
fn expired() -> Vec<u8> {
    let status = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}"#;
    let mut line = status.to_vec();
    line.push(b'\n');
    line
}

#[expect(clippy::disallowed_methods, reason = "it is read in another process, and only the wall clock is shared")]
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
