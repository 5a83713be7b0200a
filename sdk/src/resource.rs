//! Names for things in the API: kinds, keys, versions and owner references. No IO, no clock.
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

/// A Kubernetes kind that has a Rust type: every struct of `k8s-openapi` and every kube `CustomResource`.
///
/// Implemented for all types that qualify; there is nothing to implement by hand beyond [`kube::Resource`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Kubernetes kind",
    label = "this is not a Kubernetes kind",
    note = "a kind is a struct of `k8s_openapi` or the root type made by `#[derive(CustomResource)]`; for `WebsiteSpec` that is `Website`",
    note = "its scope must be known at compile time and it must be `Clone + Debug + Serialize + DeserializeOwned`"
)]
pub trait Kind:
    kube::Resource<DynamicType = (), Scope: ObjectScope>
    + Clone
    + fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: kube::Resource<DynamicType = (), Scope: ObjectScope>
        + Clone
        + fmt::Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// The scope of a [`Kind`], known at compile time.
pub trait ObjectScope: private::Sealed + 'static {
    /// The same scope as a value.
    const SCOPE: Scope;
}

impl ObjectScope for NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

impl ObjectScope for ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::NamespaceResourceScope {}
    impl Sealed for super::ClusterResourceScope {}
}

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every object has a namespace.
    Namespaced,
    /// No object has one.
    Cluster,
}

/// What the API server must be asked for to reach a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceType {
    /// API group, empty for the core group.
    pub group: String,
    /// Version within the group, such as `v1`.
    pub version: String,
    /// Kind as in `kind:` of a manifest.
    pub kind: String,
    /// Plural name as in URLs and RBAC rules.
    pub plural: String,
    /// Whether objects live in a namespace.
    pub scope: Scope,
}

impl ResourceType {
    /// Describes `K`.
    pub fn of<K: Kind>() -> Self {
        Self {
            group: K::group(&()).into_owned(),
            version: K::version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            scope: <K::Scope as ObjectScope>::SCOPE,
        }
    }

    /// Returns `apiVersion` as manifests write it: `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Says whether that is its `apiVersion`.
    pub(crate) fn has_api_version(&self, said: &[u8]) -> bool {
        let group = said.strip_suffix(self.version.as_bytes());
        group.is_some_and(|group| match group {
            b"" => self.group.is_empty(),
            group => group.strip_suffix(b"/") == Some(self.group.as_bytes()),
        })
    }

    /// Returns the name of its CustomResourceDefinition and of its RBAC resource: `websites.demo.kubewright.dev`, or `pods`.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Returns the URL path of its collection: of one namespace, or of the whole cluster when `namespace` is `None`.
    pub fn collection_path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}", self.api_version())
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// Returns the URL path of one object.
    pub fn object_path(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.collection_path(key.namespace()), key.name())
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.qualified_plural(), self.version)
    }
}

/// Namespace and name of one object: what is queued, and what stores are keyed by.
///
/// Written `namespace/name`, or `name` for cluster-scoped objects, as client-go writes its keys. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Names an object in a namespace. An empty namespace means none, as in object metadata.
    pub fn namespaced(namespace: &str, name: &str) -> Self {
        if namespace.is_empty() { Self::cluster(name) } else { Self(format!("{namespace}/{name}").into()) }
    }

    /// Names a cluster-scoped object.
    pub fn cluster(name: &str) -> Self {
        Self(name.into())
    }

    /// Takes a key as [`ObjectKey::as_str`] writes it.
    pub(crate) fn from_text(key: &str) -> Self {
        Self(key.into())
    }

    /// Names `object` by its metadata; a missing name is the empty name.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::namespaced(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Returns the namespace, or `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        split_key(&self.0).0
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        split_key(&self.0).1
    }

    /// Returns the key as client-go writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Divides the text of a key into namespace and name.
pub(crate) fn split_key(key: &str) -> (Option<&str>, &str) {
    key.split_once('/').map_or((None, key), |(namespace, name)| (Some(namespace), name))
}

