//! What one reflector tells of itself: to readiness, to `doctor`, and as metrics.
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::metrics::{Metric, Snapshot};
use crate::resource::ResourceVersion;

use super::{Encoding, Failure, Target};

/// What readiness, doctor and logs say about one reflector. Read through [`tokio::sync::watch`].
///
/// Receivers are woken when `synced` or `failure` changes; the other fields are current whenever they are read.
#[derive(Clone, Debug, Default)]
pub struct ReflectorStatus {
    /// Whether a whole list has been handed on at least once.
    pub synced: bool,
    /// The version of the last list, event or bookmark handed on.
    pub last_version: ResourceVersion,
    /// What is failing now; `None` once a list or watch works again.
    pub failure: Option<Arc<Failure>>,
    /// What the last answer was encoded in; `None` before the first, and of sources that do not say.
    pub encoding: Option<Encoding>,
    /// How many objects could not be used: of another kind, or without usable metadata.
    pub skipped: u64,
    /// What it did so far.
    pub counts: ReflectorCounts,
    /// When the last delta was handed on.
    pub(crate) heard: Option<Instant>,
    /// When the last whole list was handed on.
    pub(crate) listed: Option<Instant>,
}

/// How often a reflector did what, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReflectorCounts {
    /// Whole lists handed on, from LIST or from the initial events of a watch. All but the first are re-lists.
    pub lists: u64,
    /// Watches that the server accepted.
    pub watches: u64,
    /// Watches among them that ended within a second, which no server does on purpose.
    pub short_watches: u64,
    /// Objects that came as events of watches, initial ones included.
    pub events: u64,
    /// Requests that failed, and bodies that broke the protocol.
    pub failures: u64,
}

impl ReflectorCounts {
    /// Returns how many whole lists followed the first.
    pub fn relists(&self) -> u64 {
        self.lists.saturating_sub(1)
    }

    /// Returns how many watches followed the first.
    pub fn watch_restarts(&self) -> u64 {
        self.watches.saturating_sub(1)
    }
}

impl ReflectorStatus {
    /// Returns how long ago the server was last heard: an object, the end of a list, or a bookmark. `None` before the first.
    ///
    /// The store may be this far behind. The API server sends a bookmark about every minute, so a quiet kind stays below
    /// two minutes, unless the server is one without bookmarks.
    pub fn lag(&self) -> Option<Duration> {
        self.heard.map(since)
    }

    /// Returns how long ago the last whole list was handed on: since then the store lives by events. `None` before the
    /// first.
    pub fn list_age(&self) -> Option<Duration> {
        self.listed.map(since)
    }

    /// Adds this status to `snapshot`, labelled with `target` as logs and readiness name it.
    pub fn collect(&self, target: &Target, snapshot: &mut Snapshot) {
        self.record(&[("kind", &target.to_string())], snapshot);
    }

    /// Adds this status to `snapshot`, with these labels.
    pub(crate) fn record(&self, labels: &[(&str, &str)], snapshot: &mut Snapshot) {
        let ReflectorCounts { lists, watches, short_watches, events, failures } = self.counts;
        snapshot.counter(LISTS, labels, lists);
        snapshot.counter(WATCHES, labels, watches);
        snapshot.counter(SHORT_WATCHES, labels, short_watches);
        snapshot.counter(EVENTS, labels, events);
        snapshot.counter(FAILURES, labels, failures);
        snapshot.counter(SKIPPED, labels, self.skipped);
        snapshot.gauge(SYNCED, labels, f64::from(u8::from(self.synced)));
        snapshot.gauge(FAILING, labels, f64::from(u8::from(self.failure.is_some())));
        if let Some(encoding) = self.encoding {
            snapshot.gauge(PROTOBUF, labels, f64::from(u8::from(encoding == Encoding::Protobuf)));
        }
        if let (Some(lag), Some(age)) = (self.lag(), self.list_age()) {
            snapshot.gauge(LAG, labels, lag.as_secs_f64());
            snapshot.gauge(LIST_AGE, labels, age.as_secs_f64());
        }
    }
}

fn since(instant: Instant) -> Duration {
    clock::now().saturating_duration_since(instant)
}

const LISTS: Metric =
    Metric { name: "kubewright_reflector_lists_total", help: "Whole lists taken in, of LIST or of a watch." };

const WATCHES: Metric =
    Metric { name: "kubewright_reflector_watches_total", help: "Watches that the API server accepted." };

const SHORT_WATCHES: Metric =
    Metric { name: "kubewright_reflector_short_watches_total", help: "Watches that ended within a second." };

const EVENTS: Metric =
    Metric { name: "kubewright_reflector_events_total", help: "Objects that came as events of watches." };

const FAILURES: Metric = Metric {
    name: "kubewright_reflector_failures_total",
    help: "Lists and watches that failed, or broke the protocol.",
};

const SKIPPED: Metric = Metric {
    name: "kubewright_reflector_skipped_objects_total",
    help: "Objects of another kind, or without usable metadata.",
};

const SYNCED: Metric = Metric { name: "kubewright_reflector_synced", help: "1 once a whole list was taken in." };

const FAILING: Metric = Metric { name: "kubewright_reflector_failing", help: "1 while list or watch fails." };

const PROTOBUF: Metric =
    Metric { name: "kubewright_reflector_protobuf", help: "1 while answers come in protobuf, 0 while in JSON." };

const LAG: Metric = Metric {
    name: "kubewright_reflector_lag_seconds",
    help: "Since the API server was last heard: object, list or bookmark.",
};

const LIST_AGE: Metric = Metric { name: "kubewright_reflector_list_age_seconds", help: "Since the last whole list." };
