//! A strict JSON scanner over one value in memory: positions instead of values, no recursion, and next to no allocation.
//!
//! The one walker of this module: whoever looks for something in an object does it with this, and what is skipped on the
//! way is checked on the way.
use std::borrow::Cow;
use std::ops::Range;

use super::Error;
use super::plain::Plain;

/// Deepest nesting accepted: that of the API server, or one object could stop the cache of its kind. serde_json decodes 128
/// levels; what lies between can be kept and handed on, and its decoding fails where somebody asks for it.
pub(crate) const MAX_NESTING: usize = 10_000;

/// What is nested deeper than this costs an allocation.
const SHALLOW: usize = 1024;

/// Reads JSON from the front to the back. What stands behind the value that is read is not looked at.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    plain: Plain<'a>,
    /// Of the value that is being skipped.
    nesting: Nesting,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0, plain: Plain::new(json), nesting: Nesting::default() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes on at another place.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Returns what is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.json[self.at..]
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        &self.json[range]
    }

    /// Returns the next byte that is no white space, without taking it.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Error> {
        self.space();
        self.json.get(self.at).copied().ok_or_else(|| self.error("it ends too early"))
    }

    /// Takes the next byte that is no white space if it is `expected`.
    #[inline]
    pub(super) fn take(&mut self, expected: u8) -> bool {
        // Mostly there is no white space.
        let mut taken = self.is_at(expected);
        if !taken {
            self.space();
            taken = self.is_at(expected);
        }
        self.at += usize::from(taken);
        taken
    }

    /// Checks that nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.json.len() { Ok(()) } else { Err(self.error("something follows the value")) }
    }

    /// Visits the members of the object that comes next: `visit` is called with the position of the key and the key, and
    /// takes the value.
    pub(super) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Self, Range<usize>, Cow<'a, [u8]>) -> Result<(), Error>,
    ) -> Result<Range<usize>, Error> {
        let start = self.open(b'{', "an object is expected")?;
        let mut comma = None;
        if !self.take(b'}') {
            loop {
                let before = comma.unwrap_or(usize::MAX);
                self.space();
                let key_at = self.at;
                let key = self.text()?;
                self.close(b':', "a colon is expected")?;
                visit(self, key_at..before, key)?;
                self.space();
                comma = Some(self.at);
                if !self.take(b',') {
                    break;
                }
            }
            self.close(b'}', "a comma or the end of the object is expected")?;
        }
        Ok(start..self.at)
    }

    /// Goes to the value of the member of that name in the object that comes next, and says whether there is one.
    pub(super) fn find(&mut self, name: &str) -> Result<bool, Error> {
        self.open(b'{', "an object is expected")?;
        if self.take(b'}') {
            return Ok(false);
        }
        loop {
            let key = self.text()?;
            self.close(b':', "a colon is expected")?;
            if *key == *name.as_bytes() {
                return Ok(true);
            }
            self.skip()?;
            if !self.take(b',') {
                return Ok(false);
            }
        }
    }

    /// Visits the elements of the array that comes next; `visit` takes each.
    pub(super) fn elements(&mut self, mut visit: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.open(b'[', "an array is expected")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            visit(self)?;
            if !self.take(b',') {
                return self.close(b']', "a comma or the end of the array is expected");
            }
        }
    }

    /// Takes a string and returns what it stands for.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.at;
        let text = match self.text()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
        };
        text.ok_or(Error::Malformed { problem: NO_UTF8, at: start })
    }

    /// Takes a string and returns the bytes of what it stands for. They are UTF-8, which is checked where they are not
    /// plain, and need not be checked again by who only compares or copies them.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        match self.plain_text() {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => self.strange_text(),
        }
    }

    /// Takes the string that stands right here if it is plain.
    #[inline(always)]
    fn plain_text(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        if !self.is_at(b'"') {
            return None;
        }
        let end = self.plain.end(start);
        let text = if self.json.get(end) == Some(&b'"') { self.json.get(start..end) } else { None };
        self.at = if text.is_some() { end + 1 } else { self.at };
        text
    }

    #[inline(never)]
    fn strange_text(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.space();
        let start = self.at;
        let escaped = self.skip_string()?;
        if !escaped {
            return Ok(Cow::Borrowed(&self.json[start + 1..self.at - 1]));
        }
        let decoded: Result<String, _> = serde_json::from_slice(&self.json[start..self.at]);
        decoded
            .map(|text| Cow::Owned(text.into_bytes()))
            .map_err(|_| Error::Malformed { problem: "an escape stands for no character", at: start })
    }

    /// Takes any value, checks it, and returns where it stands.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, Error> {
        self.skip_within(0)
    }

    /// Takes a value that stands in so many containers.
    pub(super) fn skip_within(&mut self, depth: usize) -> Result<Range<usize>, Error> {
        self.space();
        let start = self.at;
        (self.nesting.around, self.nesting.depth) = (depth, depth);
        while self.skip_start()? || self.skip_ends()? {}
        Ok(start..self.at)
    }

    /// Takes what may stand behind a value: closing brackets, then the comma before the next value. Says whether there is one.
    #[inline]
    fn skip_ends(&mut self) -> Result<bool, Error> {
        while let Some(container) = self.nesting.innermost() {
            match (self.peek()?, container) {
                (b',', Container::Array) => {
                    self.at += 1;
                    return Ok(true);
                }
                (b',', Container::Object) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(true);
                }
                (b'}', Container::Object) | (b']', Container::Array) => {
                    self.at += 1;
                    self.nesting.leave();
                }
                (_, Container::Object) => return Err(self.error("a comma or the end of the object is expected")),
                (_, Container::Array) => return Err(self.error("a comma or the end of the array is expected")),
            }
        }
        Ok(false)
    }

    /// Takes a scalar, an empty container, or the opening of one that is not empty: then the answer is true, and a value
    /// comes next.
    #[inline]
    fn skip_start(&mut self) -> Result<bool, Error> {
        match self.peek()? {
            b'"' => {
                self.skip_string()?;
            }
            b'{' => {
                self.at += 1;
                if self.take(b'}') {
                    return Ok(false);
                }
                self.enter(Container::Object)?;
                self.key()?;
                return Ok(true);
            }
            b'[' => {
                self.at += 1;
                if self.take(b']') {
                    return Ok(false);
                }
                self.enter(Container::Array)?;
                return Ok(true);
            }
            b'-' | b'0'..=b'9' => self.skip_number()?,
            _ => self.skip_literal()?,
        }
        Ok(false)
    }

    /// Says whether this byte stands right here.
    #[inline]
    pub(super) fn is_at(&self, byte: u8) -> bool {
        self.json.get(self.at) == Some(&byte)
    }

    /// Takes the string, the number or the literal that stands right here, and says whether there is one.
    #[inline]
    pub(super) fn skip_token(&mut self) -> bool {
        match self.json.get(self.at) {
            Some(b'"') => self.skip_string().is_ok(),
            Some(b'-' | b'0'..=b'9') => self.skip_number().is_ok(),
            _ => self.skip_literal().is_ok(),
        }
    }

    fn enter(&mut self, container: Container) -> Result<(), Error> {
        self.nesting.enter(container).ok_or_else(|| self.error("it is nested too deeply"))
    }

    /// Takes a key and the colon behind it.
    #[inline]
    pub(super) fn key(&mut self) -> Result<(), Error> {
        self.space();
        self.skip_string()?;
        self.close(b':', "a colon is expected")
    }

    /// Takes a string and says whether it holds an escape.
    #[inline]
    fn skip_string(&mut self) -> Result<bool, Error> {
        if self.plain_text().is_some() {
            return Ok(false);
        }
        if !self.is_at(b'"') {
            return Err(self.error("a string is expected"));
        }
        let end = self.plain.end(self.at + 1);
        self.skip_strange(end)
    }

    /// Takes the rest of a string with something else than plain characters at `at`.
    #[inline(never)]
    fn skip_strange(&mut self, mut at: usize) -> Result<bool, Error> {
        let (json, start) = (self.json, self.at + 1);
        let (mut escaped, mut foreign) = (false, false);
        loop {
            match json.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += match json.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if json.len() > at + 5 && json[at + 2..at + 6].iter().all(u8::is_ascii_hexdigit) => {
                            6
                        }
                        _ => return Err(Error::Malformed { problem: "an escape is not one of JSON", at }),
                    };
                }
                Some(0..0x20) => return Err(Error::Malformed { problem: "a string holds a control character", at }),
                Some(0x80..) => {
                    foreign = true;
                    at += 1;
                }
                Some(_) => at = self.plain.end(at),
                None => return Err(Error::Malformed { problem: "a string does not end", at }),
            }
        }
        if foreign && let Err(error) = std::str::from_utf8(&json[start..at]) {
            return Err(Error::Malformed { problem: NO_UTF8, at: start + error.valid_up_to() });
        }
        self.at = at + 1;
        Ok(escaped)
    }

    #[inline]
    fn skip_number(&mut self) -> Result<(), Error> {
        self.at += usize::from(self.is_at(b'-'));
        match self.digits() {
            (0, _) => return Err(self.error("a digit is expected")),
            (2.., b'0') => return Err(self.error("a number starts with zero")),
            _ => {}
        }
        if self.is_at(b'.') {
            self.at += 1;
            if self.digits().0 == 0 {
                return Err(self.error("a digit is expected"));
            }
        }
        if let Some(b'e' | b'E') = self.json.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.json.get(self.at) {
                self.at += 1;
            }
            if self.digits().0 == 0 {
                return Err(self.error("a digit is expected"));
            }
        }
        Ok(())
    }

    /// Takes digits and returns how many, and the first.
    #[inline]
    fn digits(&mut self) -> (usize, u8) {
        let rest = &self.json[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count, rest.first().copied().unwrap_or_default())
    }

    fn skip_literal(&mut self) -> Result<(), Error> {
        for literal in [&b"true"[..], b"false", b"null"] {
            if self.rest().starts_with(literal) {
                self.at += literal.len();
                return Ok(());
            }
        }
        Err(self.error("a value is expected"))
    }

    fn open(&mut self, bracket: u8, problem: &'static str) -> Result<usize, Error> {
        self.close(bracket, problem)?;
        Ok(self.at - 1)
    }

    #[inline]
    pub(super) fn close(&mut self, byte: u8, problem: &'static str) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.error(problem)) }
    }

    #[inline(always)]
    fn space(&mut self) {
        if self.json.get(self.at).is_none_or(|byte| *byte > b' ') {
            return;
        }
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.json.get(self.at) {
            self.at += 1;
        }
    }

    #[cold]
    fn error(&self, problem: &'static str) -> Error {
        Error::Malformed { problem, at: self.at }
    }
}

