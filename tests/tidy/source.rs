//! Rust source split into code and comments by a scanner that knows strings, comments and nothing else.
use std::ops::Range;

/// A source file with its parts told apart. All parts have the line breaks of the original at the same places.
pub(crate) struct Source {
    /// The code: comments are blanked, the contents of strings are underscores.
    pub(crate) code: String,
    /// The comments: everything else is blanked.
    pub(crate) comments: String,
    /// The original.
    pub(crate) text: String,
    /// Whether only tests compile it.
    pub(crate) is_test: bool,
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
}

impl State {
    fn is_comment(self) -> bool {
        matches!(self, Self::LineComment | Self::BlockComment { .. })
    }
}

impl Source {
    /// Splits `text`. Bytes outside ASCII become one underscore each, so that offsets stay those of the original.
    pub(crate) fn new(text: &str) -> Self {
        let bytes: Vec<u8> = text.bytes().map(|byte| if byte.is_ascii() { byte } else { b'_' }).collect();
        let mut code = String::with_capacity(bytes.len());
        let mut comments = String::with_capacity(bytes.len());
        let mut state = State::Code;
        let mut at = 0;
        while at < bytes.len() {
            let (next, taken) = step(state, &bytes, at);
            let is_literal = state == State::Code && bytes[at] == b'\'' && taken > 1;
            for &byte in &bytes[at..at + taken] {
                let inside = is_literal || (matches!(state, State::Text { .. }) && state == next);
                let is_comment = state.is_comment() || next.is_comment();
                let blank = if byte == b'\n' { '\n' } else { ' ' };
                code.push(match byte {
                    _ if is_comment => blank,
                    b'\n' | b' ' => char::from(byte),
                    _ if inside => '_',
                    _ => char::from(byte),
                });
                comments.push(if is_comment { char::from(byte) } else { blank });
            }
            state = next;
            at += taken;
        }
        Self { code, comments, text: text.to_owned(), is_test: false }
    }

