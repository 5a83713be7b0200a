//! Habits that the compiler lets pass: ignored tests, sleeps, loose ends, unexplained panics.
use std::ops::Range;

use crate::Offence;
use crate::source::{Source, is_name};

/// The crates whose code runs in other people's processes and compilers.
const LIBRARIES: [&str; 3] = ["sdk/src/", "sdk-macros/src/", "sdk-apiserver/src/"];

/// The code under `tests/` that is no test: it drives, delays or measures outside processes, which takes real time.
const PROGRAMS: [&str; 4] = ["tests/controlplane/src/", "tests/faults/src/", "tests/bench/src/", "tests/bench/peers/"];

/// What a test says that runs on tokio's paused clock.
const PAUSED: &str = "start_paused = true";

/// Finds tests that do not run, and tests that wait for time to pass.
pub(crate) fn tests(path: &str, source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (offset, _) in source.code.match_indices("#[ignore") {
        let advice = "run the test, or delete it: an ignored test proves nothing";
        offences.push(Offence::new(path, source.line(offset), advice));
    }
    let blocks = source.test_blocks();
    // Under a paused clock a sleep takes no time: it lets everything else come to rest, and says until when.
    let functions = test_functions(source);
    for word in ["sleep", "sleep_until", "sleep_ms"] {
        for offset in source.words(word) {
            let is_call = source.code[offset + word.len()..].starts_with('(');
            let is_test = source.is_test || blocks.iter().any(|block| block.contains(&offset));
            let before = &source.code[..offset];
            let is_paused = match functions.iter().find(|(block, _)| block.contains(&offset)) {
                Some((_, is_paused)) => *is_paused,
                // A helper of paused tests; `clock` is the door that the tests of the sdk close.
                None => before.ends_with("clock::") || source.code.contains(PAUSED),
            };
            if is_call && is_test && (!is_paused || before.ends_with("thread::")) {
                let advice = "wait for the event, or pause the clock of the test: a sleep is a guess";
                offences.push(Offence::new(path, source.line(offset), advice));
            }
        }
    }
    offences
}

/// Returns the bodies of test functions, and whether their clock is paused.
fn test_functions(source: &Source) -> Vec<(Range<usize>, bool)> {
    let starts = ["#[test]", "#[tokio::test"].into_iter().flat_map(|mark| source.code.match_indices(mark));
    let function = |(offset, _): (usize, &str)| {
        let block = source.block(offset)?;
        let is_paused = source.code[offset..block.start].contains(PAUSED);
        Some((block, is_paused))
    };
    starts.filter_map(function).collect()
}

/// Finds loose ends.
pub(crate) fn unfinished(path: &str, source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for name in ["todo", "unimplemented", "dbg"] {
        for offset in source.words(name).filter(|offset| source.code[offset + name.len()..].starts_with('!')) {
            offences.push(Offence::new(path, source.line(offset), format!("finish it: `{name}!` is not code")));
        }
    }
    for mark in [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X"), concat!("HA", "CK")] {
        for (offset, _) in
            source.comments.match_indices(mark).filter(|(offset, _)| is_word(&source.comments, *offset, mark))
        {
            let advice = format!("do it, or file an issue: `{mark}` is read by nobody");
            offences.push(Offence::new(path, source.line(offset), advice));
        }
    }
    // Skeletons stand where several hands build at once; none may reach a release.
    for (offset, call) in source.text.match_indices(concat!("panic!(\"skel", "eton\"")) {
        if source.code[offset..].starts_with(&call[..7]) {
            offences.push(Offence::new(path, source.line(offset), "write the body"));
        }
    }
    offences
}

/// Finds `unwrap` and `expect` in libraries without a comment before the statement that says why they cannot fail.
pub(crate) fn panics(path: &str, source: &Source) -> Vec<Offence> {
    if !LIBRARIES.iter().any(|library| path.starts_with(library)) || source.is_test {
        return Vec::new();
    }
    let blocks = source.test_blocks();
    let mut offences = Vec::new();
    for call in [".unwrap()", ".expect(", ".unwrap_err()", ".expect_err("] {
        for (offset, _) in source.code.match_indices(call) {
            let line = source.line(offset);
            if !blocks.iter().any(|block| block.contains(&offset)) && !is_explained(source, line) {
                let advice = format!("return an error, or say in a comment on the line before why `{call}` holds");
                offences.push(Offence::new(path, line, advice));
            }
        }
    }
    offences
}

