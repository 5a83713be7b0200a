//! A cluster-scoped primary: it may own kinds of both scopes, and names namespaced objects with their namespace.
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Secret, SecretReference};
use kubewright::declare::{Mapping, Primary, Reference};
use kubewright::resource::Scope;
use kubewright::{CustomResource, ObjectKey, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Tenant")]
#[operator(owns(Namespace, ConfigMap))]
#[operator(watches(Secret, by = spec.credentials), watches(Node, by = spec.node))]
#[operator(watches(shared = ConfigMap, namespace = "infra", by = spec.settings), name = "tenants")]
#[operator(watches(nodes_by_label = Node, labels = "tenant", map = tenants_on))]
pub struct TenantSpec {
    pub credentials: Option<SecretReference>,
    pub node: String,
    pub settings: Vec<String>,
}

fn tenants_on(node: &Node) -> Option<ObjectKey> {
    Some(ObjectKey::cluster(node.metadata.labels.as_ref()?.get("tenant")?))
}

#[test]
fn names_come_with_their_namespace() {
    let declaration = Tenant::declaration();
    assert_eq!((declaration.name, declaration.primary.scope), ("tenants", Scope::Cluster));
    let credentials = SecretReference { name: Some("key".into()), namespace: Some("ns".into()) };
    let spec =
        TenantSpec { credentials: Some(credentials), node: "node-1".into(), settings: vec!["a".into(), "b".into()] };
    let tenant = Tenant::new("t", spec);
    let named = |slot: usize| {
        let Mapping::References(project) = &declaration.relations[slot].mapping else { panic!("no references") };
        let mut found = Vec::new();
        project(&tenant, &mut |reference| found.push(reference));
        found
    };
    let reference = |namespace: Option<&str>, name: &str| Reference {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    assert_eq!(named(2), [reference(Some("ns"), "key")]);
    assert_eq!(named(3), [reference(None, "node-1")]);
    assert_eq!(named(4), [reference(Some("infra"), "a"), reference(Some("infra"), "b")]);
    let Mapping::Function(map) = &declaration.relations[5].mapping else { panic!("no function") };
    let node = br#"{"metadata":{"name":"node-1","labels":{"tenant":"t"}}}"#;
    assert_eq!(map(node).unwrap(), [ObjectKey::cluster("t")]);
}
