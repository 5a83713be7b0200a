//! Which parts of an object's JSON its head says as well, byte for byte, so that a store need not keep them twice.
use std::ops::Range;

/// One of these parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `"name":"…"`
    Name,
    /// `"namespace":"…"`
    Namespace,
    /// `"uid":"…"`
    Uid,
    /// `"resourceVersion":"…"`
    Version,
    /// `"labels":{…}`
    Labels,
    /// `"uid":"…"` of the owner that manages the object.
    OwnerUid,
    /// `"name":"…"` of that owner.
    OwnerName,
    /// `"generateName":"…"` where it is the name of that owner and a dash, as pods are called after what made them.
    GenerateName,
}

impl Part {
    /// Returns the name of the member.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name | Self::OwnerName => "name",
            Self::Namespace => "namespace",
            Self::Uid | Self::OwnerUid => "uid",
            Self::Version => "resourceVersion",
            Self::Labels => "labels",
            Self::GenerateName => "generateName",
        }
    }
}

/// How many parts there are.
pub(crate) const PARTS: usize = Part::GenerateName as usize + 1;

/// Where they stand. A part that is missing, or spelled in another way than the API server does, is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks([(u32, u32); PARTS]);

impl Marks {
    /// No object is longer than 32 bits can say.
    pub(super) fn set(&mut self, part: Part, place: Range<usize>) {
        self.0[part as usize] = (place.start as u32, place.end as u32);
    }

    /// Returns them as they are without some bytes in which none stands.
    pub(super) fn without(&self, cut: &Range<usize>) -> Self {
        let (end, length) = (cut.end as u32, cut.len() as u32);
        // Those that are empty stand at 0, before any cut that takes something.
        Self(self.0.map(|(from, to)| if from >= end { (from - length, to - length) } else { (from, to) }))
    }

    /// Returns those that stand somewhere, each with its number, as they follow each other.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (Range<usize>, u8)> {
        let mut places: [(Range<usize>, u8); PARTS] = std::array::from_fn(|part| (self.get(part), part as u8));
        places.sort_unstable_by_key(|(place, _)| place.start);
        places.into_iter().filter(|(place, _)| !place.is_empty())
    }

    fn get(&self, part: usize) -> Range<usize> {
        let (from, to) = self.0[part];
        from as usize..to as usize
    }
}
