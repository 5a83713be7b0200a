//! Rate limiters: how long a key waits before it is tried again. Pure: the time is an argument, nothing is random.
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

/// First delay of a failing key: client-go's default for controllers.
pub const BASE_DELAY: Duration = Duration::from_millis(5);

/// Longest delay of a failing key: client-go's default for controllers.
pub const MAX_DELAY: Duration = Duration::from_secs(1000);

/// Decides how long an item waits before it is tried again, as client-go's interface of the same name.
pub trait RateLimiter<T>: Send {
    /// Counts a failure of `item` and returns how long it has to wait from `now`.
    fn when(&mut self, item: &T, now: Instant) -> Duration;

    /// Forgets the failures of `item`: it succeeded, or nobody will try it again.
    fn forget(&mut self, item: &T);

    /// Returns how often `item` failed since it was last forgotten.
    fn num_requeues(&self, item: &T) -> u32;
}

impl<T, L: RateLimiter<T> + ?Sized> RateLimiter<T> for Box<L> {
    fn when(&mut self, item: &T, now: Instant) -> Duration {
        (**self).when(item, now)
    }

    fn forget(&mut self, item: &T) {
        (**self).forget(item);
    }

    fn num_requeues(&self, item: &T) -> u32 {
        (**self).num_requeues(item)
    }
}

/// Doubles the delay with each failure of the same item, up to a cap. Remembers one counter for each failing item.
pub struct ItemExponential<T> {
    failures: Failures<T>,
    base: Duration,
    cap: Duration,
}

impl<T> ItemExponential<T> {
    /// Starts at `base` and never exceeds `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { failures: Failures::default(), base, cap }
    }
}

impl<T> Default for ItemExponential<T> {
    /// From [`BASE_DELAY`] to [`MAX_DELAY`].
    fn default() -> Self {
        Self::new(BASE_DELAY, MAX_DELAY)
    }
}

impl<T: Clone + Eq + Hash + Send> RateLimiter<T> for ItemExponential<T> {
    fn when(&mut self, item: &T, _: Instant) -> Duration {
        let earlier = self.failures.count(item);
        let factor = 2_u32.checked_pow(earlier).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).map_or(self.cap, |delay| delay.min(self.cap))
    }

    fn forget(&mut self, item: &T) {
        self.failures.forget(item);
    }

    fn num_requeues(&self, item: &T) -> u32 {
        self.failures.get(item)
    }
}

/// Waits a short time for the first failures of an item and a long time for every later one.
pub struct ItemFastSlow<T> {
    failures: Failures<T>,
    fast: Duration,
    slow: Duration,
    fast_attempts: u32,
}

impl<T> ItemFastSlow<T> {
    /// Returns `fast` for the first `fast_attempts` failures of an item, then `slow`.
    pub fn new(fast: Duration, slow: Duration, fast_attempts: u32) -> Self {
        Self { failures: Failures::default(), fast, slow, fast_attempts }
    }
}

impl<T: Clone + Eq + Hash + Send> RateLimiter<T> for ItemFastSlow<T> {
    fn when(&mut self, item: &T, _: Instant) -> Duration {
        if self.failures.count(item) < self.fast_attempts { self.fast } else { self.slow }
    }

    fn forget(&mut self, item: &T) {
        self.failures.forget(item);
    }

    fn num_requeues(&self, item: &T) -> u32 {
        self.failures.get(item)
    }
}

/// A token bucket over all items together: reservations queue up behind one another, none is refused.
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// When the bucket is full again if nothing more is taken; `None` while it never was used.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Hands out `burst` tokens at once, and one more each `interval`.
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, full_at: None }
    }
}

impl Default for Bucket {
    /// Ten each second after a hundred at once, as in client-go's default for controllers.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), 100)
    }
}

impl<T> RateLimiter<T> for Bucket {
    fn when(&mut self, _: &T, now: Instant) -> Duration {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        // An interval that no instant can express is a wait for ever: the last time that can be told stands for it.
        let full_at = full_at.checked_add(self.interval).unwrap_or(full_at);
        self.full_at = Some(full_at);
        let capacity = self.interval.checked_mul(self.burst).unwrap_or(Duration::MAX);
        full_at.duration_since(now).saturating_sub(capacity)
    }