    /// Returns the line, counted from 1, of an offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// Returns the offsets at which `word` stands in the code as a word of its own.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(offset, _)| offset).filter(move |&offset| {
            let before = self.code[..offset].chars().next_back();
            let after = self.code[offset + word.len()..].chars().next();
            !before.is_some_and(is_name) && !after.is_some_and(is_name)
        })
    }

    /// Returns the block that opens at or after `from`, up to and with its closing brace. `None` where a `;` comes
    /// first, as after a declaration without a body.
    pub(crate) fn block(&self, from: usize) -> Option<Range<usize>> {
        let mut open = None;
        let (mut braces, mut others) = (0_usize, 0_usize);
        for (offset, &byte) in (from..).zip(&self.code.as_bytes()[from..]) {
            match byte {
                b'(' | b'[' => others += 1,
                b')' | b']' => others = others.saturating_sub(1),
                b';' if open.is_none() && others == 0 => return None,
                b'{' => {
                    open = open.or(Some(offset));
                    braces += 1;
                }
                b'}' => {
                    braces = braces.saturating_sub(1);
                    if let (Some(start), 0) = (open, braces) {
                        return Some(start..offset + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Returns the blocks that only tests compile.
    pub(crate) fn test_blocks(&self) -> Vec<Range<usize>> {
        let marks = ["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"];
        let starts =
            marks.iter().flat_map(|mark| self.code.match_indices(mark).map(|(offset, mark)| offset + mark.len()));
        starts.filter_map(|offset| self.block(offset)).collect()
    }

    /// Returns how many lines of `range` hold code.
    pub(crate) fn code_lines(&self, range: Range<usize>) -> usize {
        self.code[range].lines().filter(|line| !line.trim().is_empty()).count()
    }
}

/// Says whether `character` can be part of a name.
pub(crate) fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Returns the state after the token at `at`, and the length of that token.
fn step(state: State, bytes: &[u8], at: usize) -> (State, usize) {
    let rest = &bytes[at..];
    match state {
        State::Code if rest.starts_with(b"//") => (State::LineComment, 2),
        State::Code if rest.starts_with(b"/*") => (State::BlockComment { depth: 1 }, 2),
        State::Code if rest[0] == b'"' => (State::Text { hashes: None }, 1),
        State::Code if rest[0] == b'r' && !at.checked_sub(1).is_some_and(|before| continues_name(bytes, before)) => {
            let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
            match rest.get(1 + hashes) {
                Some(b'"') => (State::Text { hashes: Some(hashes) }, 2 + hashes),
                _ => (State::Code, 1),
            }
        }
        State::Code if rest[0] == b'\'' => (State::Code, character(rest)),
        State::LineComment if rest[0] == b'\n' => (State::Code, 1),
        State::BlockComment { depth } if rest.starts_with(b"/*") => (State::BlockComment { depth: depth + 1 }, 2),
        State::BlockComment { depth: 1 } if rest.starts_with(b"*/") => (State::Code, 2),
        State::BlockComment { depth } if rest.starts_with(b"*/") => (State::BlockComment { depth: depth - 1 }, 2),
        State::Text { hashes: None } if rest[0] == b'\\' && rest.len() > 1 => (state, 2),
        State::Text { hashes: None } if rest[0] == b'"' => (State::Code, 1),
        State::Text { hashes: Some(hashes) } if rest[0] == b'"' && closes(rest, hashes) => (State::Code, 1 + hashes),
        _ => (state, 1),
    }
}

/// Says whether the byte before an `r` makes it the tail of a name; in `br"..."` and `cr"..."` it does not.
fn continues_name(bytes: &[u8], before: usize) -> bool {
    let alone = before.checked_sub(1).is_none_or(|first| !is_name(char::from(bytes[first])));
    is_name(char::from(bytes[before])) && !(matches!(bytes[before], b'b' | b'c') && alone)
}

fn closes(rest: &[u8], hashes: usize) -> bool {
    rest.len() > hashes && rest[1..=hashes].iter().all(|&byte| byte == b'#')
}

/// Returns the length of a character literal, or 1 for the quote of a lifetime.
fn character(rest: &[u8]) -> usize {
    let window = &rest[..rest.len().min(16)];
    match window.get(1) {
        Some(b'\\') => window.iter().skip(3).position(|&byte| byte == b'\'').map_or(1, |end| end + 4),
        Some(_) => {
            let end = window.iter().skip(2).take(4).position(|&byte| byte == b'\'').map_or(0, |end| end + 3);
            let is_literal = end == 3 || (end > 3 && window[1..end - 1].iter().all(|&byte| byte == b'_'));
            if is_literal { end } else { 1 }
        }
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn check(text: &str, code: &str, comments: &str) {
        let source = Source::new(text);
        assert_eq!(source.code.trim_end(), code, "code of {text}");
        assert_eq!(source.comments.trim(), comments, "comments of {text}");
    }

    #[test]
    fn comments_and_strings_are_told_from_code() {
        check("a // b", "a", "// b");
        check("/* a /* b */ c */ d", "                  d", "/* a /* b */ c */");
        check(r#"let a = "x // \" y"; b"#, r#"let a = "_ __ __ _"; b"#, "");
        check(r##"r#"a"b"# c"##, r##"r#"___"# c"##, "");
        check(r#"br"\" c"#, r#"br"_" c"#, "");
        check("r#type // a", "r#type", "// a");
        check("fn f<'a>(x: &'a str) {} // b", "fn f<'a>(x: &'a str) {}", "// b");
    }

    #[test]
    fn quotes_and_braces_in_character_literals_do_not_count() {
        let source = Source::new("fn f() { match c { '{' => 1, '\\'' => 2, '\"' => 3, _ => 4 } } struct A;");
        let block = source.block(0).map(|range| source.line(range.end));
        assert_eq!(block, Some(1));
    }

    #[test]
    fn a_block_ends_at_its_own_brace() {
        let source = Source::new("fn f() -> [u8; 2] {\n  { a }\n}\nfn g();");
        let block = source.block(0).expect("f has a body");
        assert_eq!((source.line(block.end), source.code_lines(block)), (3, 3));
        assert_eq!(source.block(source.code.find("fn g").expect("g")), None);
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(Source::new("fn a fnord(xfn) fn").words("fn").count(), 2);
    }
}
