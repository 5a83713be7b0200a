//! Splits the body of a list into items as it arrives: the most that is in memory is one item and one chunk.
use bytes::Bytes;
use serde::Deserialize;

use crate::resource::ResourceVersion;

use super::models::Models;
use super::object::Scanned;
use super::scan::Scanner;
use super::{Error, MAX_OBJECT_BYTES};

/// Largest part of a list outside its items that is of use: kind, and metadata with its continue token. Others may be as large
/// as an item.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a list says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListHead {
    /// The version that the list is exact at.
    pub(crate) version: ResourceVersion,
    /// What the next page must be asked for with, unless this is the last.
    pub(crate) continue_token: Option<String>,
}

/// Finds the items of a list across chunks, wherever its other members stand.
///
/// An item that lies in one chunk as a whole is scanned where it lies. Of one that does not, the framing is found first, by
/// brackets and quotes, and it is scanned when it is whole.
#[derive(Debug)]
pub(crate) struct ListSplitter {
    chunk: Bytes,
    /// The last item that was put together of several chunks.
    item: Bytes,
    framing: Framing,
}

/// What has been read of the list.
#[derive(Debug)]
struct Framing {
    /// Where we are in the chunk.
    at: usize,
    place: Place,
    /// What was kept of earlier chunks of the token that is being read.
    carry: Vec<u8>,
    head: ListHead,
    seen: Seen,
}

/// Which members of the list have been read.
#[derive(Debug, Default)]
struct Seen {
    kind: bool,
    items: bool,
    metadata: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Place {
    Start,
    KeyOrEnd,
    Key,
    InKey(Skim),
    Colon(Member),
    Value(Member),
    InValue(Member, Skim),
    CommaOrEnd,
    ItemOrEnd,
    Item,
    InItem(Skim),
    CommaOrEndOfItems,
    End,
}

/// The members of a list that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Kind,
    Metadata,
    Items,
    Other,
}

impl ListSplitter {
    /// Waits for the first chunk.
    pub(crate) fn new() -> Self {
        let head = ListHead::default();
        let framing = Framing { at: 0, place: Place::Start, carry: Vec::new(), head, seen: Seen::default() };
        Self { chunk: Bytes::new(), item: Bytes::new(), framing }
    }

    /// Takes the next chunk. Every item of the one before must have been taken.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.framing.at, self.chunk.len(), "items of the last chunk were not taken");
        self.chunk = chunk;
        self.framing.at = 0;
    }

    /// Lets go of the chunk, of which every item was taken: what it shares memory with can use that again.
    pub(crate) fn let_go(&mut self) {
        self.push(Bytes::new());
    }

    /// Returns the next item; `None` when more bytes are needed.
    pub(crate) fn next_item(&mut self, models: &mut Models) -> Result<Option<Scanned<'_>>, Error> {
        self.framing.go_to_item(&self.chunk)?;
        let Place::InItem(skim) = self.framing.place else { return Ok(None) };
        if self.framing.carry.is_empty() {
            let rest = &self.chunk[self.framing.at..];
            let mut scanner = Scanner::new(&rest[..rest.len().min(MAX_OBJECT_BYTES)]);
            if let Ok(scanned) = Scanned::scan(&mut scanner, models) {
                self.framing.at += scanner.at();
                self.framing.place = Place::CommaOrEndOfItems;
                return Ok(Some(scanned));
            }
        }
        // It goes on in the next chunk, or it is not what it should be: then scanning all of it says why.
        let Some(item) = self.framing.item(&self.chunk, skim)? else { return Ok(None) };
        self.item = item;
        Scanned::parse_by(&self.item, models).map(Some)
    }

    /// Returns what the next page must be asked for with, once that was read: the API server says so before the items.
    pub(crate) fn continue_token(&self) -> Option<&str> {
        self.framing.head.continue_token.as_deref()
    }

    /// Ends the body.
    pub(crate) fn finish(self) -> Result<ListHead, Error> {
        let Framing { place, seen, head, .. } = self.framing;
        match place {
            Place::End if seen.items || seen.metadata => Ok(head),
            Place::End => Err(Error::NotAList),
            _ => Err(Error::Truncated),
        }
    }
}

impl Framing {
    /// Reads on to the next byte of an item, or to the end of the chunk.
    fn go_to_item(&mut self, chunk: &Bytes) -> Result<(), Error> {
        while self.at < chunk.len() {
            match self.place {
                Place::InItem(_) => break,
                Place::InKey(skim) => self.key(chunk, skim)?,
                Place::InValue(member, skim) => self.value(chunk, member, skim)?,
                _ => self.structure(chunk[self.at])?,
            }
        }
        Ok(())
    }

