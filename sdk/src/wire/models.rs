//! Which model an object is read by, and which objects become models.
use super::head::Text;
use super::kin::Kin;
use super::model::{LARGEST, Model};
use super::outline::Outline;
use super::scan::Scanner;

/// Most models: as many templates as a large cluster's pods are made from.
const MOST: usize = 192;

/// Most bytes of all models.
const MOST_BYTES: usize = 1024 * 1024;

/// Most labels that are remembered.
const MOST_LABELS: usize = 16 * MOST;

/// What learning a model costs: so many objects that were read by one pay for it. Where nothing is alike, little is lost.
const PRICE: u32 = 16;

/// Most that is saved for that.
const MOST_CREDIT: u32 = 32 * PRICE;

/// What part of an object may be scanned where it differs from its model, before another model is worth its price.
const SCANNED: usize = 64;

/// How many objects that had to be scanned count as one that was read by a model.
const TRICKLE: u32 = 64;

/// The models of one reflector; by default there are none, ever.
pub(crate) struct Models {
    learns: bool,
    models: Vec<Model>,
    bytes: usize,
    /// The models by the labels of the objects that were learned.
    kin: Kin,
    /// What the last object was read by.
    last: usize,
    /// Where to look for a model to replace.
    hand: usize,
    credit: u32,
    trickle: u32,
    reading: Reading,
}

/// What is known of the object that is being read.
#[derive(Default)]
struct Reading {
    /// The hashes of its labels.
    labels: Vec<u64>,
    chosen: bool,
    model: Option<usize>,
    /// Whether a member had to be scanned.
    missed: bool,
    /// How many bytes of other members had to be.
    scanned: usize,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            learns: false,
            models: Vec::new(),
            bytes: 0,
            kin: Kin::new(MOST_LABELS),
            last: 0,
            hand: 0,
            credit: 0,
            trickle: 0,
            reading: Reading::default(),
        }
    }
}

impl Models {
    /// Learns from what is read.
    pub(crate) fn learning() -> Self {
        Self { learns: true, ..Self::default() }
    }

    /// Begins with another object.
    pub(super) fn begin(&mut self) {
        let Reading { labels, chosen, model, missed, scanned } = &mut self.reading;
        labels.clear();
        (*chosen, *model, *missed, *scanned) = (false, None, false, 0);
    }

    /// Chooses a model for an object of these labels.
    pub(super) fn choose(&mut self, labels: &[(Text<'_>, Text<'_>)]) {
        if !self.learns || self.reading.chosen {
            return;
        }
        let Self { reading, kin, .. } = self;
        reading.chosen = true;
        reading.labels.extend(kin.hashes(labels.iter()));
        let elected = kin.elect(reading.labels.iter().copied()).map(usize::from);
        reading.model = elected.or(Some(self.last)).filter(|model| *model < self.models.len());
    }

    /// Takes the value of the member of that name, which comes next, if the model has one of about the same structure; takes
    /// nothing otherwise. The name of managedFields is none.
    pub(super) fn follow(&mut self, name: Option<&[u8]>, scanner: &mut Scanner<'_>, outline: &mut Outline) -> bool {
        // Members before the labels are read by what the last object was read by.
        let model = if self.reading.chosen { self.reading.model } else { Some(self.last) };
        let model = model.and_then(|model| self.models.get(model));
        let scanned = model.and_then(|model| model.follow(name, scanner, outline));
        self.reading.scanned += scanned.unwrap_or_default();
        self.reading.missed |= scanned.is_none();
        scanned.is_some()
    }

    /// Ends an object that turned out to be JSON: it becomes a model if there was none for all of it.
    pub(super) fn end(&mut self, text: &[u8]) {
        if let Some(model) = self.reading.model {
            self.last = model;
            self.models[model].used = true;
        }
        self.reading.missed |= self.reading.scanned > text.len() / SCANNED;
        if !self.reading.missed {
            self.credit = self.credit.saturating_add(1).min(MOST_CREDIT);
        } else if self.learns && text.len() <= LARGEST && (self.models.is_empty() || self.credit >= PRICE) {
            self.credit = self.credit.saturating_sub(PRICE);
            self.learn(text);
        } else {
            // So that what has changed altogether is learned in the end.
            self.trickle = (self.trickle + 1) % TRICKLE;
            self.credit += u32::from(self.trickle == 0);
        }
    }

