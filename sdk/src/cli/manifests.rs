//! What a cluster needs before and while the operator runs, as YAML for kubectl.
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin;
use crate::declare::rbac::{self, Account, Declared};

use super::args::{ManifestsArgs, RbacArgs};

/// Collects YAML documents.
#[derive(Debug, Default)]
pub(super) struct Documents(pub(super) Vec<u8>);

impl Documents {
    pub(super) fn push(&mut self, object: &impl Serialize) -> Result<(), serde_yaml_ng::Error> {
        if !self.0.is_empty() {
            self.0.extend_from_slice(b"---\n");
        }
        serde_yaml_ng::to_writer(&mut self.0, object)
    }

    fn push_crds(&mut self, operators: &[Declared]) -> Result<(), serde_yaml_ng::Error> {
        // Two operators of one binary may share a kind.
        let crds: BTreeMap<_, _> =
            operators.iter().map(|operator| (operator.primary.qualified_plural(), operator.crd())).collect();
        crds.values().try_for_each(|crd| self.push(crd))
    }

    fn push_rbac(&mut self, operators: &[Declared], account: &Account) -> Result<(), serde_yaml_ng::Error> {
        let rbac = rbac::rbac(operators, account);
        if let Some((role, binding)) = &rbac.cluster {
            self.push(role)?;
            self.push(binding)?;
        }
        for (role, binding) in &rbac.namespaced {
            self.push(role)?;
            self.push(binding)?;
        }
        Ok(())
    }
}

/// Prints the CRDs.
pub(super) fn crds(operators: &[Declared]) -> Result<Vec<u8>, serde_yaml_ng::Error> {
    let mut documents = Documents::default();
    documents.push_crds(operators)?;
    Ok(documents.0)
}

/// Prints roles and bindings.
pub(super) fn rbac(operators: &[Declared], args: &RbacArgs, program: &str) -> Result<Vec<u8>, serde_yaml_ng::Error> {
    let service_account = args.service_account.clone().unwrap_or_else(|| default_name(operators, program));
    let account = Account {
        name: service_account.clone(),
        service_account,
        namespace: args.namespace.clone(),
        watch_namespace: args.watch_namespace.clone(),
    };
    let mut documents = Documents::default();
    documents.push_rbac(operators, &account)?;
    Ok(documents.0)
}

/// Prints everything, in an order in which it can be applied.
pub(super) fn manifests(
    operators: &[Declared],
    args: &ManifestsArgs,
    program: &str,
) -> Result<Vec<u8>, serde_yaml_ng::Error> {
    let name = default_name(operators, program);
    let namespace = args.namespace.clone().unwrap_or_else(|| format!("{name}-system"));
    let account = Account {
        name: name.clone(),
        service_account: name.clone(),
        namespace: namespace.clone(),
        watch_namespace: args.watch_namespace.clone(),
    };
    let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.clone())]);
    let metadata =
        ObjectMeta { name: Some(name), namespace: Some(namespace.clone()), labels: Some(labels), ..Default::default() };
    let mut documents = Documents::default();
    documents.push_crds(operators)?;
    if !comes_with_cluster(&namespace) {
        documents.push(&restricted(&namespace))?;
    }
    documents.push(&ServiceAccount { metadata: metadata.clone(), ..ServiceAccount::default() })?;
    documents.push_rbac(operators, &account)?;
    documents.push(&deployment(metadata, args))?;
    Ok(documents.0)
}

/// The operator's name where the binary holds one, that of the program where it holds several. Anything an object can
/// not be called becomes a dash.
fn default_name(operators: &[Declared], program: &str) -> String {
    let name = match operators {
        [operator] => operator.name,
        _ => program,
    };
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(clean).take(48).collect();
    match name.trim_matches('-') {
        "" => "operator".to_owned(),
        name => name.to_owned(),
    }
}

/// Its labels are not ours to change: `restricted` would keep the cluster's own pods from starting.
fn comes_with_cluster(namespace: &str) -> bool {
    namespace == "default" || namespace.starts_with("kube-")
}

