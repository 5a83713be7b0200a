//! What the documents claim, held against the tree.
use crate::Offence;
use crate::tree::Tree;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const README: &str = "README.md";

/// Finds files on the code map that do not exist, and modules of the sdk that are not on it.
pub(crate) fn code_map(tree: &Tree) -> Vec<Offence> {
    let Some(map) = section(tree, ARCHITECTURE, "Code map") else {
        return vec![Offence::new(ARCHITECTURE, 1, "add a section `## Code map`")];
    };
    let named: Vec<(usize, &str)> =
        map.iter().flat_map(|(line, text)| quoted(text).map(|path| (*line, path))).collect();
    let is_path = |path: &str| path.contains('/') && !path.contains(['<', '*', ' ', ':', '{']);
    let missing = named.iter().filter(|(_, path)| is_path(path) && !tree.exists(path));
    let mut offences: Vec<Offence> =
        missing.map(|(line, path)| Offence::new(ARCHITECTURE, *line, format!("`{path}` does not exist"))).collect();
    for (path, _) in tree.rust() {
        let module = path.strip_prefix("sdk/src/").filter(|module| !module.contains('/'));
        if module.is_some() && !named.iter().any(|(_, name)| *name == path) {
            offences.push(Offence::new(path, 1, "put it on the code map of ARCHITECTURE.md"));
        }
    }
    offences
}

/// Finds workspace members that the architecture does not mention.
pub(crate) fn members(tree: &Tree) -> Vec<Offence> {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let list =
        manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    let architecture = tree.text(ARCHITECTURE).unwrap_or_default();
    let names = list.split('"').skip(1).step_by(2).map(|member| member.trim_end_matches("/*"));
    let unknown = names.filter(|member| !architecture.contains(&format!("`{member}")));
    unknown.map(|member| Offence::new(ARCHITECTURE, 1, format!("mention the workspace member `{member}`"))).collect()
}

/// Finds a changelog without a place for the next change.
pub(crate) fn changelog(tree: &Tree) -> Vec<Offence> {
    let has_place = tree.text("CHANGELOG.md").is_some_and(|text| text.lines().any(|line| line == "## [Unreleased]"));
    if has_place { Vec::new() } else { vec![Offence::new("CHANGELOG.md", 1, "add a section `## [Unreleased]`")] }
}

/// Finds examples without a section in the readme.
pub(crate) fn examples(tree: &Tree) -> Vec<Offence> {
    let text = tree.text(README).unwrap_or_default();
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    let mut folders: Vec<&str> = tree
        .files()
        .filter_map(|(path, _)| path.strip_prefix("examples/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    folders.dedup();
    let missing =
        folders.into_iter().filter(|name| !heads.iter().any(|head| head.contains(&format!("`examples/{name}`"))));
    missing.map(|name| Offence::new(README, 1, format!("add a section headed by `examples/{name}`"))).collect()
}

/// Finds paths of a home or work folder, and settings that send cargo or go to another registry.
pub(crate) fn machine(tree: &Tree) -> Vec<Offence> {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let settings = [
        concat!("replace-", "with"),
        concat!("GOPROXY", "="),
        concat!("GOFLAGS", "="),
        concat!("[source.", "crates-io]"),
        concat!("registries.", "crates-io"),
    ];
    let mut offences = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.ends_with("go.sum")) {
        for (index, line) in text.lines().enumerate() {
            if folders.iter().any(|folder| starts_a_path(line, folder)) {
                offences.push(Offence::new(path, index + 1, "write a path that holds on every machine"));
            }
            let is_foreign = path.ends_with("Cargo.lock")
                && line.starts_with("source = ")
                && !line.contains("registry+https://github.com/rust-lang/crates.io-index");
            if is_foreign || settings.iter().any(|setting| line.contains(setting)) {
                offences.push(Offence::new(path, index + 1, "leave the registry to the machine that builds"));
            }
        }
    }
    offences
}

/// Finds links between documents that lead nowhere.
pub(crate) fn links(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".md") && !path.starts_with("templates/")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (index, line) in text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
                let is_local = !target.is_empty() && !target.contains(':');
                if is_local && !tree.exists(&join(folder, target)) {
                    offences.push(Offence::new(path, index + 1, format!("the link leads nowhere: {target}")));
                }
            }
        }
    }
    offences
}

/// Returns the numbered lines of a section, up to the next heading of its level.
fn section<'a>(tree: &'a Tree, path: &str, title: &str) -> Option<Vec<(usize, &'a str)>> {
    let lines = tree.text(path)?.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut rest = lines.skip_while(|(_, line)| line.strip_prefix("## ") != Some(title));
    rest.next()?;
    Some(rest.take_while(|(_, line)| !line.starts_with("## ")).collect())
}

/// Returns what stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Says whether `folder` opens an absolute path somewhere in `line`.
fn starts_a_path(line: &str, folder: &str) -> bool {
    let opens = |offset: usize| {
        let before = line[..offset].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "._-/}~*".contains(character))
    };
    line.match_indices(folder).any(|(offset, _)| opens(offset))
}

fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{Offence, Tree};

    fn check(check: fn(&Tree) -> Vec<Offence>, files: &[(&str, &str)], expected: &[(&str, usize)]) {
        let offences = check(&Tree::of(files));
        let found: Vec<(&str, usize)> = offences.iter().map(|offence| (offence.path.as_str(), offence.line)).collect();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn a_false_code_map_is_found() {
        let map = "## Code map\n`sdk/src/a.rs` `sdk/src/gone.rs` `u.v`\n## Next\n`not/here`";
        let files = [("ARCHITECTURE.md", map), ("sdk/src/a.rs", ""), ("sdk/src/new.rs", ""), ("sdk/src/a/b.rs", "")];
        check(super::code_map, &files, &[("ARCHITECTURE.md", 2), ("sdk/src/new.rs", 1)]);
        check(super::code_map, &[("ARCHITECTURE.md", "## Other")], &[("ARCHITECTURE.md", 1)]);
    }

    #[test]
    fn forgotten_members_and_examples_are_found() {
        let manifest = ("Cargo.toml", "members = [\n \"sdk\", \"examples/*\", \"tests/new\"]");
        let architecture = ("ARCHITECTURE.md", "`sdk/` `examples/`");
        check(super::members, &[manifest, architecture], &[("ARCHITECTURE.md", 1)]);
        let example = ("examples/01-a/src/main.rs", "");
        check(super::examples, &[example, ("README.md", "see `examples/01-a`")], &[("README.md", 1)]);
        check(super::examples, &[example, ("README.md", "## A: `examples/01-a`")], &[]);
    }

    #[test]
    fn a_changelog_without_a_next_section_is_found() {
        check(super::changelog, &[("CHANGELOG.md", "## [0.1.0]")], &[("CHANGELOG.md", 1)]);
    }

    #[test]
    fn traces_of_a_machine_are_found() {
        let path = concat!("see /ho", "me/someone/x");
        let source = "source = \"registry+https://mirror.example/index\"";
        check(super::machine, &[("a.md", path), ("Cargo.lock", source)], &[("Cargo.lock", 1), ("a.md", 1)]);
        check(super::machine, &[("a.md", concat!("my/ho", "me/x and ./wo", "rk/"))], &[]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "[a](b.md) [c](../README.md#x) [d](https://e.example) [f](#g)\n[h](gone.md)";
        check(super::links, &[("docs/a.md", text), ("docs/b.md", ""), ("README.md", "")], &[("docs/a.md", 2)]);
    }
}
