//! Objects that vary as real ones do, rendered once: what a dictionary makes of lookalikes proves nothing.
use std::ops::Range;

mod apps;

mod pods;

mod random;

mod widgets;

use random::Random;

/// The seed where none is given. Every run prints the one it used.
pub const SEED: u64 = 20_260_701;

/// The annotation in which an event carries when it was sent, in nanoseconds of the wall clock. It has always
/// [`SENT_DIGITS`] digits, so that a rendered object can be changed in place.
pub const SENT: &str = "bench.example.com/sent";

/// Nanoseconds of this century have nineteen digits.
pub const SENT_DIGITS: usize = 19;

/// Versions of rendered objects are below this one, at which the first list is.
pub const LIST_VERSION: u64 = 20_000_000;

/// What is served and cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// `v1` Pods.
    Pods,
    /// `bench.example.com/v1` Widgets.
    Widgets,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Pods, Self::Widgets];

    /// Returns its plural, as in URLs.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Widgets => "widgets",
        }
    }

    /// Returns its kind, as in manifests.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Pods => "Pod",
            Self::Widgets => "Widget",
        }
    }

    /// Returns its `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Pods => "v1",
            Self::Widgets => "bench.example.com/v1",
        }
    }

    /// Returns the path of all its objects.
    pub fn path(self) -> &'static str {
        match self {
            Self::Pods => "/api/v1/pods",
            Self::Widgets => "/apis/bench.example.com/v1/widgets",
        }
    }

    /// Renders so many objects in the order of their keys; the same for the same seed.
    pub fn render(self, count: usize, seed: u64) -> Vec<Rendered> {
        let mut random = Random::new(seed);
        let apps = apps::catalogue(&mut random);
        let mut drafts = match self {
            Self::Pods => pods::drafts(&apps, count, &mut random),
            Self::Widgets => widgets::drafts(&apps, count, &mut random),
        };
        drafts.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        drafts.into_iter().map(|draft| Rendered::new(draft.json, self)).collect()
    }
}

/// An object on its way into the order of keys.
struct Draft {
    /// `namespace/name`, in the bytes of which etcd keeps its order.
    key: String,
    json: String,
}

/// The JSON of one object as the API server would send it in an event, and the places in it that change.
#[derive(Debug)]
pub struct Rendered {
    json: Box<str>,
    version: Range<usize>,
    sent: Range<usize>,
    /// Where an item of a list begins, less the brace: built-in kinds go without kind and apiVersion there.
    item: usize,
}

impl Rendered {
    fn new(json: String, kind: ObjectKind) -> Self {
        let version = value_of(&json, "\"resourceVersion\":\"");
        let sent = value_of(&json, &format!("\"{SENT}\":\""));
        let item = match kind {
            ObjectKind::Pods => json.find("\"metadata\":").unwrap_or(1),
            ObjectKind::Widgets => 1,
        };
        Self { json: json.into(), version, sent, item }
    }

    /// Returns it as it is.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Appends it as an item of a list.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.json.as_bytes()[self.item..]);
    }

    /// Appends it as it is after a change: at another version, sent at another time.
    pub fn write_changed(&self, out: &mut Vec<u8>, version: u64, sent: u128) {
        let mut places =
            [(&self.version, version.to_string()), (&self.sent, format!("{sent:0width$}", width = SENT_DIGITS))];
        places.sort_by_key(|(place, _)| place.start);
        let mut from = 0;
        for (place, text) in places {
            out.extend_from_slice(&self.json.as_bytes()[from..place.start]);
            out.extend_from_slice(text.as_bytes());
            from = place.end;
        }
        out.extend_from_slice(&self.json.as_bytes()[from..]);
    }
}

/// Finds the value behind the first `name`, which ends with the quote before it.
fn value_of(json: &str, name: &str) -> Range<usize> {
    let start = json.find(name).map_or(0, |at| at + name.len());
    let end = json[start..].find('"').map_or(start, |length| start + length);
    start..end
}

#[cfg(test)]
mod tests;
