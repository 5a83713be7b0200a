//! Walks the field paths that attributes name, and says which types name an object or an index value.
//!
//! `watches(Secret, by = spec.tls.secret)` becomes one closure that steps through `Option`, `Vec` and maps on the way
//! and hands the leaf to [`ObjectName`]; `index(by_host = spec.hosts)` hands it to [`IndexValue`]. A leaf of another
//! type is a compile error on the field.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher;

use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, ConfigMapVolumeSource, LocalObjectReference, ObjectReference,
    SecretEnvSource, SecretKeySelector, SecretReference, SecretVolumeSource, TypedLocalObjectReference,
    TypedObjectReference,
};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};

use crate::resource::{Kind, ObjectKey};

use super::Reference;

/// A value that names objects of a watched kind: what the field of `watches(.., by = field)` may be, and what the
/// function of `watches(.., by = function)` may yield.
///
/// Guarantees of the types implemented here: an empty name names nothing, `None` and empty collections name nothing, a
/// map names what its values name. A type of your own implements it by delegating to the field that holds the name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an object",
    label = "this field does not name an object",
    note = "a name is a `String`, a reference such as `LocalObjectReference` or `SecretReference`, an `ObjectKey`, a `(namespace, name)` pair, or an `Option`, `Vec`, set or map of those",
    note = "for anything else write a function: `by = names_of`, with `fn names_of(object: &Root) -> Vec<String>`"
)]
pub trait ObjectName {
    /// [`Bare`] for a name alone, [`Qualified`] where a namespace comes with it.
    type Form;

    /// Calls `out` once for each object that is named.
    fn names(&self, out: &mut dyn FnMut(Reference));
}

/// A name alone: it means an object in the namespace of the primary.
#[derive(Debug)]
pub enum Bare {}

/// A name with its namespace.
#[derive(Debug)]
pub enum Qualified {}

/// Says that a primary of scope `Self` can name an object of scope `C` in the form `F`.
pub trait Names<C, F> {}

impl<C, F> Names<C, F> for NamespaceResourceScope {}
impl<F> Names<ClusterResourceScope, F> for ClusterResourceScope {}
impl<F: NamesNamespace> Names<NamespaceResourceScope, F> for ClusterResourceScope {}

/// A form that comes with a namespace: what a cluster-scoped primary names a namespaced object by.
#[diagnostic::on_unimplemented(
    message = "a name alone does not say which namespace is meant, as the primary is cluster-scoped",
    label = "this has no namespace",
    note = "use a field with a namespace (`SecretReference`, `ObjectReference`, `ObjectKey`, a `(namespace, name)` pair), or `namespace = \"..\"` if all of them live in one"
)]
pub trait NamesNamespace {}

impl NamesNamespace for Qualified {}

/// A value that an index can hold: what the field of `index(by_x = field)` may be, and what the function of
/// `index(by_x = function)` may yield.
///
/// Numbers are written in decimal, booleans as `true` and `false`. An empty string is a value; `None` and empty
/// collections are none. An enum of your own implements it with the text that queries shall use.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no index value",
    label = "this field cannot be indexed",
    note = "an index value is a `String`, an integer, a `bool`, or an `Option`, `Vec` or set of those",
    note = "for anything else write a function: `index(by_x = values_of)`, with `fn values_of(object: &Root) -> Vec<String>`"
)]
pub trait IndexValue {
    /// Calls `out` once for each value.
    fn values(&self, out: &mut dyn FnMut(&str));
}

/// One step on the way to a leaf. Generated code calls [`Walk::each`] through it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Walk<'a, T>(pub &'a T);

// Inherent methods win over those of a trait, so each container has its own and everything else falls back to `Plain`.
impl<T> Walk<'_, Option<T>> {
    #[doc(hidden)]
    pub fn each(self, mut step: impl FnMut(Walk<'_, T>)) {
        if let Some(value) = self.0 {
            step(Walk(value));
        }
    }
}

impl<T> Walk<'_, Vec<T>> {
    #[doc(hidden)]
    pub fn each(self, mut step: impl FnMut(Walk<'_, T>)) {
        for value in self.0 {
            step(Walk(value));
        }
    }
}

impl<K, T> Walk<'_, BTreeMap<K, T>> {
    #[doc(hidden)]
    pub fn each(self, mut step: impl FnMut(Walk<'_, T>)) {
        for value in self.0.values() {
            step(Walk(value));
        }
    }
}

impl<K, T, S> Walk<'_, HashMap<K, T, S>> {
    #[doc(hidden)]
    pub fn each(self, mut step: impl FnMut(Walk<'_, T>)) {
        for value in self.0.values() {
            step(Walk(value));
        }
    }
}

