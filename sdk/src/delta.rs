//! The queue of deltas between a reflector and its store: ordered, bounded, with back-pressure.
use tokio::sync::mpsc;

use crate::reflector::Delta;

/// Makes a queue.
pub(crate) fn channel() -> (DeltaSender, DeltaReceiver) {
    let (sender, receiver) = mpsc::channel(1024);
    (DeltaSender(sender), DeltaReceiver(receiver))
}

/// The end of the reflector.
#[derive(Debug)]
pub(crate) struct DeltaSender(mpsc::Sender<Delta>);

impl DeltaSender {
    /// Appends, waiting for room.
    pub(crate) async fn push(&self, delta: Delta) -> Result<(), Closed> {
        self.0.send(delta).await.map_err(|_| Closed)
    }
}

/// The end of the store.
#[derive(Debug)]
pub(crate) struct DeltaReceiver(mpsc::Receiver<Delta>);

impl DeltaReceiver {
    /// Waits for deltas; false when the sender is gone.
    pub(crate) async fn next_batch(&mut self, batch: &mut Vec<Delta>) -> bool {
        self.0.recv_many(batch, 1024).await > 0
    }
}

/// The other end of the queue is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of this reflector has stopped")]
pub(crate) struct Closed;
