//! The queue of deltas between a reflector and its store: ordered, bounded, with back-pressure.
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::reflector::{Closed, Delta, DeltaSink};
use crate::wire::RawObject;

/// Most deltas that wait. Enough that neither side waits for the other's next turn; 4,096 bookmarks are a few hundred KiB.
pub const MAX_DELTAS: usize = 4096;

/// Most bytes of objects that wait or are in the hands of the store: about 80 pods. A store takes a batch in less than a
/// millisecond, so more would only make the peak of a first list higher, and an allocator keeps the room of a peak: with
/// 1 MiB, 50,000 widgets took 0.6 MiB more, and came no sooner by a watch. One larger object passes alone.
pub const MAX_BYTES: usize = 384 * 1024;

/// As long as more waits, the room of what was applied is given back in lumps of this size, a quarter of it: a reflector
/// that waits for room is woken for some dozens of objects then, and not for each batch.
const LUMP: usize = MAX_BYTES / 4;

/// Most deltas handed over at once: few beside [`MAX_BYTES`], which they count against until the next are asked for, so that
/// the reflector fills the rest meanwhile.
pub const MAX_BATCH: usize = 64;

/// Makes a queue.
pub fn channel() -> (DeltaSender, DeltaReceiver) {
    let (queue, waiting) = mpsc::channel(MAX_DELTAS);
    let room = Arc::new(Semaphore::new(MAX_BYTES));
    let sender = DeltaSender { queue, room: Arc::clone(&room), part: 0, transform: None };
    (sender, DeltaReceiver { waiting, room, taken: Vec::with_capacity(MAX_BATCH), held: 0 })
}

/// What becomes of an object on its way into the queue, where client-go transforms objects, too.
pub(crate) type TransformFn = Arc<dyn Fn(Arc<RawObject>) -> Arc<RawObject> + Send + Sync>;

/// The reflector's end. Several reflectors may share a queue, and its bounds.
pub struct DeltaSender {
    queue: mpsc::Sender<(usize, Delta, u32)>,
    room: Arc<Semaphore>,
    part: usize,
    transform: Option<TransformFn>,
}

impl DeltaSender {
    /// Makes the end of one more reflector; its deltas carry the number `part`.
    pub(crate) fn of_part(&self, part: usize) -> Self {
        Self { queue: self.queue.clone(), room: Arc::clone(&self.room), part, transform: self.transform.clone() }
    }

    /// Changes every object that is pushed from here on.
    pub(crate) fn transforming(self, transform: TransformFn) -> Self {
        Self { transform: Some(transform), ..self }
    }

    /// Appends some deltas that take so much room, once that is there for all of them.
    async fn append(&self, slice: &mut Vec<(usize, Delta, u32)>, size: usize) -> Result<(), Closed> {
        // A slice is at most a lump, or one delta, which counts for no more than all of the room.
        let room = self.room.acquire_many(size as u32).await.map_err(|_| Closed)?;
        let places = self.queue.reserve_many(slice.len()).await.map_err(|_| Closed)?;
        room.forget();
        places.zip(slice.drain(..)).for_each(|(place, delta)| place.send(delta));
        Ok(())
    }

    fn transformed(&self, delta: Delta) -> Delta {
        let Some(transform) = &self.transform else { return delta };
        match delta {
            Delta::Listed(object) => Delta::Listed(transform(object)),
            Delta::Applied(object) => Delta::Applied(transform(object)),
            Delta::Deleted(object) => Delta::Deleted(transform(object)),
            Delta::ListStarted | Delta::Replaced(_) | Delta::Bookmark(_) => delta,
        }
    }
}

impl std::fmt::Debug for DeltaSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaSender").field("part", &self.part).finish_non_exhaustive()
    }
}

impl DeltaSink for DeltaSender {
    /// Appends `delta`; waits while the queue is full. Cancel safe: a push that is dropped has appended nothing.
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let delta = self.transformed(delta);
        let size = weigh(&delta);
        let room = self.room.acquire_many(size).await.map_err(|_| Closed)?;
        self.queue.send((self.part, delta, size)).await.map_err(|_| Closed)?;
        room.forget();
        Ok(())
    }

    /// Appends `deltas` as [`DeltaSender::push`] appends each, some for the price of one: the room of a slice is asked for at
    /// once, so that it comes when the queue has given back a lump.
    async fn push_all(&self, deltas: &mut Vec<Delta>) -> Result<(), Closed> {
        let (mut slice, mut room) = (Vec::with_capacity(deltas.len().min(MAX_BATCH)), 0);
        for delta in deltas.drain(..) {
            let delta = self.transformed(delta);
            let size = weigh(&delta);
            if slice.len() == MAX_BATCH || (!slice.is_empty() && room + size as usize > LUMP) {
                self.append(&mut slice, std::mem::take(&mut room)).await?;
            }
            room += size as usize;
            slice.push((self.part, delta, size));
        }
        self.append(&mut slice, room).await
    }
}

/// The store's end.
#[derive(Debug)]
pub struct DeltaReceiver {
    waiting: mpsc::Receiver<(usize, Delta, u32)>,
    room: Arc<Semaphore>,
    taken: Vec<(usize, Delta, u32)>,
    held: usize,
}

