//! The one direction of imports in the sdk: a module imports from lower layers and from itself.
use crate::Offence;
use crate::layout::declarations;
use crate::source::{Source, is_name};
use crate::tree::Tree;

/// The layers, lowest first. ARCHITECTURE.md draws them; the numbers here are those of the drawing.
const LAYERS: [&[&str]; 14] = [
    &["resource", "clock", "protobuf"],
    &["declare", "metrics"],
    &["client", "wire"],
    &["reflector"],
    &["delta", "store"],
    &["informer"],
    &["queue", "apply", "recorder", "interop"],
    &["reconcile"],
    &["controller", "dependents"],
    &["operator", "election", "shard", "admission", "admin"],
    &["manager"],
    &["testing"],
    &["cli"],
    // Re-exports for generated code, which stands above everything.
    &["__private"],
];

const ROOT: &str = "sdk/src/";

/// Finds imports that go up or sideways.
pub(crate) fn imports(tree: &Tree) -> Vec<Offence> {
    let files = tree.rust().into_iter().filter(|(path, _)| path.starts_with(ROOT));
    files.flat_map(|(path, text)| file(path, &Source::new(text))).collect()
}

/// Finds modules that the table does not know.
pub(crate) fn unlisted(tree: &Tree) -> Vec<Offence> {
    let files = tree.rust().into_iter().filter_map(|(path, _)| Some((path, module(path)?.first()?.clone())));
    let unknown = files.filter(|(_, name)| layer(name).is_none());
    unknown
        .map(|(path, name)| Offence::new(path, 1, format!("give `{name}` a layer in tests/tidy/layers.rs")))
        .collect()
}

fn file(path: &str, source: &Source) -> Vec<Offence> {
    let Some(own) = module(path) else { return Vec::new() };
    // The root only lists and re-exports.
    let Some(name) = own.first() else { return Vec::new() };
    let Some(here) = layer(name) else { return Vec::new() };
    let mut offences = Vec::new();
    for (offset, target) in targets(source, &own) {
        let line = source.line(offset);
        match layer(&target) {
            _ if target == *name => {}
            Some(there) if there < here => {}
            Some(there) => {
                let advice = format!(
                    "`{name}` (layer {here}) may not import `{target}` (layer {there}): move what both need down"
                );
                offences.push(Offence::new(path, line, advice));
            }
            None => {
                let advice = format!("import `{target}` from the module it lives in, not from the crate root");
                offences.push(Offence::new(path, line, advice));
            }
        }
    }
    offences
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&name))
}

/// Returns the path of a module inside the sdk; the root is the empty path.
fn module(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix(ROOT)?.strip_suffix(".rs")?;
    Some(inner.split('/').filter(|part| *part != "lib").map(str::to_owned).collect())
}

/// Returns the top-level name behind each path that starts at the crate root, with its offset.
fn targets(source: &Source, own: &[String]) -> Vec<(usize, String)> {
    let blocks: Vec<_> = declarations(source).into_iter().filter_map(|declaration| declaration.block).collect();
    let mut found = Vec::new();
    for root in ["crate", "kubewright"] {
        for offset in source.words(root) {
            found.extend(heads(&source.code, offset + root.len()));
        }
    }
    for offset in source.words("super") {
        // Only the first `super` of a chain counts the steps.
        if source.code[..offset].ends_with("super::") {
            continue;
        }
        let deep = own.len() + blocks.iter().filter(|block| block.contains(&offset)).count();
        let steps = source.code[offset..].split("::").take_while(|part| *part == "super").count();
        match deep.checked_sub(steps) {
            Some(0) => found.extend(heads(&source.code, offset + steps * "super::".len() - "::".len())),
            _ => found.push((offset, own[0].clone())),
        }
    }
    found
}

/// Returns the first names after a `::` at `from`: one, or those of a group.
fn heads(code: &str, from: usize) -> Vec<(usize, String)> {
    let Some(rest) = code[from..].strip_prefix("::") else { return Vec::new() };
    let start = from + "::".len();
    let Some(group) = rest.strip_prefix('{') else {
        let name: String = rest.chars().take_while(|&character| is_name(character)).collect();
        return if name.is_empty() { vec![(start, "*".to_owned())] } else { vec![(start, name)] };
    };
    let (mut depth, mut names, mut is_start) = (0_usize, Vec::new(), true);
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            _ if is_start && is_name(character) => {
                let name = group[offset..].chars().take_while(|&character| is_name(character)).collect();
                names.push((start + 1 + offset, name));
                is_start = false;
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::Tree;

    fn check(path: &str, text: &str, lines: &[usize]) {
        let found: Vec<usize> =
            super::imports(&Tree::of(&[(path, text)])).into_iter().map(|offence| offence.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn imports_from_lower_layers_and_from_the_own_module_pass() {
        check("sdk/src/store.rs", "use crate::reflector::Delta;\nuse crate::store::index;\n// crate::manager", &[]);
        check("sdk/src/store/lister.rs", "use super::index;\nuse super::super::resource::Kind;", &[]);
        check("sdk/src/store.rs", "mod tests {\n use super::*;\n use super::super::wire::A;\n}", &[]);
        check("sdk/src/lib.rs", "pub use crate::cli::main;", &[]);
    }

    #[test]
    fn imports_from_above_and_beside_are_found() {
        check("sdk/src/store.rs", "\nuse crate::informer::Informer;", &[2]);
        check("sdk/src/store.rs", "use crate::delta::channel;", &[1]);
        check("sdk/src/wire.rs", "use crate::{\n resource::{Kind, Scope},\n store,\n};", &[3]);
        check("sdk/src/store.rs", "use super::informer::Informer;", &[1]);
        check("sdk/src/store/lister.rs", "use super::super::informer;", &[1]);
        check("sdk/src/store.rs", "mod tests {\n use super::super::informer;\n}", &[2]);
        check("sdk/src/client.rs", "fn f() { kubewright::manager::run() }", &[1]);
    }

    #[test]
    fn names_taken_from_the_root_are_found() {
        check("sdk/src/store.rs", "use crate::Lister;\nuse crate::*;", &[1, 2]);
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        let tree = Tree::of(&[("sdk/src/lib.rs", ""), ("sdk/src/wire.rs", ""), ("sdk/src/fog/deep.rs", "")]);
        let found: Vec<String> = super::unlisted(&tree).into_iter().map(|offence| offence.path).collect();
        assert_eq!(found, ["sdk/src/fog/deep.rs"]);
    }
}
