//! What `render` prints for files, and what it says about wrong ones.
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{from_value, json};

use super::*;
use crate::declare::{Declaration, Narrow, OwnedBy, Primary};
use crate::dependents::{Dependent, Graph, HasDependents, Siblings, reconcile};
use crate::reconcile::{Action, Context, Error, Reconciler, Result};

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Note", namespaced)]
struct NoteSpec {
    text: String,
    #[serde(default)]
    lines: Vec<u8>,
    #[serde(default)]
    secret: bool,
}

impl Primary for Note {
    fn declaration() -> Declaration<Self> {
        Declaration::new("note", Self::crd).owns::<ConfigMap>(Narrow::default()).owns::<Secret>(Narrow::default())
    }
}

impl OwnedBy<Note> for ConfigMap {}
impl OwnedBy<Note> for Secret {}

impl HasDependents for Note {
    fn dependents() -> Graph<Self> {
        Graph::new()
            .dependent(Dependent::<_, Secret>::new("secret", secret).after("text").when(|note: &Self| note.spec.secret))
            .dependent(Dependent::<_, ConfigMap>::new("text", text))
    }
}

fn text(note: &Note) -> Result<ConfigMap> {
    if note.spec.text.is_empty() {
        return Err(Error::new("write spec.text"));
    }
    Ok(from_value(json!({"metadata": {"name": note.metadata.name}, "data": {"text": note.spec.text}}))?)
}

fn secret(_: &Note, siblings: &Siblings) -> Option<Secret> {
    let text = siblings.all::<ConfigMap>().next()?;
    from_value(json!({"metadata": {"name": text.metadata.name}, "stringData": text.data})).ok()
}

struct Notes;

impl Reconciler<Note> for Notes {
    async fn reconcile(&self, note: Arc<Note>, cx: Context<Note>) -> Result<Action> {
        reconcile(note, cx).await
    }
}

fn operators() -> Vec<Operator> {
    vec![Operator::new::<Note, _, _, _>(async |_| Ok(Notes)).with_dependents::<Note>()]
}

fn rendered(operators: &[Operator], text: &str) -> Result<String, String> {
    let mut renderer = Renderer::new(operators, "web");
    renderer.render_text("notes.yaml", text)?;
    Ok(String::from_utf8(renderer.end()).unwrap())
}

const NOTE: &str = "apiVersion: test.kubewright.dev/v1\nkind: Note\n";

#[test]
fn children_are_printed_as_they_would_be_sent() {
    let text = format!("{NOTE}metadata: {{name: a, uid: u}}\nspec: {{text: hello, secret: true}}\n");
    let expected = expect_test::expect![[r#"
        apiVersion: v1
        data:
          text: hello
        kind: ConfigMap
        metadata:
          annotations:
            kubewright.dev/dependent: note/text
            kubewright.dev/desired-hash: dbaabbd79b9cb090
          name: a
          namespace: web
          ownerReferences:
          - apiVersion: test.kubewright.dev/v1
            blockOwnerDeletion: true
            controller: true
            kind: Note
            name: a
            uid: u
        ---
        apiVersion: v1
        data:
          text: aGVsbG8=
        kind: Secret
        metadata:
          annotations:
            kubewright.dev/dependent: note/secret
            kubewright.dev/desired-hash: b5e0febdbcfabbf8
          name: a
          namespace: web
          ownerReferences:
          - apiVersion: test.kubewright.dev/v1
            blockOwnerDeletion: true
            controller: true
            kind: Note
            name: a
            uid: u
    "#]];
    expected.assert_eq(&rendered(&operators(), &text).unwrap());
}

#[test]
fn a_resource_that_was_never_created_has_children_without_an_owner() {
    let text = format!("{NOTE}metadata: {{name: a, namespace: far}}\nspec: {{text: hello}}\n");
    let expected = expect_test::expect![[r#"
        # Without metadata.uid there is no owner reference: render what `kubectl get -o yaml` prints to see it.
        apiVersion: v1
        data:
          text: hello
        kind: ConfigMap
        metadata:
          annotations:
            kubewright.dev/dependent: note/text
          name: a
          namespace: far
    "#]];
    expected.assert_eq(&rendered(&operators(), &text).unwrap());
}

#[test]
fn every_document_and_every_item_of_a_list_is_rendered_and_other_kinds_are_left_out() {
    let note = |name: &str| json!({"apiVersion": "test.kubewright.dev/v1", "kind": "Note", "metadata": {"name": name}, "spec": {"text": "x"}});
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "z"}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [note("b"), other, note("c")]});
    let text = format!("{}\n---\n# nothing\n---\n{list}\n---\n{other}\n", note("a"));
    let printed = rendered(&operators(), &text).unwrap();
    let names: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(printed.matches("---\n").count(), 2);
}

#[test]
fn errors_name_file_document_and_path_and_say_what_to_write() {
    let check = |text: &str, expected: &str| {
        assert_eq!(rendered(&operators(), text).unwrap_err(), expected, "{text}");
    };
    let write = "write `apiVersion: test.kubewright.dev/v1` and `kind: Note`";
    check("", &format!("notes.yaml holds nothing: {write}"));
    check("apiVersion: v1\nkind: Pod\n", &format!("notes.yaml holds Pod: {write}"));
    check("[1]", &format!("notes.yaml, document 1 is no object: {write}"));
    check("kind: Note", &format!("notes.yaml, document 1 has no apiVersion or no kind: {write}"));
    let other = "apiVersion: test.kubewright.dev/v2\nkind: Note";
    check(other, &format!("notes.yaml, document 1 (Note) has apiVersion test.kubewright.dev/v2: {write}"));
    let second = format!("{NOTE}metadata: {{name: a}}\nspec: {{text: x}}\n---\n");
    let place = "notes.yaml, document 2 (Note b)";
    check(
        &format!("{second}{NOTE}metadata: {{name: b}}\nspec: {{text: x, lines: [1, x]}}"),
        &format!("{place}: spec.lines[1]: invalid type: string \"x\", expected u8"),
    );
    check(&format!("{second}{NOTE}metadata: {{name: b}}\nspec: {{}}"), &format!("{place}: spec: missing field `text`"));
    check(
        &format!("{second}{NOTE}metadata: {{name: b}}\nspec: {{text: ''}}"),
        &format!("{place}: the dependent text failed: write spec.text"),
    );
    check(&format!("{NOTE}spec: {{text: x}}"), "notes.yaml, document 1 (Note): Note has no metadata.name: write one");
    let error = rendered(&operators(), &format!("{second}a: [")).unwrap_err();
    assert!(error.starts_with("notes.yaml, document 2: ") && error.contains("line"), "{error}");
}

#[test]
fn an_operator_without_dependents_says_so() {
    let plain = [Operator::new::<Note, _, _, _>(async |_| Ok(Notes))];
    let error = rendered(&plain, &format!("{NOTE}metadata: {{name: a}}\nspec: {{text: x}}")).unwrap_err();
    let expected = "notes.yaml, document 1 (Note a): its operator declares no dependents, so what it makes is known only where it runs";
    assert_eq!(error, expected);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let args = RenderArgs { filename: vec!["/nowhere/note.yaml".into()], namespace: "web".to_owned() };
    let error = render(&operators(), &args).unwrap_err();
    assert!(error.starts_with("cannot read /nowhere/note.yaml: "), "{error}");
}