/// The step through a field that is no container.
#[doc(hidden)]
pub trait Plain<T> {
    #[doc(hidden)]
    fn each(self, step: impl FnMut(Walk<'_, T>));
}

impl<T> Plain<T> for Walk<'_, T> {
    fn each(self, mut step: impl FnMut(Walk<'_, T>)) {
        step(self);
    }
}

/// The leaf of `by = field`: names objects of `C` for a primary `P`.
#[doc(hidden)]
pub fn names<P, C, T>(leaf: &T, out: &mut dyn FnMut(Reference))
where
    P: Kind<Scope: Names<C::Scope, T::Form>>,
    C: Kind,
    T: ObjectName + ?Sized,
{
    leaf.names(out);
}

/// As [`names`], where `namespace = ".."` says where bare names live.
#[doc(hidden)]
pub fn names_in<T: ObjectName + ?Sized>(namespace: &str, leaf: &T, out: &mut dyn FnMut(Reference)) {
    leaf.names(&mut |mut reference| {
        reference.namespace.get_or_insert_with(|| namespace.to_owned());
        out(reference);
    });
}

/// What a function of `by = function` or of an index returned, as one leaf.
#[doc(hidden)]
pub fn collect<I: IntoIterator>(items: I) -> Vec<I::Item> {
    items.into_iter().collect()
}

/// The leaf of `map = function`.
#[doc(hidden)]
pub fn keys(items: impl IntoIterator<Item = ObjectKey>, out: &mut dyn FnMut(ObjectKey)) {
    items.into_iter().for_each(out);
}

/// A scope whose objects have a namespace: what `namespace = ".."` narrows.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a cluster-scoped kind has no namespace",
    label = "objects of this kind are in no namespace",
    note = "remove `namespace`, or narrow by `labels` or `fields`"
)]
pub trait HasNamespace {}

impl HasNamespace for NamespaceResourceScope {}

/// Compiles only if objects of `C` have a namespace.
#[doc(hidden)]
pub const fn has_namespace<C: Kind<Scope: HasNamespace>>() {}

/// The leaf of `index(by_x = field)`.
#[doc(hidden)]
pub fn values<T: IndexValue + ?Sized>(leaf: &T, out: &mut dyn FnMut(&str)) {
    leaf.values(out);
}

fn name(namespace: Option<&str>, name: &str, out: &mut dyn FnMut(Reference)) {
    if !name.is_empty() {
        let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        out(Reference { namespace, name: name.to_owned() });
    }
}

impl ObjectName for str {
    type Form = Bare;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(None, self, out);
    }
}

impl ObjectName for String {
    type Form = Bare;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(None, self, out);
    }
}

impl ObjectName for ObjectKey {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(self.namespace(), self.name(), out);
    }
}

impl ObjectName for Reference {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(self.namespace.as_deref(), &self.name, out);
    }
}

impl<N: AsRef<str>, M: AsRef<str>> ObjectName for (N, M) {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(Some(self.0.as_ref()), self.1.as_ref(), out);
    }
}

macro_rules! bare_references {
    ($($reference:ty => $field:ident),* $(,)?) => {$(
        impl ObjectName for $reference {
            type Form = Bare;
            fn names(&self, out: &mut dyn FnMut(Reference)) {
                self.$field.names(out);
            }
        }
    )*};
}

bare_references! {
    ConfigMapEnvSource => name,
    ConfigMapKeySelector => name,
    ConfigMapVolumeSource => name,
    LocalObjectReference => name,
    SecretEnvSource => name,
    SecretKeySelector => name,
    SecretVolumeSource => secret_name,
    TypedLocalObjectReference => name,
}

impl ObjectName for SecretReference {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(self.namespace.as_deref(), self.name.as_deref().unwrap_or_default(), out);
    }
}

impl ObjectName for ObjectReference {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(self.namespace.as_deref(), self.name.as_deref().unwrap_or_default(), out);
    }
}

impl ObjectName for TypedObjectReference {
    type Form = Qualified;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        name(self.namespace.as_deref(), &self.name, out);
    }
}

macro_rules! index_values {
    ($($number:ty),*) => {$(
        impl IndexValue for $number {
            fn values(&self, out: &mut dyn FnMut(&str)) {
                out(&self.to_string());
            }
        }
    )*};
}

index_values!(bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl IndexValue for str {
    fn values(&self, out: &mut dyn FnMut(&str)) {
        out(self);
    }
}

impl IndexValue for String {
    fn values(&self, out: &mut dyn FnMut(&str)) {
        out(self);
    }
}

// The same containers for both kinds of leaf.
macro_rules! containers {
    ($(($($generics:tt)*) $container:ty => |$this:ident| $items:expr;)*) => {$(
        impl<T: ObjectName, $($generics)*> ObjectName for $container {
            type Form = T::Form;
            fn names(&self, out: &mut dyn FnMut(Reference)) {
                let $this = self;
                for item in $items {
                    item.names(out);
                }
            }
        }

        impl<T: IndexValue, $($generics)*> IndexValue for $container {
            fn values(&self, out: &mut dyn FnMut(&str)) {
                let $this = self;
                for item in $items {
                    item.values(out);
                }
            }
        }
    )*};
}

containers! {
    () Option<T> => |this| this.as_slice();
    () Vec<T> => |this| this;
    () [T] => |this| this;
    () BTreeSet<T> => |this| this;
    (S: BuildHasher) HashSet<T, S> => |this| this;
    (K) BTreeMap<K, T> => |this| this.values();
    (K, S: BuildHasher) HashMap<K, T, S> => |this| this.values();
}

impl<T: ObjectName + ?Sized> ObjectName for &T {
    type Form = T::Form;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        (**self).names(out);
    }
}

