//! Why a write was refused before it was sent, or by the API server.
use std::time::Duration;

use crate::client;
use crate::resource::ObjectKey;

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The child names itself badly or not at all.
    #[error("the {kind} given to apply has no usable metadata.name ({name:?}): set one, generateName is not supported")]
    Name {
        /// Kind of the child.
        kind: String,
        /// What it is called now.
        name: String,
    },
    /// The child says it lives elsewhere than its owner.
    #[error(
        "{kind} {name} is in namespace {namespace:?}, its owner in {owner:?}: owner references do not cross \
         namespaces, so leave metadata.namespace empty"
    )]
    Namespace {
        /// Kind of the child.
        kind: String,
        /// Name of the child.
        name: String,
        /// Where the child says it lives.
        namespace: String,
        /// Where the owner lives.
        owner: String,
    },
    /// A namespaced child of a cluster-scoped owner does not say where it lives.
    #[error("{kind} {name} has no namespace and its cluster-scoped owner has none to give: set metadata.namespace")]
    NoNamespace {
        /// Kind of the child.
        kind: String,
        /// Name of the child.
        name: String,
    },
    /// The child does not serialize to an object.
    #[error("{kind} does not serialize to a Kubernetes object")]
    Serialize {
        /// Kind of the object.
        kind: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// No cache of its kind would ever show the child, so that each reconcile would find it missing and apply it again.
    #[error(
        "{kind} {key} would never be seen again: owns({kind}, ..) watches only {watched}; give the child what is asked \
         for, or have owns({kind}, ..) ask for less"
    )]
    Unseen {
        /// Kind of the child.
        kind: String,
        /// Key of the child.
        key: ObjectKey,
        /// What is watched, as far as the child is not that.
        watched: String,
    },
    /// Another owner controls the child.
    #[error("{kind} {key} is controlled by {owner}: give the child another name, or wait until that owner is gone")]
    ControlledByOther {
        /// Kind of the child.
        kind: String,
        /// Key of the child.
        key: ObjectKey,
        /// Kind, name and uid of the present controller.
        owner: String,
    },
    /// The kind has no status to write.
    #[error("{kind} has no status subresource: add `status = \"{kind}Status\"` to its #[kube(..)] attribute")]
    NoStatus {
        /// Kind of the primary.
        kind: String,
    },
    /// The status has no conditions.
    #[error(
        "the status of {kind} has no `conditions`: add `pub conditions: Vec<Condition>` \
         (k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition, #[serde(default)]) to its status struct and \
         apply the CRD again"
    )]
    NoConditions {
        /// Kind of the primary.
        kind: String,
    },
    /// The API server refused, or did not answer.
    #[error("cannot {verb} {kind} {key}")]
    Request {
        /// What was tried, such as `apply`.
        verb: &'static str,
        /// Kind of the object.
        kind: String,
        /// Key of the object.
        key: ObjectKey,
        /// Whether the object is the primary itself: its absence then means that the event of its deletion is on its way.
        primary: bool,
        /// What the client reported.
        #[source]
        source: Box<client::Error>,
    },
    /// The API server's answer is not what the Rust type says.
    #[error("the API server's answer to {verb} {kind} {key} does not decode")]
    Answer {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: String,
        /// Key of the object.
        key: ObjectKey,
        /// What is wrong. Values of the object are left out.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Says whether trying again can not help before the primary or the operator changes.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::ControlledByOther { .. } | Self::Request { .. } | Self::Answer { .. })
    }

    /// Says whether the write lost a race, against another writer or against the deletion of the primary.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Request { source, primary, .. } => source.is_conflict() || (*primary && source.is_not_found()),
            _ => false,
        }
    }

    /// Returns how long the API server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Request { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}
