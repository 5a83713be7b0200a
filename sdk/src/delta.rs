//! The queue of deltas between a reflector and its store: ordered, bounded, with back-pressure.
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::reflector::Delta;

/// Most deltas that wait. Enough that neither side waits for the other's next turn; 4,096 bookmarks are a few hundred KiB.
pub const MAX_DELTAS: usize = 4096;

/// Most bytes of objects that wait or are in the hands of the store: about 1,800 pods. A store takes a batch in
/// milliseconds, so more would only make the peak of a first list higher. One larger object passes alone.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Most deltas handed over at once, so that a store that locks for a batch does not keep its readers waiting.
pub const MAX_BATCH: usize = 256;

/// Makes a queue.
pub fn channel() -> (DeltaSender, DeltaReceiver) {
    let (queue, waiting) = mpsc::channel(MAX_DELTAS);
    let room = Arc::new(Semaphore::new(MAX_BYTES));
    let sender = DeltaSender { queue, room: Arc::clone(&room) };
    (sender, DeltaReceiver { waiting, room, taken: Vec::with_capacity(MAX_BATCH), held: 0 })
}

/// The reflector's end.
#[derive(Debug)]
pub struct DeltaSender {
    queue: mpsc::Sender<(Delta, u32)>,
    room: Arc<Semaphore>,
}

impl DeltaSender {
    /// Appends `delta`; waits while the queue is full. Cancel safe: a push that is dropped has appended nothing.
    ///
    /// # Errors
    /// [`Closed`] when the receiver is gone.
    pub async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let size = weigh(&delta);
        let room = self.room.acquire_many(size).await.map_err(|_| Closed)?;
        self.queue.send((delta, size)).await.map_err(|_| Closed)?;
        room.forget();
        Ok(())
    }
}

/// The store's end.
#[derive(Debug)]
pub struct DeltaReceiver {
    waiting: mpsc::Receiver<(Delta, u32)>,
    room: Arc<Semaphore>,
    taken: Vec<(Delta, u32)>,
    held: usize,
}

impl DeltaReceiver {
    /// Appends the next deltas to `batch`, in the order they were pushed; waits for at least one.
    ///
    /// The bytes of a batch count until the next call, so that what the store has not applied yet stays bounded too.
    /// Returns false when the sender is gone and nothing is left. Cancel safe.
    pub async fn next_batch(&mut self, batch: &mut Vec<Delta>) -> bool {
        self.room.add_permits(std::mem::take(&mut self.held));
        if self.waiting.recv_many(&mut self.taken, MAX_BATCH).await == 0 {
            return false;
        }
        for (delta, size) in self.taken.drain(..) {
            self.held += size as usize;
            batch.push(delta);
        }
        true
    }
}

impl Drop for DeltaReceiver {
    fn drop(&mut self) {
        // Wakes a push that waits for room.
        self.room.close();
    }
}

/// The other end of the queue is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of this reflector has stopped")]
pub struct Closed;

/// What a delta counts for; no more than the whole room, or it would wait for ever.
fn weigh(delta: &Delta) -> u32 {
    let size = match delta {
        Delta::Listed(object) | Delta::Applied(object) | Delta::Deleted(object) => object.size(),
        Delta::ListStarted | Delta::Replaced(_) | Delta::Bookmark(_) => size_of::<Delta>(),
    };
    u32::try_from(size.min(MAX_BYTES)).unwrap_or(u32::MAX)
}
