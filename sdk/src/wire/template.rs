//! How metadata is laid out: what stands between its values, as it was found before, and what each value is.
//!
//! Most metadata is laid out as that of some object before it, and differs in values alone. So the texts between values are
//! kept, each with what may come behind it, and metadata that has the same is read without looking for members, whose names
//! are known then. That a text is the same is all that is asked of it here: what follows it is then what followed it before,
//! and whoever reads the value checks that as always.
use std::ops::Range;

use super::credit::Credit;

/// What comes behind a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Name,
    Namespace,
    Uid,
    Version,
    GenerateName,
    Generation,
    DeletionTimestamp,
    /// The first label, if there is one.
    Labels,
    /// The value of a label whose key is plain and stands right before the colon.
    Label,
    /// What follows the last one.
    LabelsEnd,
    Annotation,
    InitialEventsEnd,
    Finalizer,
    /// The first member of an owner reference.
    Owner,
    OwnerApiVersion,
    OwnerKind,
    OwnerName,
    OwnerUid,
    OwnerController,
    /// What follows the last one.
    OwnerEnd,
    ManagedFields,
    /// A value that nobody looks at.
    Other,
    /// What follows the metadata.
    End,
}

impl Role {
    /// Says whether it is of a text that matters, or has to be one.
    #[inline]
    pub(super) fn is_text(self) -> bool {
        use Role::{End, GenerateName, Generation, ManagedFields, Other, OwnerController};
        !self.is_turn() && !matches!(self, OwnerController | Generation | GenerateName | ManagedFields | Other | End)
    }

    /// Says whether labels or an owner begin or end there, and no value comes.
    #[inline]
    pub(super) fn is_turn(self) -> bool {
        matches!(self, Self::Labels | Self::LabelsEnd | Self::Owner | Self::OwnerEnd)
    }
}

/// Most texts that are kept: then all are forgotten, and learned again.
const MOST: usize = 4096;

/// Most bytes of them.
const MOST_BYTES: usize = 128 * 1024;

/// How many texts are tried in one place, those that stood there last: each costs a comparison.
const TRIED: usize = 16;

/// Most values of metadata that is learned: longer ones are rare, and would leave no room for others.
const LONGEST: usize = 256;

/// What learning a layout costs: so many objects of a known one pay for it.
const PRICE: u32 = 4;

/// Stands for no step.
const NONE: u16 = u16::MAX;

/// The layouts that one reflector has found.
#[derive(Debug)]
pub(super) struct Templates {
    /// A tree: what may come first stands behind the first one, which has no text.
    steps: Vec<Step>,
    texts: Vec<u8>,
    credit: Credit,
}

/// A text and what it says of what comes behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) role: Role,
    /// How far before the end of the text the key begins.
    pub(super) back: u16,
    pub(super) length: u16,
    start: u32,
    /// What came last behind the value, and what came last instead of this.
    behind: u16,
    instead: u16,
}

/// How one object's metadata is laid out, as it is found.
#[derive(Debug)]
pub(super) struct Trail {
    found: Vec<Found>,
    /// Where the last value ends.
    at: usize,
    /// Whether it has more values than are worth it.
    long: bool,
}

/// A text that was found.
#[derive(Debug)]
struct Found {
    text: Range<usize>,
    key: usize,
    role: Role,
}

impl Trail {
    /// Notes that a value comes at `end` whose key begins at `key`.
    pub(super) fn note(&mut self, role: Role, key: usize, end: usize) {
        if self.found.len() < LONGEST {
            self.found.push(Found { text: self.at..end, key, role });
        } else {
            self.long = true;
        }
        self.at = end;
    }

    /// Notes that the value has ended.
    pub(super) fn pass(&mut self, at: usize) {
        self.at = at;
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self { steps: Vec::new(), texts: Vec::new(), credit: Credit::new(PRICE) }
    }
}

impl Templates {
    /// The number of what each layout begins behind.
    pub(super) const START: u16 = 0;

    /// Returns the number of the step behind another one whose text comes next.
    #[inline(always)]
    pub(super) fn follow(&mut self, from: u16, rest: &[u8]) -> Option<u16> {
        self.find(from, |text| begins(rest, text))
    }

