//! What a read asks of objects, answered from metadata and indexes: nothing is unpacked for it.
use kube::core::Expression;

use crate::wire::text::{Text, TextRef};

use super::contents::Contents;
use super::index::BY_NAMESPACE;

/// One thing that is asked of an object.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// It has this name.
    Name(Is, Box<str>),
    /// It is in this namespace.
    Namespace(Is, Box<str>),
    /// It has this value in the index at a slot.
    Value(Is, usize, Box<str>),
    /// Its labels satisfy an expression.
    Label(Expression),
}

/// Whether something is to be so or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    NotEqual,
}

/// Where objects are looked for.
pub(super) enum Source {
    /// All over the store.
    All,
    /// Among those with a value in the index at a slot.
    Value(usize, Text),
}

/// Chooses where the fewest objects have to be looked at, and returns what remains to be asked of each.
///
/// No object is in two sources.
pub(super) fn plan(contents: &Contents, mut conditions: Vec<Condition>) -> (Vec<Source>, Vec<Condition>) {
    let size = |sources: &[Source]| sources.iter().map(|source| source.len(contents)).sum::<usize>();
    let ways = conditions.iter().enumerate().filter_map(|(position, condition)| {
        let sources = condition.sources(contents)?;
        Some((size(&sources), position, sources))
    });
    match ways.min_by_key(|(size, ..)| *size) {
        Some((_, position, sources)) => {
            conditions.swap_remove(position);
            (sources, conditions)
        }
        None => (vec![Source::All], conditions),
    }
}

impl Condition {
    /// Returns where exactly the objects that satisfy this are found, if an index says that.
    fn sources(&self, contents: &Contents) -> Option<Vec<Source>> {
        let value = |slot, value: &str| Source::Value(slot, Text::of(value));
        match self {
            Self::Namespace(Is::Equal, namespace) => Some(vec![value(BY_NAMESPACE, namespace)]),
            Self::Value(Is::Equal, slot, text) => Some(vec![value(*slot, text)]),
            Self::Label(expression) => match expression {
                Expression::Equal(key, wanted) => Some(vec![value(contents.label_slot(key)?, wanted)]),
                Expression::In(key, wanted) => {
                    let slot = contents.label_slot(key)?;
                    Some(wanted.iter().map(|wanted| value(slot, wanted)).collect())
                }
                Expression::Exists(key) => {
                    let slot = contents.label_slot(key)?;
                    let values = contents.indexes.chains(slot)?.values();
                    Some(values.map(|(text, _)| Source::Value(slot, text.clone())).collect())
                }
                Expression::NotIn(..) | Expression::NotEqual(..) | Expression::DoesNotExist(_) => None,
            },
            Self::Name(..) | Self::Namespace(..) | Self::Value(..) => None,
        }
    }

    /// Says whether an object satisfies this.
    pub(super) fn holds(&self, contents: &Contents, entry: u32) -> bool {
        match self {
            Self::Name(is, name) => is.told(contents.is_named(entry, name)),
            Self::Namespace(is, namespace) => {
                let own = contents.value(entry, BY_NAMESPACE).map(Text::view);
                is.told(own.unwrap_or(TextRef::Other("")) == TextRef::of(namespace))
            }
            Self::Value(is, slot, value) => is.told(contents.has_value(entry, *slot, TextRef::of(value))),
            Self::Label(expression) => label_matches(expression, |key| contents.label(entry, key)),
        }
    }
}

impl Is {
    fn told(self, equal: bool) -> bool {
        (self == Self::Equal) == equal
    }
}

impl Source {
    fn len(&self, contents: &Contents) -> usize {
        match self {
            Self::All => contents.len(),
            Self::Value(slot, value) => contents.count(*slot, value.view()),
        }
    }
}

/// Says whether labels satisfy one expression, as the API server would.
fn label_matches<'a>(expression: &Expression, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    match expression {
        Expression::In(key, values) => value(key).is_some_and(|value| values.contains(value)),
        Expression::NotIn(key, values) => value(key).is_none_or(|value| !values.contains(value)),
        Expression::Equal(key, wanted) => value(key) == Some(wanted),
        Expression::NotEqual(key, unwanted) => value(key) != Some(unwanted),
        Expression::Exists(key) => value(key).is_some(),
        Expression::DoesNotExist(key) => value(key).is_none(),
    }
}
