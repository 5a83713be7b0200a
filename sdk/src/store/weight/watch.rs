//! What a decoded value takes outside of itself, found by watching it being made.
//!
//! A value of an unknown type does not tell what it holds. While it is decoded it does: each text, each element of a sequence
//! and each entry of a map passes the deserializer, and with it the size of what becomes of it. What is counted is what the
//! standard library's strings, vectors and trees take from an allocator that rounds as glibc's does. Boxes are not seen, nor
//! what a type makes of a value by itself; what serde keeps for a flattened field until it knows more is counted as if it
//! stayed.
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A deserializer or a seed that adds what becomes of it to `heap`.
pub(in super::super) struct Weighed<'a, T> {
    inner: T,
    heap: &'a Cell<usize>,
}

/// What a visitor makes of what it is shown.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Memory of its own.
    Own,
    /// Fields that stand in the value itself.
    Fields,
    /// The name of a field or of a variant, which is not kept.
    Name,
}

struct Watched<'a, V> {
    inner: V,
    heap: &'a Cell<usize>,
    form: Form,
}

impl<'a, T> Weighed<'a, T> {
    pub(in super::super) fn new(inner: T, heap: &'a Cell<usize>) -> Self {
        Self { inner, heap }
    }

    fn watch<V>(heap: &'a Cell<usize>, form: Form, inner: V) -> Watched<'a, V> {
        Watched { inner, heap, form }
    }
}

/// Forwards methods of a deserializer, with what becomes of what they show.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) => $form:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Self::watch(self.heap, Form::$form, visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Weighed<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() => Own,
        deserialize_bool() => Own,
        deserialize_i8() => Own,
        deserialize_i16() => Own,
        deserialize_i32() => Own,
        deserialize_i64() => Own,
        deserialize_i128() => Own,
        deserialize_u8() => Own,
        deserialize_u16() => Own,
        deserialize_u32() => Own,
        deserialize_u64() => Own,
        deserialize_u128() => Own,
        deserialize_f32() => Own,
        deserialize_f64() => Own,
        deserialize_char() => Own,
        deserialize_str() => Own,
        deserialize_string() => Own,
        deserialize_bytes() => Own,
        deserialize_byte_buf() => Own,
        deserialize_option() => Own,
        deserialize_unit() => Own,
        deserialize_unit_struct(name: &'static str) => Own,
        deserialize_newtype_struct(name: &'static str) => Own,
        deserialize_seq() => Own,
        deserialize_map() => Own,
        deserialize_tuple(length: usize) => Fields,
        deserialize_tuple_struct(name: &'static str, length: usize) => Fields,
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) => Fields,
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) => Own,
        deserialize_identifier() => Name,
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Weighed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Weighed::new(deserializer, self.heap))
    }
}

/// Forwards methods of a visitor, with what their values take.
macro_rules! visit {
    ($($method:ident: $type:ty $(=> $length:ident)?),* $(,)?) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            $(self.text(value.$length());)?
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Watched<'_, V> {
    fn text(&self, length: usize) {
        // Smaller values, such as variants, times and numbers, do not keep a text.
        if self.form != Form::Name && size_of::<V::Value>() >= size_of::<Box<str>>() {
            add(self.heap, allocation(length));
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool,
        visit_i8: i8,
        visit_i16: i16,
        visit_i32: i32,
        visit_i64: i64,
        visit_i128: i128,
        visit_u8: u8,
        visit_u16: u16,
        visit_u32: u32,
        visit_u64: u64,
        visit_u128: u128,
        visit_f32: f32,
        visit_f64: f64,
        visit_char: char,
        visit_str: &str => len,
        visit_borrowed_str: &'de str => len,
        visit_string: String => len,
        visit_bytes: &[u8] => len,
        visit_borrowed_bytes: &'de [u8] => len,
        visit_byte_buf: Vec<u8> => len,
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Weighed::new(deserializer, self.heap))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Weighed::new(deserializer, self.heap))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Members::new(inner, self.heap, self.form, elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Members::new(inner, self.heap, self.form, entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Weighed::new(inner, self.heap))
    }
}

/// Elements of a sequence or entries of a map: counted, and added once all have passed.
struct Members<'a, A> {
    inner: A,
    heap: &'a Cell<usize>,
    form: Form,
    /// Returns what so many of such a size take.
    take: fn(usize, usize) -> usize,
    count: usize,
    key: usize,
    size: usize,
}

impl<'a, A> Members<'a, A> {
    fn new(inner: A, heap: &'a Cell<usize>, form: Form, take: fn(usize, usize) -> usize) -> Self {
        Self { inner, heap, form, take, count: 0, key: 0, size: 0 }
    }
}

impl<A> Drop for Members<'_, A> {
    fn drop(&mut self) {
        if self.form == Form::Own {
            add(self.heap, (self.take)(self.count, self.size));
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let element = self.inner.next_element_seed(Weighed::new(seed, self.heap))?;
        self.count += usize::from(element.is_some());
        self.size = size_of::<S::Value>();
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.key = size_of::<S::Value>();
        self.inner.next_key_seed(Weighed::new(seed, self.heap))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.count += 1;
        self.size = self.key + size_of::<S::Value>();
        self.inner.next_value_seed(Weighed::new(seed, self.heap))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Weighed<'a, A> {
    type Error = A::Error;
    type Variant = Weighed<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, variant) = self.inner.variant_seed(seed)?;
        Ok((name, Weighed::new(variant, self.heap)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Weighed<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Weighed::new(seed, self.heap))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(length, Self::watch(self.heap, Form::Fields, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Self::watch(self.heap, Form::Fields, visitor))
    }
}

fn add(heap: &Cell<usize>, bytes: usize) {
    heap.set(heap.get() + bytes);
}

/// Returns what an allocation takes: glibc rounds to 16 bytes, 8 of which are its own.
pub(super) fn allocation(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// Returns what a vector takes into which so many elements of such a size were pushed.
fn elements(count: usize, size: usize) -> usize {
    let least = match size {
        1 => 8,
        2..=1024 => 4,
        _ => 1,
    };
    if count == 0 { 0 } else { allocation(size * count.next_power_of_two().max(least)) }
}

/// Returns what a tree takes into which so many entries of such a size were put in order: nodes of 11, of which all but
/// the last keep 6 and hand one up to the next level.
fn entries(count: usize, size: usize) -> usize {
    let leaf = 11 * size + 16;
    let (mut nodes, mut bytes) = (count.saturating_sub(4).div_ceil(7).max(usize::from(count > 0)), 0);
    bytes += nodes * allocation(leaf);
    while nodes > 1 {
        nodes = nodes.div_ceil(7);
        bytes += nodes * allocation(leaf + 12 * size_of::<usize>());
    }
    bytes
}
