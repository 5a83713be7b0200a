//! From an event to the start of its reconcile: events are asked for one by one, and told apart by the versions they make.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::Result;

/// How long after the last event it is waited for its reconcile.
const PATIENCE: Duration = Duration::from_secs(5);

/// When each event was asked for, and when the reconcile that saw it began.
#[derive(Debug)]
pub struct Latencies {
    /// The version before the first event; each event makes the next one.
    version: AtomicU64,
    epoch: Instant,
    /// In nanoseconds since the epoch; zero is never.
    asked: Vec<AtomicU64>,
    begun: Vec<AtomicU64>,
}

impl Latencies {
    /// Makes room for so many events.
    pub fn new(events: usize) -> Self {
        let never = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Self { version: AtomicU64::new(u64::MAX), epoch: Instant::now(), asked: never(), begun: never() }
    }

    /// Notes that a reconcile begins that sees this version of its object.
    pub fn begins(&self, version: Option<&str>) {
        let Some(version) = version.and_then(|version| version.parse::<u64>().ok()) else { return };
        // An event makes the version after those before it.
        let event = version.wrapping_sub(self.version.load(Relaxed)).wrapping_sub(1);
        if let Some(begun) = usize::try_from(event).ok().and_then(|event| self.begun.get(event)) {
            let _ = begun.compare_exchange(0, self.now(), Relaxed, Relaxed);
        }
    }

    /// Asks for every event by `trigger`, so many a second, and waits for the last reconciles. The state before is at
    /// `version`.
    ///
    /// # Errors
    /// When the server does not know the request.
    pub async fn measure(
        &self,
        version: u64,
        per_second: u32,
        trigger: impl AsyncFn() -> Result<()>,
    ) -> Result<Summary> {
        self.version.store(version, Relaxed);
        let started = Instant::now();
        let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
        // What could not be asked for in time is made up for: the rate is that of the mean.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for asked in &self.asked {
            ticks.tick().await;
            asked.store(self.now(), Relaxed);
            trigger().await?;
        }
        let rate = self.asked.len() as f64 / started.elapsed().as_secs_f64();
        let last = async {
            while self.begun.last().is_some_and(|begun| begun.load(Relaxed) == 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // One that was merged with a later event of its object has no reconcile of its own.
        let _ = timeout(PATIENCE, last).await;
        let pairs = self.asked.iter().zip(&self.begun).map(|(asked, begun)| (asked.load(Relaxed), begun.load(Relaxed)));
        let took = pairs.filter(|(_, begun)| *begun != 0).map(|(asked, begun)| begun.saturating_sub(asked)).collect();
        Ok(Summary::of(took, rate))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What many latencies come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one, in seconds.
    pub p50: f64,
    /// The one that one in a hundred exceeds, in seconds.
    pub p99: f64,
    /// How many were seen.
    pub count: usize,
    /// How many were asked for in a second.
    pub rate: f64,
}

impl Summary {
    fn of(mut nanoseconds: Vec<u64>, rate: f64) -> Self {
        nanoseconds.sort_unstable();
        let count = nanoseconds.len();
        let at = |part: usize| nanoseconds.get((count * part / 100).min(count.saturating_sub(1)));
        let seconds = |part| at(part).map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1e9);
        Self { p50: seconds(50), p99: seconds(99), count, rate }
    }
}

#[test]
fn percentiles_are_those_of_the_sorted_latencies() {
    let summary = Summary::of((1..=200).rev().map(|value| value * 1_000_000_000).collect(), 1.0);
    assert_eq!((summary.p50, summary.p99, summary.count), (101.0, 199.0, 200));
    assert!(Summary::of(Vec::new(), 1.0).p99.is_nan());
}

#[test]
fn events_are_told_apart_by_their_versions() {
    let latencies = Latencies::new(2);
    latencies.begins(Some("101"));
    latencies.version.store(100, Relaxed);
    for version in [Some("100"), Some("102"), Some("103"), Some("x"), None] {
        latencies.begins(version);
    }
    let begun: Vec<bool> = latencies.begun.iter().map(|begun| begun.load(Relaxed) != 0).collect();
    assert_eq!(begun, [false, true]);
}