const NO_UTF8: &str = "it is not UTF-8";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The open containers, one bit each: hostile nesting costs little memory.
#[derive(Clone, Debug, Default)]
struct Nesting {
    bits: [u64; SHALLOW / 64],
    /// The bits of what is deeper.
    deep: Vec<u64>,
    depth: usize,
    /// How many containers were open before.
    around: usize,
}

impl Nesting {
    fn enter(&mut self, container: Container) -> Option<()> {
        let bit = 1 << (self.depth % 64);
        let word = match self.bits.get_mut(self.depth / 64) {
            Some(word) => word,
            None => self.deep_word()?,
        };
        match container {
            Container::Object => *word |= bit,
            Container::Array => *word &= !bit,
        }
        self.depth += 1;
        Some(())
    }

    #[cold]
    fn deep_word(&mut self) -> Option<&mut u64> {
        let at = (self.depth - SHALLOW) / 64;
        if self.depth >= MAX_NESTING {
            return None;
        }
        if self.deep.len() <= at {
            self.deep.resize(at + 1, 0);
        }
        self.deep.get_mut(at)
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<Container> {
        let top = if self.depth > self.around { self.depth - 1 } else { return None };
        let word = self.bits.get(top / 64).unwrap_or_else(|| &self.deep[(top - SHALLOW) / 64]);
        let object = word >> (top % 64) & 1 == 1;
        Some(if object { Container::Object } else { Container::Array })
    }
}
