//! The metadata of one object for those who look at a part of it.
use std::fmt;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

use super::Metadata;
use super::head::{self, Head};

/// What [`Metadata`] says of one state of an object, in the form in which it is cached: one piece of memory, of which each
/// method reads what it is asked for.
///
/// A method costs a walk over what stands before its part, which is some tens of nanoseconds. Whoever looks at most of it
/// is better served by [`CompactMetadata::to_metadata`].
#[derive(Clone, PartialEq, Eq)]
pub struct CompactMetadata {
    head: Vec<u8>,
}

impl CompactMetadata {
    /// Takes a head in its whole form.
    pub(crate) fn new(head: Vec<u8>) -> Self {
        Self { head }
    }

    /// Returns its namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::from_text(self.view().name())
    }

    /// Returns its uid.
    pub fn uid(&self) -> String {
        self.view().uid()
    }

    /// Says whether this is its uid: whether it is still the same object under its name.
    pub fn has_uid(&self, uid: &str) -> bool {
        self.view().is_of_uid(uid)
    }

    /// Returns its resourceVersion.
    pub fn resource_version(&self) -> ResourceVersion {
        self.view().version()
    }

    /// Returns its generation, where the kind has one.
    pub fn generation(&self) -> Option<i64> {
        self.view().generation()
    }

    /// Says whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.view().is_deleting()
    }

    /// Returns the value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the labels, in the order of their names.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        head::labels(&self.head).map(|(name, value)| (text(name), text(value)))
    }

    /// Returns the owner that manages it.
    pub fn controller(&self) -> Option<OwnerReference> {
        head::controller(&self.head).map(|owner| owner.to_reference())
    }

    /// Returns all of it.
    pub fn to_metadata(&self) -> Metadata {
        head::metadata(&self.head)
    }

    fn view(&self) -> Head<'_> {
        Head::parse(&self.head)
    }
}

/// Texts come from JSON, so they are UTF-8.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Debug for CompactMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompactMetadata").field(&self.to_metadata()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RawObject;

    /// Checks that it says what the metadata of the object says.
    fn check(metadata: &str) {
        let json = format!(r#"{{"metadata":{{"name":"a",{metadata}}}}}"#);
        let object = RawObject::parse(json.as_bytes()).unwrap();
        let (compact, known) = (CompactMetadata::new(object.head().to_vec()), object.metadata());
        assert_eq!(format!("{:?}", compact.to_metadata()), format!("{known:?}"));
        assert_eq!((compact.key(), &*compact.uid()), (known.key.clone(), &*known.uid));
        assert_eq!(compact.resource_version(), known.resource_version);
        assert_eq!((compact.generation(), compact.is_deleting()), (known.generation, known.deleting));
        assert_eq!(compact.controller().as_ref(), known.controller());
        assert!(compact.labels().eq(known.labels.iter().map(|(name, value)| (&**name, &**value))));
        for (name, value) in &known.labels {
            assert_eq!(compact.label(name), Some(&**value));
        }
        assert_eq!(compact.label("none"), None);
        assert!(compact.has_uid(&known.uid) && !compact.has_uid("another") && !compact.has_uid(OTHER_UUID));
    }

    const OTHER_UUID: &str = "00000000-0000-4000-8000-000000000000";

    #[test]
    fn each_part_is_what_the_whole_metadata_says() {
        check(r#""namespace":"web""#);
        check(
            r#""namespace":"web","uid":"6f1c2a3e-0123-4b7d-9c1e-0123456789ab","resourceVersion":"17","generation":3"#,
        );
        check(
            r#""uid":"6F1C2A3E-0123-4b7d-9c1e-0123456789ab","resourceVersion":"017","labels":{"b":"2","a":"1","c":""}"#,
        );
        check(r#""deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["f"],"labels":{"app":"größer"}"#);
        let owner = |name: &str, controller: bool| {
            format!(
                r#"{{"apiVersion":"apps/v1","kind":"Deployment","name":"{name}","uid":"u","controller":{controller}}}"#
            )
        };
        check(&format!(r#""uid":"u","ownerReferences":[{},{}]"#, owner("x", false), owner("y", true)));
    }
}
