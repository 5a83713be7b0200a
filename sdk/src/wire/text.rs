//! Short texts in a compact form: a UUID takes 16 bytes and no allocation, a decimal version 8.
/// A uid or an index value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Text {
    /// A UUID in the one spelling that the API server uses: lower case, with dashes.
    Uuid([u8; 16]),
    /// Anything else.
    Other(Box<str>),
}

/// A [`Text`] that is only looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TextRef<'a> {
    Uuid([u8; 16]),
    Other(&'a str),
}

impl<'a> TextRef<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        parse_uuid(text.as_bytes()).map_or(Self::Other(text), Self::Uuid)
    }

    pub(crate) fn to_text(self) -> Text {
        match self {
            Self::Uuid(bytes) => Text::Uuid(bytes),
            Self::Other(text) => Text::Other(text.into()),
        }
    }

    /// Appends the text that this was made of.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Uuid(bytes) => write_uuid(&bytes, out),
            Self::Other(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

impl Text {
    pub(crate) fn of(text: &str) -> Self {
        TextRef::of(text).to_text()
    }

    pub(crate) fn view(&self) -> TextRef<'_> {
        match self {
            Self::Uuid(bytes) => TextRef::Uuid(*bytes),
            Self::Other(text) => TextRef::Other(text),
        }
    }

    /// Appends the text that this was made of.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.view().write(out);
    }

    /// Returns how many bytes the text that this was made of has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Uuid(_) => 36,
            Self::Other(text) => text.len(),
        }
    }

    /// Returns how many bytes it holds outside of itself.
    pub(crate) fn heap(&self) -> usize {
        match self {
            Self::Uuid(_) => 0,
            Self::Other(text) => text.len(),
        }
    }
}

/// A resourceVersion that can be told from every other by its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version<'a> {
    /// A decimal as the API server writes it: no sign, no leading zero.
    Number(u64),
    /// Anything else.
    Other(&'a str),
}

impl<'a> Version<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        text.parse().ok().filter(|_| canonical).map_or(Self::Other(text), Self::Number)
    }

    /// Lends the text that this was made of to `read`.
    pub(crate) fn with_text<T>(self, read: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::Number(number) => read(itoa::Buffer::new().format(number)),
            Self::Other(text) => read(text),
        }
    }
}

const DASHES: [usize; 4] = [8, 13, 18, 23];
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Where the two digits of each byte stand.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// What a digit stands for, and [`NO_DIGIT`] for everything else.
const VALUES: [u8; 256] = {
    let (mut values, mut digit) = ([NO_DIGIT; 256], 0);
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// Has a bit that no value of a digit has.
const NO_DIGIT: u8 = 16;

pub(super) fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if DASHES.iter().any(|&at| text[at] != b'-') {
        return None;
    }
    // Without a branch for each digit: three uids come with each object, and nearly all of them are UUIDs.
    let (mut bytes, mut all) = ([0; 16], 0);
    for (byte, at) in bytes.iter_mut().zip(PLACES) {
        let (high, low) = (VALUES[usize::from(text[at])], VALUES[usize::from(text[at + 1])]);
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all & NO_DIGIT == 0).then_some(bytes)
}

/// Appends a UUID as the API server writes it.
pub(crate) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = [b'-'; 36];
    for (byte, at) in bytes.iter().zip(PLACES) {
        text[at..at + 2].copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        let check = |text: &str, compact: bool| {
            let (value, mut back) = (Text::of(text), Vec::new());
            value.write(&mut back);
            assert_eq!((back.as_slice(), matches!(value, Text::Uuid(_))), (text.as_bytes(), compact), "{text}");
        };
        check("6f1c2a3e-0123-4b7d-9c1e-0123456789ab", true);
        check("6F1C2A3E-0123-4b7d-9c1e-0123456789ab", false);
        check("6f1c2a3e00123-4b7d-9c1e-0123456789ab", false);
        check("6f1c2a3e-0123-4b7d-9c1e-0123456789a-", false);
        for at in 0..36 {
            let (mut one, mut other) = ("6f1c2a3e-0123-4b7d-9c1e-0123456789ab".to_owned(), "f".repeat(36));
            one.replace_range(at..=at, "g");
            check(&one, false);
            other.replace_range(at..=at, "-");
            check(&other, false);
        }
        check("", false);
        check("einundzwanzig-größer-als-16-byteäöüß", false);
    }

    #[test]
    fn every_version_comes_back_as_it_was() {
        let check = |text: &str, number: bool| {
            let version = Version::of(text);
            let back = version.with_text(str::to_owned);
            assert_eq!((back.as_str(), matches!(version, Version::Number(_))), (text, number), "{text}");
        };
        for number in ["0", "1", "18446744073709551615"] {
            check(number, true);
        }
        for other in ["", "00", "01", "+1", "-1", "18446744073709551616", "abc", " 1"] {
            check(other, false);
        }
    }
}
