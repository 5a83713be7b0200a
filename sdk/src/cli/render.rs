//! `render`: the desired children of custom resources in files, as YAML, without a cluster.
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::operator::Operator;
use crate::resource::{ResourceType, Scope};

use super::args::RenderArgs;
use super::manifests::Documents;

/// Renders every custom resource of ours that the files hold.
pub(super) fn render(operators: &[Operator], args: &RenderArgs) -> Result<Vec<u8>, String> {
    let mut renderer = Renderer::new(operators, &args.namespace);
    for file in &args.filename {
        renderer.render_text(&source(file), &read(file)?)?;
    }
    Ok(renderer.end())
}

/// What stands above children without an owner reference.
const NO_OWNER: &str =
    "# Without metadata.uid there is no owner reference: render what `kubectl get -o yaml` prints to see it.\n";

struct Renderer<'a> {
    operators: &'a [Operator],
    namespace: &'a str,
    documents: Documents,
    /// Whether a custom resource had no uid.
    has_strays: bool,
}

impl<'a> Renderer<'a> {
    fn new(operators: &'a [Operator], namespace: &'a str) -> Self {
        Self { operators, namespace, documents: Documents::default(), has_strays: false }
    }

    fn end(self) -> Vec<u8> {
        let note = if self.has_strays { NO_OWNER } else { "" };
        [note.as_bytes(), &self.documents.0].concat()
    }

    fn render_text(&mut self, source: &str, text: &str) -> Result<(), String> {
        let (mut others, mut found) = (Vec::new(), false);
        for (at, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
            let place = format!("{source}, document {}", at + 1);
            let document = Value::deserialize(document).map_err(|error| format!("{place}: {error}"))?;
            for (place, object) in objects(document, place) {
                match self.render_object(object, &place)? {
                    None => found = true,
                    Some(kind) => others.push(kind),
                }
            }
        }
        if found {
            return Ok(());
        }
        let holds = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
        Err(format!("{source} holds {holds}: {}", self.advice()))
    }

    /// Renders one object; returns its kind where it is none of ours.
    fn render_object(&mut self, object: Value, place: &str) -> Result<Option<String>, String> {
        let advice = || self.advice();
        let Value::Object(mut object) = object else { return Err(format!("{place} is no object: {}", advice())) };
        let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return Err(format!("{place} has no apiVersion or no kind: {}", advice()));
        };
        let mut ours: Vec<&Operator> = self.operators.iter().collect();
        ours.retain(|operator| operator.declared().primary.kind == kind);
        if ours.is_empty() {
            return Ok(Some(kind));
        }
        ours.retain(|operator| operator.declared().primary.api_version() == version);
        let Some(first) = ours.first() else {
            return Err(format!("{place} ({kind}) has apiVersion {version}: {}", advice()));
        };
        let name = complete(&mut object, &first.declared().primary, self.namespace);
        self.push(&ours, object, &format!("{place} ({kind}{name})"))?;
        Ok(None)
    }

    /// Renders one primary of `operators`; several of one binary may share a kind.
    fn push(&mut self, operators: &[&Operator], object: Map<String, Value>, place: &str) -> Result<(), String> {
        let has_uid = object.get("metadata").and_then(|metadata| metadata.get("uid")).is_some();
        let document = Value::Object(object);
        let rendered: Vec<_> = operators.iter().filter_map(|operator| operator.render(document.clone())).collect();
        if rendered.is_empty() {
            let reason = "its operator declares no dependents, so what it makes is known only where it runs";
            return Err(format!("{place}: {reason}"));
        }
        for children in rendered {
            let children = children.map_err(|error| format!("{place}: {error}"))?;
            self.has_strays |= !has_uid && !children.is_empty();
            let pushed = children.iter().try_for_each(|child| self.documents.push(child));
            pushed.map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(())
    }

    fn advice(&self) -> String {
        let kinds = self.operators.iter().map(|operator| &operator.declared().primary);
        let kinds: Vec<_> =
            kinds.map(|it| format!("`apiVersion: {}` and `kind: {}`", it.api_version(), it.kind)).collect();
        format!("write {}", kinds.join(", or "))
    }
}

/// Fills in the namespace, as the API server would, and returns ` name` for messages.
fn complete(object: &mut Map<String, Value>, resource: &ResourceType, namespace: &str) -> String {
    let metadata = object.entry("metadata").or_insert_with(|| Map::new().into());
    let Value::Object(metadata) = metadata else { return String::new() };
    if resource.scope == Scope::Namespaced {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    metadata.get("name").and_then(Value::as_str).map(|name| format!(" {name}")).unwrap_or_default()
}

/// The objects of a document: itself, or the items of a list. An empty document has none.
fn objects(document: Value, place: String) -> Vec<(String, Value)> {
    match document {
        Value::Null => Vec::new(),
        Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
            let items = list.remove("items").unwrap_or_default();
            let items = items.as_array().cloned().unwrap_or_default().into_iter().enumerate();
            items.map(|(at, item)| (format!("{place}, item {}", at + 1), item)).collect()
        }
        document => vec![(place, document)],
    }
}

fn source(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<String, String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    text.map_err(|error| format!("cannot read {}: {error}", source(file)))
}

#[cfg(test)]
mod tests;
