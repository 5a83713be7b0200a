//! The keys in one worker's hands: one, or several where reconciles are so short that a look at the queue costs more.
use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::queue::{Delivery, Ended, Share, WorkQueue};
use crate::resource::ObjectKey;

/// How many keys a worker takes at once at most: what a look at the queue costs is small beside sixteen reconciles of a
/// microsecond, which are what a key waits longer for at most that is more urgent than these.
pub(super) const MAX_TAKEN: usize = 16;

/// For how long a worker goes on with the keys that it took together. The rest goes back then, as it does when a reconcile
/// waits for anything: nobody's key waits in the hands of a worker that is busy.
pub(super) const HELD_FOR: Duration = Duration::from_micros(100);

/// What one worker holds of a queue. Dropping it ends the work on all of it.
pub(super) struct Hand<'a> {
    queue: &'a WorkQueue<ObjectKey>,
    workers: usize,
    /// Taken, and not begun.
    taken: VecDeque<Delivery<ObjectKey>>,
    /// Begun.
    current: Option<(Delivery<ObjectKey>, Instant)>,
    /// Ended, which the queue has not been told.
    ended: Vec<Ended<ObjectKey>>,
    /// How many to take next.
    most: usize,
    /// When what is taken was taken.
    since: Option<Instant>,
}

impl<'a> Hand<'a> {
    /// Makes the hand of one of so many workers.
    pub(super) fn new(queue: &'a WorkQueue<ObjectKey>, workers: usize) -> Self {
        let (taken, ended) = (VecDeque::new(), Vec::new());
        Self { queue, workers, taken, current: None, ended, most: 1, since: None }
    }

    /// Returns the next key and when its work begins; `None` once the queue is shut down and empty.
    ///
    /// `last` is when the work before it ended, where there was any.
    pub(super) async fn next(&mut self, last: Option<Instant>) -> Option<(Delivery<ObjectKey>, Instant)> {
        if let Some(last) = last {
            let is_quick = self.since.is_some_and(|since| last - since <= HELD_FOR);
            if !is_quick && !self.taken.is_empty() {
                self.let_go();
            }
            if self.taken.is_empty() {
                self.most = if is_quick { (2 * self.most).min(MAX_TAKEN) } else { 1 };
                let share = Share { keys: self.most, workers: self.workers };
                self.queue.exchange(&mut self.ended, last.into_std(), share, &mut self.taken);
                self.since = Some(last);
            }
        }
        let (delivery, begun) = match (self.taken.pop_front(), last) {
            (Some(delivery), Some(last)) => (delivery, last),
            (taken, _) => {
                let delivery = match taken {
                    Some(delivery) => delivery,
                    None => self.queue.deliver().await?,
                };
                let now = clock::now();
                (self.most, self.since) = (1, Some(now));
                (delivery, now)
            }
        };
        self.current = Some((delivery.clone(), begun));
        Some((delivery, begun))
    }

    /// Gives back what was not begun: others may work on it now.
    pub(super) fn let_go(&mut self) {
        self.queue.put_back(&mut self.ended, &mut self.taken);
        self.since = None;
    }

    /// Says that the work on the present key ended. The queue is told with the next look at it.
    pub(super) fn end(&mut self, ended: Instant) {
        if let Some((delivery, begun)) = self.current.take() {
            self.ended.push(Ended { delivery, begun: begun.into_std(), ended: ended.into_std() });
        }
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let current = self.current.take().map(|(delivery, _)| delivery);
        let ended = self.ended.drain(..).map(|ended| ended.delivery);
        for delivery in current.into_iter().chain(self.taken.drain(..)).chain(ended) {
            self.queue.done(&delivery.item);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn queue(keys: usize) -> WorkQueue<ObjectKey> {
        let queue = WorkQueue::default();
        (0..keys).for_each(|key| queue.add(ObjectKey::cluster(&key.to_string())));
        queue
    }

    /// Works on the next key, which is this one, for so long.
    fn work(hand: &mut Hand<'_>, last: Option<Instant>, key: usize, time: Duration) -> Instant {
        let (delivery, begun) = hand.next(last).now_or_never().unwrap().unwrap();
        assert_eq!(delivery.item.name(), key.to_string());
        hand.end(begun + time);
        begun + time
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_of_quick_reconciles_takes_more_and_more_at_once_up_to_the_bound() {
        let queue = queue(100);
        let mut hand = Hand::new(&queue, 1);
        let (mut last, mut waiting) = (None, Vec::new());
        for key in 0..40 {
            last = Some(work(&mut hand, last, key, Duration::from_micros(1)));
            waiting.push(hand.taken.len());
        }
        let sizes: Vec<_> = waiting
            .iter()
            .enumerate()
            .filter(|(at, _)| *at == 0 || waiting[at - 1] == 0)
            .map(|(_, left)| left + 1)
            .collect();
        assert_eq!(sizes, [1, 2, 4, 8, 16, 16]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_did_not_come_to_in_time_goes_back_first() {
        let queue = queue(100);
        let mut hand = Hand::new(&queue, 1);
        let mut last = None;
        for key in 0..8 {
            last = Some(work(&mut hand, last, key, Duration::from_micros(1)));
        }
        assert_eq!((hand.taken.len(), queue.len()), (7, 85));
        last = Some(work(&mut hand, last, 8, HELD_FOR));
        // One at a time from here on, as long as they are slow.
        for key in 9..20 {
            last = Some(work(&mut hand, last, key, 2 * HELD_FOR));
            assert_eq!((hand.taken.len(), queue.len()), (0, 99 - key));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_takes_no_more_than_its_share() {
        let queue = queue(12);
        let mut hand = Hand::new(&queue, 4);
        let mut last = None;
        for (key, left) in [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0), (5, 0), (6, 0)] {
            last = Some(work(&mut hand, last, key, Duration::ZERO));
            assert_eq!(hand.taken.len(), left, "{key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_hand_holds_nothing() {
        let queue = queue(10);
        let mut hand = Hand::new(&queue, 1);
        let mut last = None;
        for key in 0..4 {
            last = Some(work(&mut hand, last, key, Duration::ZERO));
        }
        assert!(hand.next(last).now_or_never().is_some());
        assert!(!hand.taken.is_empty() && !hand.ended.is_empty());
        drop(hand);
        while queue.get().now_or_never().flatten().is_some_and(|key| {
            queue.done(&key);
            true
        }) {}
        queue.shut_down_with_drain().now_or_never().expect("nothing is held");
    }
}