    fn learn(&mut self, text: &[u8]) {
        let Ok(model) = Model::of(text) else { return };
        let full = self.models.len() >= MOST || self.bytes + model.memory() > MOST_BYTES;
        let at = if full && !self.models.is_empty() { self.replaceable() } else { self.models.len() };
        if at == self.models.len() {
            self.models.push(Model::default());
        }
        self.replace(at, model);
        // All but this one, at worst.
        for _ in 0..2 * MOST {
            if self.bytes <= MOST_BYTES {
                break;
            }
            let other = self.replaceable();
            if other != at {
                self.replace(other, Model::default());
            }
        }
        self.last = at;
        self.kin.learn(self.reading.labels.iter().copied(), at as u16);
    }

    fn replace(&mut self, at: usize, model: Model) {
        self.bytes += model.memory();
        self.bytes -= std::mem::replace(&mut self.models[at], model).memory();
    }

    /// Finds a model that nothing was read by for a while.
    fn replaceable(&mut self) -> usize {
        loop {
            self.hand = (self.hand + 1) % self.models.len();
            if !std::mem::take(&mut self.models[self.hand].used) {
                return self.hand;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::object::Scanned;
    use crate::wire::scan::MAX_NESTING;
    use crate::wire::{Buffers, Error, ManagedFields};

    fn read(json: &[u8], models: &mut Models) -> Result<String, Error> {
        let object = Scanned::parse_by(json, models)?.to_object(ManagedFields::Drop, &mut Buffers::exact())?;
        let mut fields = Vec::new();
        for path in ["spec.a", "spec.b", "spec.c.a", "status.a", "data.a"] {
            object.field_values(path, &mut |value| fields.push(format!("{path}={value}")));
        }
        Ok(format!("{:?} {fields:?} {}", object.metadata(), String::from_utf8_lossy(object.json())))
    }

    fn pod(number: usize, app: &str) -> Value {
        json!({"metadata": {"labels": {"app": app}, "managedFields": [{"manager": "a", "time": number.to_string()}],
            "name": format!("{app}-{number}")}, "spec": {"a": app, "b": [number, {"c": true}]}, "status": {"a": -1.5}})
    }

    #[test]
    fn what_is_like_a_model_is_read_by_it() {
        let mut models = Models::learning();
        for number in 0..100 {
            let json = pod(number, ["one", "two"][number % 2]).to_string();
            assert_eq!(read(json.as_bytes(), &mut models), read(json.as_bytes(), &mut Models::default()));
            assert_eq!(models.reading.missed, number == 0, "{number}");
        }
        assert_eq!(models.models.len(), 1, "both are of one structure");
    }

    #[test]
    fn a_key_is_a_string_whatever_the_model_has() {
        let mut models = Models::learning();
        let object = |spec: &str| format!(r#"{{"metadata":{{"name":"a"}},"spec":{spec}}}"#).into_bytes();
        read(&object(r#"{"a":1,"b":[null]}"#), &mut models).unwrap();
        read(&object(r#"{"c":"2","d":["x"]}"#), &mut models).unwrap();
        assert!(!models.reading.missed);
        for spec in [
            r#"{1:1,"b":[null]}"#,
            r#"{"a":1,null:[null]}"#,
            r#"{"a":1,"b":[nul]}"#,
            r#"{"a":01,"b":[null]}"#,
            r#"{"a":1,"b:[null]}"#,
        ] {
            assert!(read(&object(spec), &mut models).is_err(), "{spec}");
        }
    }

    #[test]
    fn what_is_longer_or_shorter_than_its_model_is_scanned_only_there() {
        let mut models = Models::learning();
        let object = |parts: usize, more: &str| {
            let parts: Vec<Value> = (0..parts).map(|part| json!({"a": part, "b": {"c": [part]}})).collect();
            let spec = format!(r#"{{"a":"{}","b":{},"c":{{"a":7{more}}}}}"#, "x".repeat(10_000), json!(parts));
            format!(r#"{{"metadata":{{"name":"a"}},"spec":{spec},"status":{{"a":{}}}}}"#, parts.len())
        };
        read(object(3, "").as_bytes(), &mut models).unwrap();
        for (parts, more) in [(3, ""), (1, ""), (0, ""), (9, ""), (3, r#","d":{}"#), (5, r#","d":[{"e":[]}],"f":1"#)] {
            let json = object(parts, more);
            assert_eq!(read(json.as_bytes(), &mut models), read(json.as_bytes(), &mut Models::default()));
            assert!(!models.reading.missed, "{parts} {more}");
            let odd = json.len() - object(0, "").len();
            assert!(models.reading.scanned <= odd + 100, "{parts} {more} {}", models.reading.scanned);
        }
        assert_eq!(models.models.len(), 1);
    }

    #[test]
    fn nesting_is_bounded_on_the_way_back_to_a_model_as_without_one() {
        let mut models = Models::learning();
        let nested = |levels: usize, inner: &str| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            let long = "x".repeat(10_000);
            let (spec, data) = (format!(r#"{{"a":{open}{inner}{close}}}"#), format!(r#"{open}{inner}{close}"#));
            format!(r#"{{"metadata":{{"name":"a"}},"spec":{spec},"data":{data},"status":{{"a":"{long}"}}}}"#)
        };
        let most = MAX_NESTING - 24;
        read(nested(most, "1,[1]").as_bytes(), &mut models).unwrap();
        for levels in [20, 23, 24, 25, 30] {
            let json = nested(most, &format!("1,{}1{}", "[".repeat(levels), "]".repeat(levels)));
            let (by_model, walked) =
                (read(json.as_bytes(), &mut models), read(json.as_bytes(), &mut Models::default()));
            assert_eq!((by_model.is_ok(), walked.is_ok()), (levels <= 24, levels <= 24), "{levels}");
            assert!(levels > 24 || !models.reading.missed);
        }
    }

    #[test]
    fn labels_tell_which_model_is_right() {
        let mut models = Models::learning();
        let other = |number: usize| {
            json!({"metadata": {"labels": {"app": "other"}, "name": number.to_string()}, "spec": {"a": number}})
                .to_string()
        };
        let mut missed = 0;
        for number in 0..100 {
            read(pod(number, "one").to_string().as_bytes(), &mut models).unwrap();
            missed += usize::from(models.reading.missed);
            read(other(number).as_bytes(), &mut models).unwrap();
            missed += usize::from(models.reading.missed);
        }
        assert!(missed < 40, "{missed}");
        assert_eq!(models.models.len(), 2);
    }

    #[test]
    fn models_and_what_is_known_of_labels_are_bounded_and_little_is_learned_where_nothing_is_alike() {
        let mut models = Models::learning();
        // No two of one number of members have the same structure.
        let odd = |number: usize, size: usize| {
            let member = |at: usize| if number >> (at % 13) & 1 == 1 { json!([]) } else { json!({}) };
            let members: Vec<Value> = (0..size).map(member).collect();
            json!({"metadata": {"name": "a", "labels": {"n": number.to_string()}}, "spec": members}).to_string()
        };
        for number in 0..5000 {
            read(odd(number, 26).as_bytes(), &mut models).unwrap();
        }
        assert!(models.models.len() <= 10, "{}", models.models.len());
        for number in 0..MOST_LABELS + MOST {
            models.credit = u32::MAX;
            read(odd(number, 13).as_bytes(), &mut models).unwrap();
            assert!(models.models.len() <= MOST && models.kin.len() <= MOST_LABELS);
        }
        assert_eq!(models.models.len(), MOST);
        for number in 0..500 {
            read(odd(number, 6000).as_bytes(), &mut models).unwrap();
        }
        assert!(models.bytes <= MOST_BYTES, "{}", models.bytes);
        let counted: usize = models.models.iter().map(Model::memory).sum();
        assert_eq!(models.bytes, counted);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..2000_u32).prop_map(Value::from),
            "[ab\"\\\\é\n,:}]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        (value(), value(), value(), "[ab]").prop_map(|(spec, status, managed, label)| {
            json!({"metadata": {"name": "a", "labels": {"l": label}, "managedFields": managed}, "spec": spec, "status": status})
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_object_says_the_same_by_whatever_models(objects in prop::collection::vec(object(), 1..20), pretty: bool) {
            let mut models = Models::learning();
            models.credit = u32::MAX;
            for object in objects {
                let text = if pretty { serde_json::to_string_pretty(&object).unwrap() } else { object.to_string() };
                prop_assert_eq!(read(text.as_bytes(), &mut models), read(text.as_bytes(), &mut Models::default()));
            }
        }

        #[test]
        fn what_is_damaged_is_refused_by_whatever_models(
            object in object(), at: prop::sample::Index, with in prop::sample::select(b"{}[],:\"\\nt0-.e \n\x00\xff1a".to_vec()), how in 0..3,
        ) {
            let mut models = Models::learning();
            let mut text = object.to_string().into_bytes();
            read(&text, &mut models).unwrap();
            let at = at.index(text.len());
            match how {
                0 => text[at] = with,
                1 => text.insert(at, with),
                _ => _ = text.remove(at),
            }
            prop_assert_eq!(read(&text, &mut models).ok(), read(&text, &mut Models::default()).ok());
        }
    }
}
