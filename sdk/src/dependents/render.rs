//! The desired children of a primary as they would be sent, without a cluster.
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::apply::{DESIRED_HASH, Owner};
use crate::reconcile::{Error, Result};
use crate::resource::{ObjectKey, ResourceType, Scope};

use super::HasDependents;
use super::desired::Siblings;
use super::graph::terminal;

/// Why the children of a document could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The document is not what the Rust type says.
    #[error("{path}: {source}")]
    Decode {
        /// Where in the document.
        path: String,
        /// What is wrong there.
        source: serde_json::Error,
    },
    /// A desired-state function failed, or returned what can not be applied.
    #[error("{message}")]
    Desired {
        /// Which, and what to do about it.
        message: String,
    },
}

/// Renders the desired children of `primary` as they would be sent, in the order in which they are applied.
///
/// For snapshot tests of desired-state functions, and for `render`. Everything that is sent is there: namespace, owner
/// reference, and the annotations that tell dependents and desired states apart. A primary without a uid has no owner
/// reference to give, so its children are without one, and without the hash that includes it. Dependents whose `when` is
/// false are left out; all others count as ready, and as siblings they are as desired, without a status.
///
/// # Errors
/// That of a desired-state function; terminal where a primary or a child has no name or namespace, or where two children
/// share one.
pub fn render<P: HasDependents>(primary: &P) -> Result<Vec<Value>> {
    let owner = owner(primary)?;
    let graph = P::dependents();
    let plan = graph.plan().map_err(|error| Error::from(error).terminal())?;
    let controller = P::declaration().name;
    let (mut forms, mut made, mut claims) = (Vec::new(), Vec::new(), HashMap::new());
    for &at in plan.order.iter().filter(|&&at| graph.nodes[at].is_wanted(primary)) {
        let node = &graph.nodes[at];
        let before = made.iter().filter(|(other, _)| plan.is_after(at, *other));
        let siblings = Siblings(before.map(|(_, object)| Arc::clone(object)).collect());
        let failed = |error: Error| terminal(format!("the dependent {} failed: {error}", node.name()));
        for child in node.desired(primary, &owner, controller, &siblings).map_err(failed)? {
            if let Some(other) = claims.insert((node.kind_id(), child.key().clone()), node.name()) {
                return Err(super::pass::desired_twice(&**node, child.key(), other));
            }
            forms.push(without_owner(child.form(&owner)?, &owner));
            made.push((at, child.as_sibling()));
        }
    }
    Ok(forms)
}

/// Renders the children of a primary that is given as JSON.
pub(crate) fn render_json<P: HasDependents>(document: Value) -> Result<Vec<Value>, RenderError> {
    let primary: P = serde_path_to_error::deserialize(document)
        .map_err(|error| RenderError::Decode { path: error.path().to_string(), source: error.into_inner() })?;
    render(&primary).map_err(|error| RenderError::Desired { message: error.to_string() })
}

fn owner<P: HasDependents>(primary: &P) -> Result<Owner> {
    let (meta, resource) = (primary.meta(), ResourceType::of::<P>());
    let missing = |field: &str| terminal(format!("{} has no metadata.{field}: write one", resource.kind));
    let name = meta.name.as_deref().ok_or_else(|| missing("name"))?;
    let key = match (resource.scope, &meta.namespace) {
        (Scope::Cluster, _) => ObjectKey::cluster(name),
        (Scope::Namespaced, Some(namespace)) => ObjectKey::namespaced(namespace, name),
        (Scope::Namespaced, None) => return Err(missing("namespace")),
    };
    Ok(Owner { key, uid: meta.uid.as_deref().unwrap_or_default().into(), resource })
}

/// The API server refuses an owner without a uid, and the garbage collector deletes the children of a wrong one.
fn without_owner(mut form: Value, owner: &Owner) -> Value {
    if !owner.uid.is_empty() {
        return form;
    }
    let Some(Value::Object(metadata)) = form.get_mut("metadata") else { return form };
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(DESIRED_HASH);
    }
    if let Some(Value::Array(owners)) = metadata.get_mut("ownerReferences") {
        owners.retain(|owner| owner["uid"] != "");
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        }
    }
    form
}