    /// Takes one byte between tokens.
    fn structure(&mut self, byte: u8) -> Result<(), Error> {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
            return Ok(());
        }
        let (next, taken) = match (self.place, byte) {
            (Place::Start, b'{') => (Place::KeyOrEnd, 1),
            (Place::KeyOrEnd | Place::Key, b'"') => (Place::InKey(Skim::default()), 0),
            (Place::KeyOrEnd | Place::CommaOrEnd, b'}') => (Place::End, 1),
            (Place::Colon(member), b':') => (Place::Value(member), 1),
            (Place::Value(Member::Items), b'[') => (Place::ItemOrEnd, 1),
            (Place::Value(member), _) => (Place::InValue(member, Skim::default()), 0),
            (Place::CommaOrEnd, b',') => (Place::Key, 1),
            (Place::ItemOrEnd | Place::CommaOrEndOfItems, b']') => (Place::CommaOrEnd, 1),
            (Place::ItemOrEnd | Place::Item, _) => (Place::InItem(Skim::default()), 0),
            (Place::CommaOrEndOfItems, b',') => (Place::Item, 1),
            _ => return Err(Error::Malformed { problem: "a list is not framed as one", at: self.at }),
        };
        self.place = next;
        self.at += taken;
        Ok(())
    }

    fn key(&mut self, chunk: &Bytes, skim: Skim) -> Result<(), Error> {
        let (skim, token) = self.token(chunk, skim, MAX_HEAD_BYTES)?;
        let Some(token) = token else {
            self.place = Place::InKey(skim);
            return Ok(());
        };
        let name: String = from_json(&token)?;
        let (member, known) = match name.as_str() {
            "kind" => (Member::Kind, &mut self.seen.kind),
            "metadata" => (Member::Metadata, &mut self.seen.metadata),
            "items" => (Member::Items, &mut self.seen.items),
            _ => {
                self.place = Place::Colon(Member::Other);
                return Ok(());
            }
        };
        // Which of two would count is anybody's guess.
        if std::mem::replace(known, true) {
            return Err(Error::Malformed { problem: "a member of the list stands twice", at: self.at });
        }
        self.place = Place::Colon(member);
        Ok(())
    }

    fn value(&mut self, chunk: &Bytes, member: Member, skim: Skim) -> Result<(), Error> {
        let limit = if member == Member::Other { MAX_OBJECT_BYTES } else { MAX_HEAD_BYTES };
        let (skim, token) = self.token(chunk, skim, limit)?;
        let Some(token) = token else {
            self.place = Place::InValue(member, skim);
            return Ok(());
        };
        // Where brackets and quotes end, there is not always a value.
        let mut scanner = Scanner::new(&token);
        scanner.skip()?;
        scanner.end()?;
        self.place = Place::CommaOrEnd;
        match member {
            Member::Kind => match from_json::<Option<String>>(&token)?.as_deref() {
                Some("Table") => return Err(Error::Table),
                Some(kind) if !kind.ends_with("List") => return Err(Error::NotAList),
                _ => {}
            },
            Member::Metadata => {
                let wire: WireHead = from_json::<Option<WireHead>>(&token)?.unwrap_or_default();
                self.head.version = ResourceVersion::new(&wire.resource_version.unwrap_or_default());
                self.head.continue_token = wire.continue_token.filter(|token| !token.is_empty());
            }
            // Go writes null for a list without items.
            Member::Items => {
                from_json::<Option<()>>(&token)?;
            }
            Member::Other => {}
        }
        Ok(())
    }

    fn item(&mut self, chunk: &Bytes, skim: Skim) -> Result<Option<Bytes>, Error> {
        let (skim, token) = self.token(chunk, skim, MAX_OBJECT_BYTES)?;
        self.place = if token.is_some() { Place::CommaOrEndOfItems } else { Place::InItem(skim) };
        Ok(token)
    }

    /// Reads on in a token; returns it when it is whole.
    fn token(&mut self, chunk: &Bytes, mut skim: Skim, limit: usize) -> Result<(Skim, Option<Bytes>), Error> {
        let start = self.at;
        let ended = skim.read(chunk, &mut self.at);
        if self.carry.len() + (self.at - start) > limit {
            return Err(Error::TooLarge { limit });
        }
        if ended && self.carry.is_empty() {
            return Ok((skim, Some(chunk.slice(start..self.at))));
        }
        self.carry.extend_from_slice(&chunk[start..self.at]);
        Ok((skim, ended.then(|| Bytes::from(std::mem::take(&mut self.carry)))))
    }
}

/// Where we are in a JSON value that may go on in the next chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Skim {
    depth: u32,
    text: Text,
    scalar: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    Escaped,
}

impl Skim {
    /// Reads from `at` on, and says whether the value has ended there. A number or literal ends before what follows it.
    fn read(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        while *at < bytes.len() {
            if self.text != Text::Outside {
                if self.read_text(bytes, at) && self.depth == 0 {
                    return true;
                }
                continue;
            }
            match bytes[*at] {
                b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if self.scalar => return true,
                b'"' => self.text = Text::Inside,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        *at += 1;
                        return true;
                    }
                }
                _ => self.scalar |= self.depth == 0,
            }
            *at += 1;
        }
        false
    }

    /// Reads on in a string, and says whether it has ended.
    fn read_text(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        if self.text == Text::Escaped {
            self.text = Text::Inside;
            *at += 1;
            return false;
        }
        match memchr::memchr2(b'"', b'\\', &bytes[*at..]) {
            None => *at = bytes.len(),
            Some(found) => {
                *at += found + 1;
                self.text = if bytes[*at - 1] == b'"' { Text::Outside } else { Text::Escaped };
            }
        }
        self.text == Text::Outside
    }
}

#[derive(Default, Deserialize)]
struct WireHead {
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continue_token: Option<String>,
}

fn from_json<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| Error::Malformed {
        problem: "the head of a list is not what the API says",
        at: error.column(),
    })
}
