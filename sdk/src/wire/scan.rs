//! A strict JSON scanner over one value in memory: positions instead of values, no recursion, no allocation.
use std::borrow::Cow;
use std::ops::Range;

use super::Error;

/// Deepest nesting accepted. serde_json decodes 128 levels and the API server 10,000; what lies between can be kept and
/// handed on, and its decoding fails where somebody asks for it.
pub(crate) const MAX_NESTING: usize = 1024;

/// Reads JSON from the front to the back.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a [u8]) -> Result<Self, Error> {
        match std::str::from_utf8(json) {
            Ok(text) => Ok(Self { text, at: 0 }),
            Err(error) => Err(Error::Malformed { problem: "it is not UTF-8", at: error.valid_up_to() }),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// Returns the next byte that is no white space, without taking it.
    pub(super) fn peek(&mut self) -> Result<u8, Error> {
        self.space();
        self.text.as_bytes().get(self.at).copied().ok_or_else(|| self.error("it ends too early"))
    }

    /// Takes the next byte that is no white space if it is `expected`.
    pub(super) fn take(&mut self, expected: u8) -> bool {
        self.space();
        let taken = self.text.as_bytes().get(self.at) == Some(&expected);
        self.at += usize::from(taken);
        taken
    }

    /// Checks that nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("something follows the value")) }
    }

    /// Visits the members of the object that comes next: `visit` is called with the position of the key and the key, and
    /// takes the value.
    pub(super) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Self, Range<usize>, Cow<'a, str>) -> Result<(), Error>,
    ) -> Result<Range<usize>, Error> {
        let start = self.open(b'{', "an object is expected")?;
        let mut comma = None;
        if !self.take(b'}') {
            loop {
                let before = comma.unwrap_or(usize::MAX);
                self.space();
                let key_at = self.at;
                let key = self.string()?;
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
        self.space();
        let start = self.at;
        let escaped = self.skip_string()?;
        let inner = &self.text[start + 1..self.at - 1];
        if !escaped {
            return Ok(Cow::Borrowed(inner));
        }
        let decoded = serde_json::from_str(&self.text[start..self.at]);
        decoded
            .map(Cow::Owned)
            .map_err(|_| Error::Malformed { problem: "an escape stands for no character", at: start })
    }

    /// Takes any value, checks it, and returns where it stands.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, Error> {
        self.space();
        let start = self.at;
        let mut nesting = Nesting::default();
        loop {
            if self.skip_start(&mut nesting)? {
                continue;
            }
            loop {
                let Some(container) = nesting.innermost() else { return Ok(start..self.at) };
                if self.take(b',') {
                    if container == Container::Object {
                        self.skip_key()?;
                    }
                    break;
                }
                match container {
                    Container::Object => self.close(b'}', "a comma or the end of the object is expected")?,
                    Container::Array => self.close(b']', "a comma or the end of the array is expected")?,
                }
                nesting.leave();
            }
        }
    }

    /// Takes a scalar, an empty container, or the opening of one that is not empty: then the answer is true, and a value
    /// comes next.
    fn skip_start(&mut self, nesting: &mut Nesting) -> Result<bool, Error> {
        match self.peek()? {
            b'{' => {
                self.at += 1;
                if self.take(b'}') {
                    return Ok(false);
                }
                nesting.enter(Container::Object).ok_or_else(|| self.error("it is nested too deeply"))?;
                self.skip_key()?;
                return Ok(true);
            }
            b'[' => {
                self.at += 1;
                if self.take(b']') {
                    return Ok(false);
                }
                nesting.enter(Container::Array).ok_or_else(|| self.error("it is nested too deeply"))?;
                return Ok(true);
            }
            b'"' => {
                self.skip_string()?;
            }
            b'-' | b'0'..=b'9' => self.skip_number()?,
            _ => self.skip_literal()?,
        }
        Ok(false)
    }

    fn skip_key(&mut self) -> Result<(), Error> {
        self.space();
        self.skip_string()?;
        self.close(b':', "a colon is expected")
    }

    /// Takes a string and says whether it holds an escape.
    fn skip_string(&mut self) -> Result<bool, Error> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return Err(self.error("a string is expected"));
        }
        let (mut at, mut escaped) = (self.at + 1, false);
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += match bytes.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u')
                            if bytes.len() > at + 5 && bytes[at + 2..at + 6].iter().all(u8::is_ascii_hexdigit) =>
                        {
                            6
                        }
                        _ => return Err(Error::Malformed { problem: "an escape is not one of JSON", at }),
                    };
                }
                Some(0..0x20) => return Err(Error::Malformed { problem: "a string holds a control character", at }),
                Some(_) => at += 1,
                None => return Err(Error::Malformed { problem: "a string does not end", at }),
            }
        }
        self.at = at + 1;
        Ok(escaped)
    }

    fn skip_number(&mut self) -> Result<(), Error> {
        let _ = self.take(b'-');
        match self.digits() {
            (0, _) => return Err(self.error("a digit is expected")),
            (2.., b'0') => return Err(self.error("a number starts with zero")),
            _ => {}
        }
        if self.text.as_bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits().0 == 0 {
                return Err(self.error("a digit is expected"));
            }
        }
        if let Some(b'e' | b'E') = self.text.as_bytes().get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.as_bytes().get(self.at) {
                self.at += 1;
            }
            if self.digits().0 == 0 {
                return Err(self.error("a digit is expected"));
            }
        }
        Ok(())
    }

    /// Takes digits and returns how many, and the first.
    fn digits(&mut self) -> (usize, u8) {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count, rest.first().copied().unwrap_or_default())
    }

    fn skip_literal(&mut self) -> Result<(), Error> {
        for literal in ["true", "false", "null"] {
            if self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
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

    fn close(&mut self, byte: u8, problem: &'static str) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.error(problem)) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    fn error(&self, problem: &'static str) -> Error {
        Error::Malformed { problem, at: self.at }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The open containers, one bit each: hostile nesting costs no memory.
#[derive(Default)]
struct Nesting {
    bits: [u64; MAX_NESTING / 64],
    depth: usize,
}

impl Nesting {
    fn enter(&mut self, container: Container) -> Option<()> {
        let word = self.bits.get_mut(self.depth / 64)?;
        let bit = 1 << (self.depth % 64);
        match container {
            Container::Object => *word |= bit,
            Container::Array => *word &= !bit,
        }
        self.depth += 1;
        Some(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<Container> {
        let top = self.depth.checked_sub(1)?;
        let object = self.bits[top / 64] >> (top % 64) & 1 == 1;
        Some(if object { Container::Object } else { Container::Array })
    }
}