/// So that what is kept by key is found by its text.
impl Borrow<str> for ObjectKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resourceVersion: opaque to users, comparable where both sides are canonical decimals.
///
/// Kubernetes promises that order since KEP-5504; apimachinery's `CompareResourceVersion` is the model: arbitrary
/// length, no leading zeros, "0" is no version of an object.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ResourceVersion(SmolStr);

impl ResourceVersion {
    /// Wraps what the API server sent.
    pub fn new(version: &str) -> Self {
        Self(SmolStr::new(version))
    }

    /// Returns it as the API server sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether the API server has not given one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Orders two versions, or returns `None` where either is not a canonical positive decimal.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let (left, right) = (self.canonical()?, other.canonical()?);
        Some(left.len().cmp(&right.len()).then_with(|| left.cmp(right)))
    }

    fn canonical(&self) -> Option<&str> {
        let digits = self.as_str();
        let canonical =
            !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        canonical.then_some(digits)
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of `metadata.ownerReferences`, as far as mapping a child to its owner needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference {
    /// API group of the owner; the version is left out, as client-go compares group and kind only.
    pub group: Box<str>,
    /// Kind of the owner.
    pub kind: Box<str>,
    /// Name of the owner.
    pub name: Box<str>,
    /// Uid of the owner.
    pub uid: Box<str>,
    /// Whether this owner is the managing controller.
    pub controller: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_versions_compare_as_decimals_of_any_length() {
        let check = |left: &str, right: &str, expected: Option<Ordering>| {
            assert_eq!(ResourceVersion::new(left).compare(&ResourceVersion::new(right)), expected, "{left} {right}");
        };
        check("9", "10", Some(Ordering::Less));
        check("10", "100000000000000000000000", Some(Ordering::Less));
        check("11", "10", Some(Ordering::Greater));
        check("10", "10", Some(Ordering::Equal));
        for opaque in ["", "0", "01", "-1", "a", "1a", " 1"] {
            check(opaque, "1", None);
            check("1", opaque, None);
        }
    }

    #[test]
    fn keys_split_into_namespace_and_name() {
        let key = ObjectKey::namespaced("web", "front");
        assert_eq!((key.namespace(), key.name(), key.as_str()), (Some("web"), "front", "web/front"));
        let key = ObjectKey::namespaced("", "node-1");
        assert_eq!((key.namespace(), key.name()), (None, "node-1"));
        assert_eq!(key, ObjectKey::cluster("node-1"));
        let known = std::collections::HashSet::from([key]);
        assert!(known.contains("node-1") && !known.contains("node-2"), "found by text");
    }

    #[test]
    fn a_kind_knows_its_api_version_from_others() {
        use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
        for resource in [ResourceType::of::<Pod>(), ResourceType::of::<Deployment>()] {
            for said in ["", "v1", "/v1", "apps/v1", "apps/v1/", "apps/v2", "app/v1", "apps", "x/apps/v1", "appsv1"] {
                // The core group has one spelling more that nobody uses.
                let spelled = if said == "/v1" { "v1" } else { said };
                assert_eq!(
                    resource.has_api_version(said.as_bytes()),
                    resource.api_version() == spelled,
                    "{resource} {said}"
                );
            }
        }
    }

    #[test]
    fn paths_follow_group_and_scope() {
        let pods = ResourceType::of::<k8s_openapi::api::core::v1::Pod>();
        assert_eq!(pods.collection_path(Some("a")), "/api/v1/namespaces/a/pods");
        let deployments = ResourceType::of::<k8s_openapi::api::apps::v1::Deployment>();
        assert_eq!(deployments.collection_path(None), "/apis/apps/v1/deployments");
        assert_eq!(
            deployments.object_path(&ObjectKey::namespaced("a", "b")),
            "/apis/apps/v1/namespaces/a/deployments/b"
        );
        let nodes = ResourceType::of::<k8s_openapi::api::core::v1::Node>();
        assert_eq!(nodes.object_path(&ObjectKey::cluster("n")), "/api/v1/nodes/n");
        assert_eq!(nodes.scope, Scope::Cluster);
    }
}