    fn forget(&mut self, _: &T) {}

    fn num_requeues(&self, _: &T) -> u32 {
        0
    }
}

/// Asks several limiters and takes the longest delay.
pub struct MaxOf<T> {
    limiters: Vec<Box<dyn RateLimiter<T>>>,
}

impl<T> MaxOf<T> {
    /// Combines `limiters`; none at all means no delay.
    pub fn new(limiters: Vec<Box<dyn RateLimiter<T>>>) -> Self {
        Self { limiters }
    }
}

impl<T> RateLimiter<T> for MaxOf<T> {
    fn when(&mut self, item: &T, now: Instant) -> Duration {
        // Every limiter is asked, as each counts.
        self.limiters.iter_mut().map(|limiter| limiter.when(item, now)).max().unwrap_or_default()
    }

    fn forget(&mut self, item: &T) {
        for limiter in &mut self.limiters {
            limiter.forget(item);
        }
    }

    fn num_requeues(&self, item: &T) -> u32 {
        self.limiters.iter().map(|limiter| limiter.num_requeues(item)).max().unwrap_or_default()
    }
}

impl<T: Clone + Eq + Hash + Send + 'static> Default for MaxOf<T> {
    /// client-go's `DefaultTypedControllerRateLimiter`: [`ItemExponential`] for each item and [`Bucket`] for all, each with
    /// its default. controller-runtime left the bucket out when its queue got priorities, and so do our controllers: it
    /// makes one bad kind of failure delay every other.
    fn default() -> Self {
        Self::new(vec![Box::new(ItemExponential::default()), Box::new(Bucket::default())])
    }
}

/// Cuts what another limiter says: nothing waits longer than `max`. client-go's `WithMaxWaitRateLimiter`.
#[derive(Debug)]
pub struct WithMaxWait<L> {
    limiter: L,
    max: Duration,
}

impl<L> WithMaxWait<L> {
    /// Asks `limiter`, which counts as ever, and returns no more than `max`.
    pub fn new(limiter: L, max: Duration) -> Self {
        Self { limiter, max }
    }
}

impl<T, L: RateLimiter<T>> RateLimiter<T> for WithMaxWait<L> {
    fn when(&mut self, item: &T, now: Instant) -> Duration {
        self.limiter.when(item, now).min(self.max)
    }

    fn forget(&mut self, item: &T) {
        self.limiter.forget(item);
    }

    fn num_requeues(&self, item: &T) -> u32 {
        self.limiter.num_requeues(item)
    }
}

/// Failures in a row of each item.
struct Failures<T>(HashMap<T, u32>);

impl<T> Default for Failures<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Failures<T> {
    /// Counts one more and returns how many there were before.
    fn count(&mut self, item: &T) -> u32 {
        match self.0.get_mut(item) {
            Some(count) => {
                let before = *count;
                *count = count.saturating_add(1);
                before
            }
            None => {
                self.0.insert(item.clone(), 1);
                0
            }
        }
    }

    fn forget(&mut self, item: &T) {
        // Asked for after each success, and mostly nothing fails: then not even the item is hashed.
        if !self.0.is_empty() {
            self.0.remove(item);
        }
    }

    fn get(&self, item: &T) -> u32 {
        self.0.get(item).copied().unwrap_or_default()
    }
}

