//! Histograms, and Prometheus' text form of whatever is counted. Values only: nothing global, nothing that decides.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Media type of [`Snapshot::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A family of series: what Prometheus knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, which the tables of a user's dashboards and alerts know.
    pub name: &'static str,
    /// What it tells, in one line.
    pub help: &'static str,
}

/// Counts durations by upper bounds, as a Prometheus histogram does.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One for each bound, and one for what exceeds them all; not cumulative.
    counts: Box<[u64]>,
    sum: Duration,
}

impl Histogram {
    /// Makes an empty histogram whose buckets end at `bounds`, which grow.
    pub fn new(bounds: &'static [Duration]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into(), sum: Duration::ZERO }
    }

    /// Counts one duration.
    pub fn observe(&mut self, duration: Duration) {
        self.counts[self.bucket(duration)] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    fn bucket(&self, duration: Duration) -> usize {
        // From the shortest on, as most of what is measured is short.
        self.bounds.iter().position(|bound| duration <= *bound).unwrap_or(self.bounds.len())
    }

    /// Takes back a duration that was counted.
    pub(crate) fn retract(&mut self, duration: Duration) {
        self.counts[self.bucket(duration)] -= 1;
        self.sum = self.sum.saturating_sub(duration);
    }

    /// Counts what another histogram of the same bounds has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.bounds, other.bounds);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns how many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns all of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// What everything that counts showed at one moment, by family.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Clone, Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    series: String,
}

impl Snapshot {
    /// Adds a series of a family that only grows.
    pub fn counter(&mut self, metric: Metric, labels: &[(&str, &str)], value: u64) {
        let family = self.family(metric, "counter");
        line(family, metric.name, labels, None, value);
    }

    /// Adds a series of a family that grows and shrinks.
    pub fn gauge(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        let family = self.family(metric, "gauge");
        line(family, metric.name, labels, None, value);
    }

    /// Adds a series of a family of durations, in seconds.
    pub fn histogram(&mut self, metric: Metric, labels: &[(&str, &str)], value: &Histogram) {
        let family = self.family(metric, "histogram");
        let (bucket, mut cumulative) = (format!("{}_bucket", metric.name), 0);
        for (index, count) in value.counts.iter().enumerate() {
            cumulative += count;
            let bound = value.bounds.get(index).map_or("+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
            line(family, &bucket, labels, Some(&bound), cumulative);
        }
        line(family, &format!("{}_sum", metric.name), labels, None, value.sum.as_secs_f64());
        line(family, &format!("{}_count", metric.name), labels, None, cumulative);
    }

    /// Writes the text form, version 0.0.4: families in the order of their names, series in the order they came.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, series }) in &self.families {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{series}");
        }
        text
    }

    fn family(&mut self, metric: Metric, kind: &'static str) -> &mut String {
        let family = Family { help: metric.help, kind, series: String::new() };
        &mut self.families.entry(metric.name).or_insert(family).series
    }
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl std::fmt::Display) {
    text.push_str(name);
    let mut separator = '{';
    for (label, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
        text.push(separator);
        let _ = write!(text, "{label}=\"{}\"", escaped(value));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// A label's value in quotes: three characters need a backslash.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        const BOUNDS: &[Duration] = &[MS, Duration::from_millis(10)];
        let mut histogram = Histogram::new(BOUNDS);
        for (duration, counts) in
            [(Duration::ZERO, [1, 0, 0]), (MS, [2, 0, 0]), (MS * 2, [2, 1, 0]), (Duration::MAX, [2, 1, 1])]
        {
            histogram.observe(duration);
            assert_eq!(*histogram.counts, counts, "{duration:?}");
        }
        assert_eq!(
            (histogram.count(), histogram.sum()),
            (4, Duration::MAX),
            "a sum beyond what can be told stays there"
        );
    }

    #[test]
    fn text_holds_each_family_once_and_escapes_labels() {
        const BOUNDS: &[Duration] = &[Duration::from_nanos(10), Duration::from_secs(1)];
        let metric = |name, help| Metric { name, help };
        let mut histogram = Histogram::new(BOUNDS);
        histogram.observe(MS);
        let mut snapshot = Snapshot::default();
        snapshot.gauge(metric("b", "Second."), &[], 0.5);
        snapshot.counter(metric("a", "First."), &[("name", "x\"\\\n"), ("to", "y")], 7);
        snapshot.histogram(metric("c", "Third."), &[("name", "x")], &histogram);
        snapshot.counter(metric("a", "First."), &[("name", "z")], 8);
        let expected = "\
# HELP a First.
# TYPE a counter
a{name=\"x\\\"\\\\\\n\",to=\"y\"} 7
a{name=\"z\"} 8
# HELP b Second.
# TYPE b gauge
b 0.5
# HELP c Third.
# TYPE c histogram
c_bucket{name=\"x\",le=\"0.00000001\"} 0
c_bucket{name=\"x\",le=\"1\"} 1
c_bucket{name=\"x\",le=\"+Inf\"} 1
c_sum{name=\"x\"} 0.001
c_count{name=\"x\"} 1
";
        assert_eq!(snapshot.text(), expected);
    }
}