impl DeltaReceiver {
    /// Appends the next deltas to `batch`, in the order they were pushed, each with the number of its reflector, which is
    /// 0 if there is one; waits for at least one.
    ///
    /// The bytes of a batch count at least until the next call, so that what the store has not applied yet stays bounded too.
    /// Returns false when the sender is gone and nothing is left. Cancel safe.
    pub async fn next_batch(&mut self, batch: &mut Vec<(usize, Delta)>) -> bool {
        if self.held >= LUMP || self.is_empty() {
            self.room.add_permits(std::mem::take(&mut self.held));
        }
        if self.waiting.recv_many(&mut self.taken, MAX_BATCH).await == 0 {
            return false;
        }
        for (part, delta, size) in self.taken.drain(..) {
            self.held += size as usize;
            batch.push((part, delta));
        }
        true
    }

    /// Says whether the next batch has to be waited for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Drop for DeltaReceiver {
    fn drop(&mut self) {
        // Wakes a push that waits for room.
        self.room.close();
    }
}

/// What a delta counts for; no more than the whole room, or it would wait for ever.
fn weigh(delta: &Delta) -> u32 {
    let size = match delta {
        Delta::Listed(object) | Delta::Applied(object) | Delta::Deleted(object) => object.size(),
        Delta::ListStarted | Delta::Replaced(_) | Delta::Bookmark(_) => size_of::<Delta>(),
    };
    u32::try_from(size.min(MAX_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::resource::ResourceVersion;

    fn bookmark(version: usize) -> Delta {
        Delta::Bookmark(ResourceVersion::new(&version.to_string()))
    }

    fn object(name: &str, bytes: usize) -> Delta {
        let json = format!(r#"{{"metadata":{{"name":"{name}"}},"data":"{}"}}"#, "x".repeat(bytes));
        Delta::Applied(Arc::new(RawObject::parse(json.as_bytes()).unwrap()))
    }

    fn name((_, delta): &(usize, Delta)) -> String {
        match delta {
            Delta::Applied(object) => object.key().to_string(),
            Delta::Bookmark(version) => version.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn q1_deltas_come_in_the_order_they_were_pushed_whatever_their_keys() {
        let (sender, mut receiver) = channel();
        for delta in [object("a", 1), object("b", 1), object("a", 1), bookmark(4), object("b", 1)] {
            sender.push(delta).await.unwrap();
        }
        let mut batch = Vec::new();
        assert!(receiver.next_batch(&mut batch).await);
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), ["a", "b", "a", "4", "b"]);
    }

    #[tokio::test]
    async fn a_batch_is_bounded_and_the_rest_comes_next() {
        let (sender, mut receiver) = channel();
        for n in 0..MAX_BATCH + 3 {
            sender.push(bookmark(n)).await.unwrap();
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert!(receiver.next_batch(&mut first).await && receiver.next_batch(&mut second).await);
        assert_eq!((first.len(), second.len()), (MAX_BATCH, 3));
    }

    #[tokio::test]
    async fn the_count_is_bounded_and_pushing_waits() {
        let (sender, mut receiver) = channel();
        for n in 0..MAX_DELTAS {
            sender.push(bookmark(n)).await.unwrap();
        }
        assert!(sender.push(bookmark(MAX_DELTAS)).now_or_never().is_none(), "full");
        let mut batch = Vec::new();
        assert!(receiver.next_batch(&mut batch).await);
        assert!(sender.push(bookmark(MAX_DELTAS)).now_or_never().is_some());
        while batch.len() <= MAX_DELTAS {
            assert!(receiver.next_batch(&mut batch).await);
        }
        let pushed: Vec<String> = (0..=MAX_DELTAS).map(|n| n.to_string()).collect();
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), pushed, "a push that was dropped appended nothing");
    }

    #[tokio::test]
    async fn the_bytes_are_bounded_until_the_store_asks_for_more() {
        let (sender, mut receiver) = channel();
        let half = MAX_BYTES / 2 - 1024;
        sender.push(object("a", half)).await.unwrap();
        sender.push(object("b", half)).await.unwrap();
        assert!(sender.push(object("c", half)).now_or_never().is_none(), "full");
        let mut batch = Vec::new();
        assert!(receiver.next_batch(&mut batch).await);
        assert_eq!(batch.len(), 2);
        assert!(sender.push(object("c", half)).now_or_never().is_none(), "the store still holds the batch");
        assert!(receiver.next_batch(&mut batch).now_or_never().is_none());
        assert!(sender.push(object("c", half)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn room_is_given_back_in_lumps_and_all_of_it_before_a_wait() {
        let (sender, mut receiver) = channel();
        let size = LUMP / MAX_BATCH * 3 / 4;
        for n in 0..2 * MAX_BATCH + 1 {
            sender.push(object(&n.to_string(), size)).await.unwrap();
        }
        let full = receiver.room.available_permits();
        let mut batch = Vec::new();
        for freed in [false, false, true] {
            assert!(receiver.next_batch(&mut batch).await);
            assert_eq!(receiver.room.available_permits() > full, freed);
        }
        assert_eq!(batch.len(), 2 * MAX_BATCH + 1);
        assert!(receiver.next_batch(&mut batch).now_or_never().is_none());
        assert_eq!(receiver.room.available_permits(), MAX_BYTES);
    }

    /// Takes everything that is pushed, and returns it with the most bytes that were in the queue or in the store's hands.
    async fn drain(sender: DeltaSender, mut receiver: DeltaReceiver, mut deltas: Vec<Delta>) -> (Vec<String>, usize) {
        let room = Arc::clone(&receiver.room);
        let (mut names, mut most) = (Vec::new(), 0);
        let push = async move { sender.push_all(&mut deltas).await };
        let take = async {
            let mut batch = Vec::new();
            while receiver.next_batch(&mut batch).await {
                most = most.max(MAX_BYTES - room.available_permits());
                names.extend(batch.drain(..).map(|delta| name(&delta)));
            }
        };
        assert_eq!(tokio::join!(push, take).0, Ok(()));
        (names, most)
    }

    #[tokio::test]
    async fn q1_many_deltas_at_once_come_in_order_within_the_bounds_whatever_their_sizes() {
        let sizes = [1, MAX_BYTES + 1, LUMP, 10, MAX_BYTES, 2, LUMP / 2, LUMP / 2, LUMP / 3, 3 * LUMP, 5];
        let sizes = || sizes.iter().cycle().take(3 * MAX_BATCH);
        let (sender, receiver) = channel();
        let deltas = sizes().enumerate().map(|(n, &size)| object(&n.to_string(), size)).collect();
        let (names, most) = drain(sender, receiver, deltas).await;
        assert_eq!(names, (0..3 * MAX_BATCH).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(most > MAX_BYTES / 2 && most <= MAX_BYTES, "{most}");
    }

    #[tokio::test]
    async fn the_count_of_many_deltas_at_once_is_bounded() {
        let (sender, receiver) = channel();
        let mut deltas: Vec<Delta> = (0..MAX_DELTAS + 1).map(bookmark).collect();
        // So many slices would use up the task's budget first.
        let push = tokio::task::unconstrained(sender.push_all(&mut deltas));
        assert!(push.now_or_never().is_none(), "full");
        assert_eq!(receiver.waiting.len(), MAX_DELTAS);
    }

    #[tokio::test]
    async fn q9_many_deltas_at_once_wait_for_room_until_the_store_is_gone() {
        let (sender, receiver) = channel();
        let mut deltas: Vec<Delta> =
            (0..2 * MAX_BATCH).map(|n| object(&n.to_string(), MAX_BYTES / MAX_BATCH)).collect();
        assert!(sender.push_all(&mut deltas).now_or_never().is_none(), "full");
        let (waiting, room) = (receiver.waiting.len(), receiver.room.available_permits());
        assert!(waiting < MAX_BATCH && room < LUMP, "{waiting} {room}");
        let mut deltas = vec![object("a", 1), object("b", 1)];
        let waiting = sender.push_all(&mut deltas);
        drop(receiver);
        assert_eq!(waiting.await, Err(Closed));
    }

    #[tokio::test]
    async fn many_deltas_at_once_are_transformed_and_keep_their_part() {
        let (sender, mut receiver) = channel();
        let renamed = Arc::new(RawObject::parse(br#"{"metadata":{"name":"renamed"}}"#).unwrap());
        let sender = sender.of_part(3).transforming(Arc::new(move |_| Arc::clone(&renamed)));
        sender.push_all(&mut vec![object("a", 1), bookmark(1), object("b", 1)]).await.unwrap();
        let mut batch = Vec::new();
        assert!(receiver.next_batch(&mut batch).await);
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), ["renamed", "1", "renamed"]);
        assert!(batch.iter().all(|(part, _)| *part == 3));
    }

    #[tokio::test]
    async fn an_object_larger_than_the_bound_passes_alone() {
        let (sender, mut receiver) = channel();
        let mut batch = Vec::new();
        sender.push(object("small", 1)).await.unwrap();
        let large = object("large", MAX_BYTES + 1);
        let push = sender.push(large);
        tokio::pin!(push);
        assert!(push.as_mut().now_or_never().is_none());
        assert!(receiver.next_batch(&mut batch).await);
        assert!(receiver.next_batch(&mut batch).now_or_never().is_none());
        push.await.unwrap();
        assert!(receiver.next_batch(&mut batch).await);
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), ["small", "large"]);
    }

    #[tokio::test]
    async fn q9_an_end_that_goes_away_wakes_the_other() {
        let (sender, mut receiver) = channel();
        sender.push(bookmark(1)).await.unwrap();
        drop(sender);
        let mut batch = Vec::new();
        assert!(receiver.next_batch(&mut batch).await, "what was pushed is not lost");
        assert!(!receiver.next_batch(&mut batch).await);

        let (sender, receiver) = channel();
        sender.push(object("a", MAX_BYTES)).await.unwrap();
        let waiting = sender.push(object("b", MAX_BYTES));
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(receiver);
        assert_eq!(waiting.await, Err(Closed));
    }
}
