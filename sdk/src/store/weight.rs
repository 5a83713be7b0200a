//! What decoded objects take, from samples of each type that a store is read as.
use std::any::{Any, TypeId};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

mod watch;

pub(super) use watch::Weighed;
use watch::allocation;

/// At most one of so many objects is weighed once many were: that costs a thousandth of the decoding.
const SELDOM: u32 = 1024;

/// How many of the last samples count.
const SAMPLES: f64 = 128.0;

/// What a byte of JSON takes is told in so many parts of a byte.
const PARTS: f64 = 256.0;

/// What the types take that a store is read as.
#[derive(Default)]
pub(super) struct Weights(Mutex<Vec<(TypeId, Arc<Weight>)>>);

/// What objects of one type take: so much for every object and so much for each byte of its JSON, drawn as a line through
/// samples. Objects of a type differ mostly in length, but a long text takes less than many short ones.
#[derive(Default)]
pub(super) struct Weight {
    /// How many were asked for.
    asked: AtomicU32,
    each: AtomicU32,
    byte: AtomicU32,
    samples: Mutex<Samples>,
}

/// Sums over samples of what least squares need: `x` bytes of JSON take `y`.
#[derive(Default)]
struct Samples {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Weights {
    /// Returns what is known of a type, shared by all who read the store as that.
    pub(super) fn of<T: Any>(&self) -> Arc<Weight> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, weight)) = known.iter().find(|(id, _)| *id == TypeId::of::<T>()) {
            return Arc::clone(weight);
        }
        let weight = Arc::<Weight>::default();
        known.push((TypeId::of::<T>(), Arc::clone(&weight)));
        weight
    }
}

impl Weight {
    /// Returns about how many bytes a `T` takes that was decoded of so many bytes of JSON. Now and then `weigh` is called,
    /// which returns what it takes outside of itself.
    pub(super) fn estimate<T>(&self, json: usize, weigh: impl FnOnce() -> usize) -> usize {
        let asked = self.asked.fetch_add(1, Relaxed);
        // The first sixteen, then about eight while their number doubles: the first may be unlike the others.
        if asked.is_multiple_of((asked / 8).next_power_of_two().min(SELDOM)) {
            let heap = weigh();
            let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            samples.add(json as f64, heap as f64);
            let (each, byte) = samples.line();
            self.each.store(each as u32, Relaxed);
            self.byte.store((byte * PARTS) as u32, Relaxed);
        }
        let heap = self.each.load(Relaxed) as f64 + json as f64 * f64::from(self.byte.load(Relaxed)) / PARTS;
        // Two counters stand before it in its `Arc`.
        allocation(size_of::<T>() + 2 * size_of::<usize>()) + heap as usize
    }
}

impl Samples {
    fn add(&mut self, x: f64, y: f64) {
        let Self { count, x: xs, y: ys, xx, xy } = self;
        if *count >= SAMPLES {
            [&mut *count, xs, ys, xx, xy].into_iter().for_each(|sum| *sum /= 2.0);
        }
        for (sum, more) in [(count, 1.0), (xs, x), (ys, y), (xx, x * x), (xy, x * y)] {
            *sum += more;
        }
    }

    /// Returns what every object takes and what each byte takes. Neither is less than nothing.
    fn line(&self) -> (f64, f64) {
        let Self { count, x, y, xx, xy } = *self;
        let spread = count * xx - x * x;
        // Samples of one length tell of no line.
        let slope = if spread > f64::EPSILON * x * x * count { (count * xy - x * y) / spread } else { y / x.max(1.0) };
        let each = (y - slope * x) / count;
        if slope < 0.0 {
            (y / count, 0.0)
        } else if each < 0.0 {
            (0.0, y / x.max(1.0))
        } else {
            (each, slope)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_short_object_is_told_from_a_long_one_and_what_changes_is_learned() {
        let weight = Weight::default();
        let inline = allocation(size_of::<u64>() + 16);
        let check = |json: usize, expected: usize| {
            let told = weight.estimate::<u64>(json, || unreachable!("weighed"));
            assert!(told.abs_diff(expected + inline) <= expected / 50, "{told} for {json}, not {expected}");
        };
        (0..16).for_each(|number| _ = weight.estimate::<u64>(100 * number, || 700 + 300 * number));
        // The seventeenth is weighed as well, the next is not.
        weight.estimate::<u64>(5_000, || 15_700);
        check(200, 1_300);
        let more = |number: usize| 5_000 + 4 * 100 * (number % 17);
        (0..400_001).for_each(|number| _ = weight.estimate::<u64>(100 * (number % 17), || more(number)));
        check(1_000, 9_000);
    }

    #[test]
    fn few_are_weighed_of_many() {
        let (weight, weighed) = (Weight::default(), Cell::new(0));
        let ask = |count: usize| {
            weighed.set(0);
            (0..count).for_each(|_| _ = weight.estimate::<u64>(100, || weighed.replace(weighed.get() + 1)));
            weighed.get()
        };
        assert_eq!(ask(10), 10);
        assert!((20..50).contains(&ask(190)), "{}", weighed.get());
        ask(20_000);
        assert!((97..=99).contains(&ask(100_000)), "{}", weighed.get());
    }

    #[test]
    fn samples_that_tell_no_line_tell_a_mean() {
        let told = |samples: &[(f64, f64)]| {
            let mut sums = Samples::default();
            samples.iter().for_each(|&(x, y)| sums.add(x, y));
            let (each, byte) = sums.line();
            (each.round(), byte.round())
        };
        assert_eq!(told(&[(100.0, 300.0), (100.0, 500.0)]), (0.0, 4.0), "all of one length");
        assert_eq!(told(&[(100.0, 500.0), (200.0, 300.0)]), (400.0, 0.0), "less for more");
        assert_eq!(told(&[(100.0, 10.0), (200.0, 1_190.0)]), (0.0, 4.0), "nothing for a few");
        assert_eq!(told(&[(0.0, 0.0)]), (0.0, 0.0));
    }
}