/// Says whether a comment stands at the end of the line, or right before the statement it belongs to.
fn is_explained(source: &Source, line: usize) -> bool {
    let code: Vec<&str> = source.code.lines().collect();
    let comments: Vec<&str> = source.comments.lines().collect();
    let has_comment = |line: usize| comments.get(line).is_some_and(|comment| !comment.trim().is_empty());
    let mut at = line - 1;
    while at > 0 && !has_comment(at) && code[at].trim_start().starts_with(['.', ')', '}']) {
        at -= 1;
    }
    has_comment(at) || (at > 0 && has_comment(at - 1))
}

/// Says whether the path alone makes it a file of tests.
pub(crate) fn is_test_file(path: &str) -> bool {
    !PROGRAMS.iter().any(|program| path.starts_with(program))
        && (path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs"))
}

fn is_word(text: &str, offset: usize, word: &str) -> bool {
    let before = text[..offset].chars().next_back();
    let after = text[offset + word.len()..].chars().next();
    !before.is_some_and(is_name) && !after.is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn check(check: fn(&str, &Source) -> Vec<crate::Offence>, path: &str, text: &str, expected: &[usize]) {
        let source = Source { is_test: super::is_test_file(path), ..Source::new(text) };
        let found: Vec<usize> = check(path, &source).into_iter().map(|offence| offence.line).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }

    #[test]
    fn ignored_tests_and_sleeps_are_found() {
        check(super::tests, "sdk/src/a.rs", "\n#[ignore = \"slow\"]\nfn f() {}", &[2]);
        check(super::tests, "sdk/src/a.rs", "#[cfg(test)]\nmod tests {\n fn f() { sleep(1) }\n}", &[3]);
        check(super::tests, "tests/flow/a.rs", "fn f() { thread::sleep(PERIOD) }", &[1]);
        let paused = "#[tokio::test(start_paused = true)]\nasync fn f() { sleep(MS).await; }\nfn g() { sleep(MS) }";
        check(super::tests, "tests/flow/a.rs", paused, &[]);
        check(super::tests, "tests/flow/a.rs", &paused.replace("sleep", "thread::sleep"), &[2, 3]);
        check(super::tests, "tests/flow/a.rs", &paused.replace("(start_paused = true)", ""), &[2, 3]);
        check(super::tests, "sdk/src/a/tests.rs", "async fn f() { clock::sleep(MS).await }", &[]);
        check(super::tests, "sdk/src/a/tests.rs", "#[tokio::test]\nasync fn f() { clock::sleep(MS).await }", &[2]);
    }

    #[test]
    fn loose_ends_are_found() {
        check(super::unfinished, "a.rs", "fn f() {\n todo!()\n}\n// FIXME later", &[2, 4]);
        check(super::unfinished, "a.rs", "fn f() { dbg!(1); unimplemented!() }", &[1, 1]);
        check(super::unfinished, "a.rs", concat!("fn f() { panic!(\"skel", "eton\") }"), &[1]);
        check(super::unfinished, "a.rs", "fn f() { g(\"todo!() FIXME\") } // nothing to do", &[]);
    }

    #[test]
    fn unexplained_panics_are_found() {
        check(super::panics, "sdk/src/a.rs", "fn f() {\n a.unwrap();\n}", &[2]);
        check(super::panics, "sdk/src/a.rs", "fn f() {\n // Never empty.\n a.b()\n  .expect(\"c\");\n}", &[]);
        check(super::panics, "sdk/src/a.rs", "#[cfg(test)]\nmod tests {\n fn f() { a.unwrap() }\n}", &[]);
        check(super::panics, "tests/flow/a.rs", "fn f() { a.unwrap() }", &[]);
    }
}