impl<T: ObjectName + ?Sized> ObjectName for Box<T> {
    type Form = T::Form;
    fn names(&self, out: &mut dyn FnMut(Reference)) {
        (**self).names(out);
    }
}

impl<T: IndexValue + ?Sized> IndexValue for &T {
    fn values(&self, out: &mut dyn FnMut(&str)) {
        (**self).values(out);
    }
}

impl<T: IndexValue + ?Sized> IndexValue for Box<T> {
    fn values(&self, out: &mut dyn FnMut(&str)) {
        (**self).values(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_name_objects() {
        fn check<T: ObjectName + ?Sized>(leaf: &T, expected: &[&str]) {
            let mut found = Vec::new();
            leaf.names(&mut |reference| {
                found.push(match reference.namespace {
                    Some(namespace) => format!("{namespace}/{}", reference.name),
                    None => reference.name,
                });
            });
            assert_eq!(found, expected);
        }
        check("a", &["a"]);
        check(&String::from("a"), &["a"]);
        check("", &[]);
        check(&None::<String>, &[]);
        check(&Some(vec!["a", "", "b"]), &["a", "b"]);
        check(&BTreeSet::from(["b", "a"]), &["a", "b"]);
        check(&BTreeMap::from([(1, "b"), (2, "a")]), &["b", "a"]);
        check(&Box::new(Some("a")), &["a"]);
        check(&LocalObjectReference { name: "a".into() }, &["a"]);
        check(&LocalObjectReference::default(), &[]);
        check(&("ns", String::from("a")), &["ns/a"]);
        check(&ObjectKey::namespaced("ns", "a"), &["ns/a"]);
        check(&ObjectKey::cluster("a"), &["a"]);
        check(&SecretReference { name: Some("a".into()), namespace: None }, &["a"]);
        check(&SecretReference { name: Some("a".into()), namespace: Some("ns".into()) }, &["ns/a"]);
        check(&SecretReference { name: None, namespace: Some("ns".into()) }, &[]);
        check(&SecretVolumeSource::default(), &[]);
    }

    #[test]
    fn leaves_give_index_values() {
        fn check<T: IndexValue + ?Sized>(leaf: &T, expected: &[&str]) {
            let mut found = Vec::new();
            leaf.values(&mut |value| found.push(value.to_owned()));
            assert_eq!(found, expected);
        }
        check("a", &["a"]);
        check("", &[""]);
        check(&-7_i32, &["-7"]);
        check(&Some(true), &["true"]);
        check(&None::<bool>, &[]);
        check(&vec![Some(1_u8), None, Some(2)], &["1", "2"]);
        check(&Box::new(String::from("a")), &["a"]);
    }

    #[test]
    fn a_namespace_completes_bare_names_and_keeps_the_others() {
        let mut found = Vec::new();
        names_in("infra", &vec![("", "a"), ("ns", "b")], &mut |reference| found.push(reference));
        let reference =
            |namespace: &str, name: &str| Reference { namespace: Some(namespace.into()), name: name.into() };
        assert_eq!(found, [reference("infra", "a"), reference("ns", "b")]);
    }

    struct Tls {
        secret: String,
    }

    #[test]
    fn walks_through_containers_and_plain_fields() {
        let tls = |secret: &str| Tls { secret: secret.into() };
        macro_rules! check {
            ($start:expr, $expected:expr) => {{
                let mut found: Vec<String> = Vec::new();
                Walk(&$start).each(|outer| outer.each(|inner| found.push(inner.0.secret.clone())));
                assert_eq!(found, $expected);
            }};
        }
        check!(tls("a"), ["a"]);
        check!(Some(tls("a")), ["a"]);
        check!(None::<Tls>, [""; 0]);
        check!(vec![tls("a"), tls("b")], ["a", "b"]);
        check!(Some(vec![tls("a"), tls("b")]), ["a", "b"]);
        check!(Some(Box::new(tls("a"))), ["a"]);
        check!(vec![None, Some(tls("b"))], ["b"]);
        check!(BTreeMap::from([("x", tls("a"))]), ["a"]);
        check!(Some(HashMap::from([("x", tls("a"))])), ["a"]);
    }
}
