//! The fields of built-in kinds, and of metadata alone: what they are called in JSON, and when they are written there.
use std::collections::HashMap;

/// Written by `tests/controlplane/schema` from the Go types of Kubernetes; its first lines say what stands in it.
pub(super) const TEXT: &str = include_str!("schema.txt");

/// What metadata of lists is.
const LIST_META: &str = "meta.v1.ListMeta";

/// What the object of an error in a watch is.
const STATUS: &str = "meta.v1.Status";

/// What is sent of an object of any kind when its metadata alone was asked for.
const METADATA_ALONE: (&str, &str) = ("meta.k8s.io/v1", "PartialObjectMetadata");

/// What is reachable from one built-in kind, or from metadata alone.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    /// Those that [`Id`] names, then whatever they hold, then the metadata of the object.
    messages: Vec<Message>,
}

/// Where a message stands in its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u16);

impl Id {
    pub(super) const OBJECT: Self = Self(0);
    pub(super) const LIST_META: Self = Self(1);
    pub(super) const STATUS: Self = Self(2);
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    /// Version and kind, where it is an object that stands within another, or metadata alone that stands in a list: protobuf
    /// says neither there, and JSON both.
    pub(super) embedded: Option<(&'static str, &'static str)>,
    /// Sorted by number.
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON; the members of a field without one stand among those of the message that it is in.
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) shape: Shape,
    pub(super) r#type: Type,
    /// Whether it is `metadata.managedFields` of the object itself.
    pub(super) is_managed_fields: bool,
}

/// When a field is written in JSON, as its Go type and its tag say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// When it is there, zero or not: a pointer with `omitempty`.
    Present,
    /// Always, as null when it is not there: a pointer.
    OrNull,
    /// When it is not zero: `omitempty`, or `omitzero`.
    Filled,
    /// Always, as the zero of its type when it is not there.
    Always,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// By text, in ascending order.
    Map,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    /// Of any width, with a sign.
    Int,
    String,
    /// Base64 in JSON.
    Bytes,
    /// `meta.v1.Time`: RFC 3339 in seconds.
    Time,
    /// `meta.v1.MicroTime`: RFC 3339 in microseconds.
    MicroTime,
    /// `resource.Quantity`: text.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// JSON as text, such as `runtime.RawExtension`.
    Raw,
    /// A message of nothing but texts that is a list of them in JSON.
    Strings,
    Message(Id),
}

impl Schema {
    /// Returns the schema of a kind, if it is built into Kubernetes and stable.
    pub(crate) fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::read(TEXT, api_version, kind)
    }

    /// Returns the schema of metadata alone, which is the same whatever kind the objects are of.
    pub(crate) fn of_metadata() -> Option<Self> {
        let (api_version, kind) = METADATA_ALONE;
        Self::of(api_version, kind)
    }

    fn read(text: &'static str, api_version: &str, kind: &str) -> Option<Self> {
        let (api_version, kind, root) =
            kinds(text).find(|(version, name, _)| *version == api_version && *name == kind)?;
        let blocks = blocks(text);
        let types: HashMap<_, _> = kinds(text).map(|(version, kind, message)| (message, (version, kind))).collect();
        let mut names = Names::default();
        for root in [root, LIST_META, STATUS] {
            names.id(root);
        }
        let mut messages = Vec::new();
        while let Some(name) = names.list.get(messages.len()).copied() {
            let lines =
                blocks.get(name)?.lines().take_while(|line| line.starts_with(|first: char| first.is_ascii_digit()));
            let fields = lines.map(|line| Field::read(line, &mut names)).collect::<Option<_>>()?;
            let embedded = types.get(name).filter(|r#type| name != root || **r#type == METADATA_ALONE).copied();
            messages.push(Message { name, embedded, fields });
        }
        mark_managed_fields(&mut messages)?;
        Some(Self { api_version, kind, messages })
    }

    pub(super) fn message(&self, id: Id) -> &Message {
        &self.messages[usize::from(id.0)]
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }
}

/// Gives the object a metadata of its own, so that its managedFields can be cut, and those of what it holds are left.
fn mark_managed_fields(messages: &mut Vec<Message>) -> Option<()> {
    let own = Id(u16::try_from(messages.len()).ok()?);
    let object = messages.get_mut(usize::from(Id::OBJECT.0))?;
    let field = object.fields.iter_mut().find(|field| field.name == "metadata")?;
    let Type::Message(shared) = std::mem::replace(&mut field.r#type, Type::Message(own)) else { return None };
    let mut metadata = messages.get(usize::from(shared.0))?.clone();
    for field in &mut metadata.fields {
        field.is_managed_fields = field.name == "managedFields";
    }
    messages.push(metadata);
    Some(())
}

/// Returns the version, the kind and the message of each kind.
pub(super) fn kinds(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let kinds = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("kind ")?.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    // It can not be listed.
    kinds.filter(|(.., message)| *message != STATUS)
}

/// Returns what follows the name of each message.
fn blocks(text: &'static str) -> HashMap<&'static str, &'static str> {
    let blocks = text.split("\nmessage ").skip(1);
    blocks.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// The messages that have been named, in order.
#[derive(Default)]
struct Names {
    list: Vec<&'static str>,
    ids: HashMap<&'static str, Id>,
}

impl Names {
    fn id(&mut self, name: &'static str) -> Option<Id> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let id = Id(u16::try_from(self.list.len()).ok()?);
        self.list.push(name);
        self.ids.insert(name, id);
        Some(id)
    }
}

impl Field {
    /// Reads `<number> <name> <presence><shape><type>`.
    fn read(line: &'static str, names: &mut Names) -> Option<Self> {
        let mut words = line.split(' ');
        let (number, name, value) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let presence = match value.as_bytes().first()? {
            b'?' => Presence::Present,
            b'*' => Presence::OrNull,
            b'-' => Presence::Filled,
            b'!' => Presence::Always,
            _ => return None,
        };
        let value = &value[1..];
        let (shape, r#type) = match (value.strip_prefix("[]"), value.strip_prefix("{}")) {
            (Some(value), _) => (Shape::List, value),
            (_, Some(value)) => (Shape::Map, value),
            _ => (Shape::One, value),
        };
        let r#type = Type::read(r#type, names)?;
        let name = if name == "." { "" } else { name };
        Some(Self { number, name, presence, shape, r#type, is_managed_fields: false })
    }
}

impl Type {
    fn read(name: &'static str, names: &mut Names) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "time" => Self::Time,
            "microtime" => Self::MicroTime,
            "quantity" => Self::Quantity,
            "intorstring" => Self::IntOrString,
            "raw" => Self::Raw,
            "strings" => Self::Strings,
            _ => Self::Message(names.id(name)?),
        })
    }
}