    #[inline(always)]
    pub(super) fn step(&self, number: u16) -> &Step {
        &self.steps[usize::from(number)]
    }

    /// Notes that metadata was laid out as some before it.
    pub(super) fn earn(&mut self) {
        self.credit.earn();
    }

    /// Returns what to note a layout in that begins at `at`, if it is worth its price.
    pub(super) fn trail(&mut self, at: usize) -> Option<Trail> {
        self.credit.spend().then(|| Trail { found: Vec::new(), at, long: false })
    }

    /// Learns how metadata is laid out that was read to its end.
    pub(super) fn learn(&mut self, json: &[u8], trail: &Trail) {
        let bytes: usize = trail.found.iter().map(|found| found.text.len()).sum();
        if trail.long || bytes > MOST_BYTES {
            return;
        }
        if self.steps.len() + trail.found.len() > MOST || self.texts.len() + bytes > MOST_BYTES {
            self.steps.clear();
            self.texts.clear();
        }
        if self.steps.is_empty() {
            self.steps.push(Step { role: Role::End, back: 0, length: 0, start: 0, behind: NONE, instead: NONE });
        }
        let mut at = Self::START;
        for Found { text, key, role } in &trail.found {
            let (text, back) = (&json[text.clone()], text.end - key);
            let known = self.find(at, |known| known == text);
            let Some(next) = known.or_else(|| self.add(at, text, *role, back)) else { return };
            at = next;
        }
    }

    /// Adds a step behind another one; none where it is longer than any that is worth it.
    fn add(&mut self, from: u16, text: &[u8], role: Role, back: usize) -> Option<u16> {
        let (length, back) = (text.len().try_into().ok()?, back.try_into().ok()?);
        let (number, start) = (self.steps.len() as u16, self.texts.len() as u32);
        self.texts.extend_from_slice(text);
        let instead = std::mem::replace(&mut self.steps[usize::from(from)].behind, number);
        self.steps.push(Step { role, back, length, start, behind: NONE, instead });
        Some(number)
    }

    /// Returns the number of the step behind another one whose text is right, and tries that first from now on.
    #[inline(always)]
    fn find(&mut self, from: u16, is_right: impl Fn(&[u8]) -> bool) -> Option<u16> {
        let first = self.steps.get(usize::from(from))?.behind;
        let step = self.steps.get(usize::from(first))?;
        if is_right(self.text(step)) { Some(first) } else { self.find_instead(from, first, is_right) }
    }

    #[inline(never)]
    fn find_instead(&mut self, from: u16, first: u16, is_right: impl Fn(&[u8]) -> bool) -> Option<u16> {
        let (mut before, mut number) = (first, self.step(first).instead);
        for _ in 1..TRIED {
            let step = self.steps.get(usize::from(number))?;
            let next = step.instead;
            if is_right(self.text(step)) {
                self.steps[usize::from(before)].instead = next;
                self.steps[usize::from(number)].instead = first;
                self.steps[usize::from(from)].behind = number;
                return Some(number);
            }
            (before, number) = (number, next);
        }
        None
    }

    #[inline(always)]
    fn text(&self, step: &Step) -> &[u8] {
        &self.texts[step.start as usize..][..usize::from(step.length)]
    }
}

