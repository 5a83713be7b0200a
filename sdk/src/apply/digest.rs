//! A hash of JSON that is the same in every process, on every platform and for every order of keys.
use serde_json::Value;

/// FNV-1a over a canonical form: it rides on objects as an annotation, so it must never depend on the build.
/// Strings are framed by their length and every value by its type, so that no two forms run into each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Digest {
    /// Starts empty.
    pub(crate) const fn new() -> Self {
        Self(OFFSET)
    }

    /// Hashes one value.
    pub(crate) fn of(value: &Value) -> u64 {
        let mut digest = Self::new();
        digest.value(value);
        digest.finish()
    }

    /// Adds a value.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.tag(b'n'),
            Value::Bool(value) => self.tag(if *value { b't' } else { b'f' }),
            Value::Number(number) => self.text(b'#', &number.to_string()),
            Value::String(text) => self.text(b's', text),
            Value::Array(items) => {
                self.tag(b'[');
                items.iter().for_each(|item| self.value(item));
                self.tag(b']');
            }
            // A dependency may turn on serde_json's `preserve_order`, so the order of a map says nothing.
            Value::Object(fields) => {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_unstable_by_key(|(name, _)| *name);
                self.tag(b'{');
                for (name, value) in sorted {
                    self.text(b'k', name);
                    self.value(value);
                }
                self.tag(b'}');
            }
        }
    }

    /// Adds a string of the given type.
    pub(crate) fn text(&mut self, tag: u8, text: &str) {
        self.tag(tag);
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    /// Adds a mark.
    pub(crate) fn tag(&mut self, tag: u8) {
        self.bytes(&[tag]);
    }

    /// Returns the hash.
    pub(crate) const fn finish(self) -> u64 {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_is_pinned_because_it_is_stored_on_objects() {
        assert_eq!(Digest::of(&json!({"a": [1, true]})), 0x31bc_2d83_b9bc_cfad);
    }

    #[test]
    fn different_forms_hash_differently() {
        let forms = [
            json!(null),
            json!(false),
            json!(0),
            json!("0"),
            json!([]),
            json!({}),
            json!([[], []]),
            json!([[[]]]),
            json!({"a": "b"}),
            json!(["a", "b"]),
            json!({"a": null}),
            json!(["ab", ""]),
            json!(["a", "b", ""]),
        ];
        for (index, left) in forms.iter().enumerate() {
            for right in &forms[index + 1..] {
                assert_ne!(Digest::of(left), Digest::of(right), "{left} {right}");
            }
        }
    }
}