fn restricted(name: &str) -> Namespace {
    let labels = BTreeMap::from([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}

fn deployment(metadata: ObjectMeta, args: &ManifestsArgs) -> impl Serialize {
    let labels = &metadata.labels;
    let env = args.watch_namespace.iter().map(|namespace| json!({"name": "WATCH_NAMESPACE", "value": namespace}));
    let env: Vec<Value> = env.collect();
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "probes"}});
    let mut container = json!({
        "name": "operator",
        "image": args.image,
        "args": ["run"],
        "ports": [{"name": "probes", "containerPort": admin::DEFAULT_ADDRESS.port()}],
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
    });
    if !env.is_empty() {
        container["env"] = env.into();
    }
    // Two copies at once would both write: the old one stops before the new one starts.
    json!({
        "apiVersion": <Deployment as k8s_openapi::Resource>::API_VERSION,
        "kind": <Deployment as k8s_openapi::Resource>::KIND,
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": metadata.name,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::Declaration;
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    fn operator(name: &'static str) -> Declared {
        Declaration::<ConfigMap>::new(name, CustomResourceDefinition::default).status().erase()
    }

    fn kinds(yaml: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(yaml).unwrap();
        let documents = text.split("---\n").map(|document| serde_yaml_ng::from_str::<Value>(document).unwrap());
        documents.map(|document| document["kind"].as_str().unwrap().to_owned()).collect()
    }

    fn args(namespace: Option<&str>, watch_namespace: Option<&str>) -> ManifestsArgs {
        ManifestsArgs {
            image: "registry/site:1".to_owned(),
            namespace: namespace.map(str::to_owned),
            watch_namespace: watch_namespace.map(str::to_owned),
        }
    }

    #[test]
    fn everything_comes_in_an_order_that_applies() {
        let check = |args: ManifestsArgs, expected: &[&str]| {
            assert_eq!(kinds(&manifests(&[operator("site")], &args, "bin").unwrap()), expected);
        };
        check(
            args(None, None),
            &[
                "CustomResourceDefinition",
                "Namespace",
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding",
                "Deployment",
            ],
        );
        check(
            args(Some("default"), Some("web")),
            &["CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "Deployment"],
        );
    }

    #[test]
    fn a_namespace_that_comes_with_the_cluster_is_not_restricted() {
        for namespace in ["default", "kube-system"] {
            let kinds = kinds(&manifests(&[operator("site")], &args(Some(namespace), None), "bin").unwrap());
            assert!(!kinds.contains(&"Namespace".to_owned()), "{namespace}: {kinds:?}");
        }
    }

    #[test]
    fn the_deployment_is_a_deployment() {
        let yaml = manifests(&[operator("site")], &args(None, Some("web")), "bin").unwrap();
        let text = String::from_utf8(yaml).unwrap();
        let deployment: Deployment = serde_yaml_ng::from_str(text.rsplit("---\n").next().unwrap()).unwrap();
        assert_eq!(deployment.metadata.namespace.as_deref(), Some("site-system"));
        let spec = deployment.spec;
        assert_eq!(spec.selector.match_labels, spec.template.metadata.unwrap().labels);
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some("site"));
        let env = &pod.containers[0].env.as_ref().unwrap()[0];
        assert_eq!((&*env.name, env.value.as_deref()), ("WATCH_NAMESPACE", Some("web")));
    }

    #[test]
    fn names_come_from_the_operator_or_else_the_program() {
        let check = |operators: &[Declared], program: &str, expected: &str| {
            assert_eq!(default_name(operators, program), expected);
        };
        check(&[operator("site")], "bin", "site");
        check(&[operator("a"), operator("b")], "My_Bin.exe", "my-bin-exe");
        check(&[], "___", "operator");
    }

    #[test]
    fn a_kind_shared_by_two_operators_is_printed_once() {
        assert_eq!(kinds(&crds(&[operator("a"), operator("b")]).unwrap()), ["CustomResourceDefinition"]);
    }
}