/// Says whether one begins with the other: in line, as both are short.
#[inline(always)]
fn begins(rest: &[u8], text: &[u8]) -> bool {
    const WORD: usize = size_of::<u64>();
    const WORDS: usize = size_of::<u128>();
    let Some(rest) = rest.get(..text.len()) else { return false };
    if let (Some(first), Some(last)) = (text.first_chunk::<WORDS>(), text.last_chunk::<WORDS>()) {
        let same = rest.first_chunk() == Some(first) && rest.last_chunk() == Some(last);
        return same && (text.len() <= 2 * WORDS || rest == text);
    }
    match (text.first_chunk::<WORD>(), text.last_chunk::<WORD>()) {
        (Some(first), Some(last)) => rest.first_chunk() == Some(first) && rest.last_chunk() == Some(last),
        _ => rest.iter().eq(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns metadata that has these texts, each with a value of one byte behind it.
    fn learn<'a>(templates: &mut Templates, texts: impl IntoIterator<Item = &'a str>) {
        let (mut json, mut trail) = (String::new(), Trail { found: Vec::new(), at: 0, long: false });
        for text in texts {
            let key = json.len();
            json += text;
            trail.note(Role::Other, key, json.len());
            json.push('x');
            trail.pass(json.len());
        }
        templates.learn(json.as_bytes(), &trail);
    }

    fn knows(templates: &mut Templates, texts: &[&str]) -> bool {
        let mut at = Templates::START;
        texts.iter().all(|text| {
            let next = templates.follow(at, format!("{text}x").as_bytes());
            at = next.unwrap_or(at);
            next.is_some_and(|next| usize::from(templates.step(next).back) == text.len())
        })
    }

    #[test]
    fn texts_are_known_in_the_order_in_which_they_were_found() {
        let mut templates = Templates::default();
        assert!(!knows(&mut templates, &["{a:"]));
        learn(&mut templates, ["{a:", ",b:", "}"]);
        learn(&mut templates, ["{a:", ",c:", ",b:", "}"]);
        assert_eq!(templates.steps.len(), 1 + 3 + 3, "what both begin with is there once");
        assert!(knows(&mut templates, &["{a:", ",b:", "}"]) && knows(&mut templates, &["{a:", ",c:", ",b:", "}"]));
        for other in [&["{b:"][..], &["{a:", "}"], &["{a:", ",b:", ",c:"], &["{a:", ",b:", "}", "}"], &["{"]] {
            assert!(!knows(&mut templates, other), "{other:?}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_compared_to_its_end() {
        for length in 1..70 {
            let mut templates = Templates::default();
            let text = "a".repeat(length);
            learn(&mut templates, [text.as_str()]);
            assert!(knows(&mut templates, &[&text]));
            for at in 0..length {
                let mut other = text.clone();
                other.replace_range(at..=at, "b");
                assert_eq!(templates.follow(Templates::START, other.as_bytes()), None, "{length} {at}");
            }
            assert_eq!(templates.follow(Templates::START, &text.as_bytes()[1..]), None, "{length}");
        }
    }

    #[test]
    fn texts_and_their_bytes_are_bounded() {
        let mut templates = Templates::default();
        let (mut most, mut most_bytes) = (0, 0);
        for (length, count) in [(8, 3 * MOST), (1000, 3 * MOST_BYTES / 1000)] {
            for number in 0..count {
                let text = format!("{number:0length$}");
                learn(&mut templates, [text.as_str()]);
                assert!(knows(&mut templates, &[&text]));
                (most, most_bytes) = (most.max(templates.steps.len()), most_bytes.max(templates.texts.len()));
            }
        }
        assert_eq!(most, MOST);
        assert!((MOST_BYTES - 1000..=MOST_BYTES).contains(&most_bytes), "{most_bytes}");
        let huge = "a".repeat(MOST_BYTES + 1);
        learn(&mut templates, [huge.as_str()]);
        learn(&mut templates, [&huge[..usize::from(u16::MAX) + 1]]);
        assert!(!knows(&mut templates, &[&huge]) && !knows(&mut templates, &[&huge[..usize::from(u16::MAX) + 1]]));
    }

    #[test]
    fn metadata_of_too_many_values_is_not_learned() {
        let mut templates = Templates::default();
        learn(&mut templates, [","; LONGEST + 1]);
        assert!(!knows(&mut templates, &[","]));
        learn(&mut templates, [","; LONGEST]);
        assert!(knows(&mut templates, &[","; LONGEST]));
    }

    #[test]
    fn in_one_place_those_are_tried_that_stood_there_last() {
        let mut templates = Templates::default();
        let text = |number: usize| format!("{number:03}");
        for number in 0..10 * TRIED {
            learn(&mut templates, [text(number).as_str()]);
            assert!(knows(&mut templates, &[&text(0)]), "it is used all the time: {number}");
        }
        let known = (0..10 * TRIED).filter(|number| knows(&mut templates, &[&text(*number)])).count();
        assert_eq!(known, TRIED);
    }
}