impl<T> fmt::Debug for ItemExponential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemExponential").field("base", &self.base).field("cap", &self.cap).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ItemFastSlow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemFastSlow").field("fast", &self.fast).field("slow", &self.slow).finish_non_exhaustive()
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("interval", &self.interval).field("burst", &self.burst).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MaxOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaxOf").field("limiters", &self.limiters.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        crate::clock::now().into_std()
    }

    #[test]
    fn w7_exponential_delay_doubles_is_capped_and_never_overflows() {
        let now = start();
        let mut limiter = ItemExponential::new(MS, 1000 * MS);
        let delays: Vec<_> = (0..12).map(|_| limiter.when(&"one", now).as_millis()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
        assert_eq!(limiter.when(&"two", now), MS, "items count apart");
        for _ in 0..2000 {
            limiter.when(&"one", now);
        }
        assert_eq!(limiter.when(&"one", now), 1000 * MS);
        let mut large = ItemExponential::new(Duration::from_secs(u64::MAX / 2), Duration::MAX);
        for _ in 0..100 {
            large.when(&"one", now);
        }
        assert_eq!(large.when(&"one", now), Duration::MAX);
    }

    #[test]
    fn the_default_is_that_of_client_go_controllers() {
        let now = start();
        let mut limiter = ItemExponential::default();
        let delays: Vec<_> = (0..20).map(|_| limiter.when(&(), now)).collect();
        assert_eq!((delays[0], delays[1], delays[17]), (5 * MS, 10 * MS, 655_360 * MS));
        assert_eq!((delays[18], delays[19]), (MAX_DELAY, MAX_DELAY));
    }

    #[test]
    fn w8_max_of_takes_the_longest_delay_and_every_limiter_forgets() {
        let now = start();
        let mut limiter = MaxOf::new(vec![
            Box::new(ItemFastSlow::new(5 * MS, 3000 * MS, 3)),
            Box::new(ItemExponential::new(MS, 1000 * MS)),
        ]);
        let delays: Vec<_> = (0..5).map(|_| limiter.when(&"one", now).as_millis()).collect();
        assert_eq!(delays, [5, 5, 5, 3000, 3000]);
        assert_eq!(limiter.num_requeues(&"one"), 5);
        limiter.forget(&"one");
        assert_eq!(limiter.num_requeues(&"one"), 0);
        assert_eq!(limiter.when(&"one", now), 5 * MS, "the exponential part would be at 32 ms");
    }

    #[test]
    fn w9_fast_slow_switches_after_its_fast_attempts() {
        let now = start();
        let mut limiter = ItemFastSlow::new(5 * MS, 10_000 * MS, 3);
        let delays: Vec<_> = (0..5).map(|_| limiter.when(&"one", now).as_millis()).collect();
        assert_eq!(delays, [5, 5, 5, 10_000, 10_000]);
        assert_eq!(limiter.when(&"two", now), 5 * MS);
        limiter.forget(&"one");
        assert_eq!(limiter.when(&"one", now), 5 * MS);
    }

    #[test]
    fn w8_with_max_wait_cuts_the_delay_and_lets_the_limiter_count() {
        let now = start();
        let mut limiter = WithMaxWait::new(ItemExponential::new(MS, 1000 * MS), 5 * MS);
        let delays: Vec<_> = (0..5).map(|_| limiter.when(&"one", now).as_millis()).collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
        assert_eq!(limiter.num_requeues(&"one"), 5);
        limiter.forget(&"one");
        assert_eq!((limiter.num_requeues(&"one"), limiter.when(&"one", now)), (0, MS));
    }

    #[test]
    fn w8_client_gos_default_for_controllers_is_exponential_for_each_and_a_bucket_for_all() {
        let now = start();
        let mut limiter = MaxOf::default();
        let first: Vec<_> = (0..100).map(|item| limiter.when(&item, now)).collect();
        assert!(first.iter().all(|delay| *delay == 5 * MS), "the burst");
        assert_eq!([limiter.when(&100, now), limiter.when(&101, now)], [100 * MS, 200 * MS]);
        let later = now + Duration::from_secs(60);
        let delays: Vec<_> = (0..8).map(|_| limiter.when(&0, later).as_millis()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 640, 1280]);
    }

    #[test]
    fn bucket_hands_out_its_burst_then_one_for_each_interval_and_refills() {
        let now = start();
        let mut bucket = Bucket::new(100 * MS, 3);
        let mut when = |at: Duration| RateLimiter::<()>::when(&mut bucket, &(), now + at).as_millis();
        assert_eq!([when(Duration::ZERO), when(Duration::ZERO), when(Duration::ZERO)], [0, 0, 0]);
        assert_eq!([when(Duration::ZERO), when(Duration::ZERO)], [100, 200]);
        assert_eq!(when(50 * MS), 250);
        assert_eq!([when(9000 * MS), when(9000 * MS), when(9000 * MS), when(9000 * MS)], [0, 0, 0, 100]);
        let mut endless = Bucket::new(Duration::MAX, u32::MAX);
        assert_eq!(RateLimiter::<()>::when(&mut endless, &(), now), Duration::ZERO);
    }
}
