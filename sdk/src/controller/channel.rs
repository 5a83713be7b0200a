//! Keys from outside the cluster: a bounded channel into a controller.
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::resource::ObjectKey;

use super::inlet::Trigger;
use super::source::Source;

/// How many keys wait in a channel before whoever sends has to wait: controller-runtime's buffer. A controller that runs
/// empties it at once into its queue, where equal keys are one; it fills before the start only.
pub const CHANNEL_BOUND: usize = 1024;

impl Source {
    /// Makes a source of keys that something outside the cluster sends: a webhook, a message bus, another controller.
    ///
    /// Keys sent before the controller starts are kept, up to [`CHANNEL_BOUND`], and reconciled after it has started. They
    /// are of normal priority, and one that fails is held as any other. The source ends, and the controller goes on, once
    /// every sender is dropped. controller-runtime's `source.Channel` is the model; here a slow controller delays nobody
    /// else's channel.
    pub fn channel() -> (KeySender, Self) {
        let (sender, mut receiver) = mpsc::channel(CHANNEL_BOUND);
        let source = Self::driven(move |inlet| {
            Box::pin(async move {
                while let Some(key) = receiver.recv().await {
                    inlet.add(key, Trigger::Changed);
                }
            })
        });
        (KeySender { sender }, source)
    }
}

/// The sending end of [`Source::channel`]. Clones send to the same controller.
#[derive(Clone, Debug)]
pub struct KeySender {
    sender: mpsc::Sender<ObjectKey>,
}

impl KeySender {
    /// Sends a key; waits while the channel is full. Cancel safe: a send that is dropped has sent nothing.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the controller has ended, or its source was dropped.
    pub async fn send(&self, key: ObjectKey) -> Result<(), SendError> {
        self.sender.send(key).await.map_err(|_| SendError::Closed)
    }

    /// Sends a key without waiting.
    ///
    /// # Errors
    /// [`SendError::Full`] when it would have to wait; otherwise as [`KeySender::send`].
    pub fn try_send(&self, key: ObjectKey) -> Result<(), SendError> {
        self.sender.try_send(key).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Closed(_) => SendError::Closed,
        })
    }
}

/// Why a key was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// As many keys as the channel holds wait for the controller to start.
    #[error("the channel is full: {CHANNEL_BOUND} keys wait for its controller")]
    Full,
    /// Nobody receives any more.
    #[error("the controller of the channel has ended")]
    Closed,
}
