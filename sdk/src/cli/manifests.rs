//! What the operators need in the cluster, as YAML documents.
use std::io::{self, Write};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;
use crate::declare::rbac::{Account, Declared};

/// Returns the CRDs of the primary kinds.
pub(super) fn crds(declared: &[Declared]) -> Result<String, Failure> {
    let mut documents = Documents::default();
    declared.iter().try_for_each(|operator| documents.add(&operator.crd()))?;
    Ok(documents.text)
}

/// Returns the roles and their bindings.
pub(super) fn rbac(declared: &[Declared], account: &Account) -> Result<String, Failure> {
    let mut documents = Documents::default();
    add_rbac(&mut documents, declared, account)?;
    Ok(documents.text)
}

/// Returns namespace, CRDs, account, roles and the deployment, in the order in which the API server can take them.
pub(super) fn everything(declared: &[Declared], account: &Account, image: &str) -> Result<String, Failure> {
    let mut documents = Documents::default();
    if account.namespace != "default" {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(account.namespace.clone());
        documents.add(&namespace)?;
    }
    declared.iter().try_for_each(|operator| documents.add(&operator.crd()))?;
    let mut service_account = ServiceAccount::default();
    service_account.metadata.name = Some(account.service_account.clone());
    service_account.metadata.namespace = Some(account.namespace.clone());
    documents.add(&service_account)?;
    add_rbac(&mut documents, declared, account)?;
    documents.add(&deployment(account, image))?;
    Ok(documents.text)
}

/// Writes `text` to standard output. A reader that has seen enough, as `head` has, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

fn add_rbac(documents: &mut Documents, declared: &[Declared], account: &Account) -> Result<(), Failure> {
    let rbac = crate::declare::rbac::rbac(declared, account);
    if let Some((role, binding)) = &rbac.cluster {
        documents.add(role)?;
        documents.add(binding)?;
    }
    for (role, binding) in &rbac.namespaced {
        documents.add(role)?;
        documents.add(binding)?;
    }
    Ok(())
}

/// A deployment that a namespace under the `restricted` pod security standard takes.
fn deployment(account: &Account, image: &str) -> serde_json::Value {
    let labels = json!({ "app.kubernetes.io/name": account.name });
    let mut arguments = vec!["run".to_owned()];
    if let Some(namespace) = &account.watch_namespace {
        arguments.push(format!("--watch-namespace={namespace}"));
    }
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "probes" } });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": account.name, "namespace": account.namespace, "labels": labels },
        "spec": {
            "replicas": 1,
            // Without leader election two copies would both reconcile, so the old one goes before the new one comes.
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": account.service_account,
                    "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                    "containers": [{
                        "name": "operator",
                        "image": image,
                        "args": arguments,
                        "ports": [{ "name": "probes", "containerPort": 8081 }],
                        "livenessProbe": probe("/livez"),
                        "readinessProbe": probe("/readyz"),
                        "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                },
            },
        },
    })
}

/// YAML documents, each headed by `---`.
#[derive(Debug, Default)]
struct Documents {
    text: String,
}

impl Documents {
    fn add(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let what = || std::any::type_name_of_val(object).rsplit("::").next().unwrap_or_default().to_owned();
        let yaml = serde_yaml_ng::to_string(object).map_err(|source| Failure::Yaml { what: what(), source })?;
        self.text.push_str("---\n");
        self.text.push_str(&yaml);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;

    #[test]
    fn the_deployment_is_one() {
        let account = Account {
            name: "site".to_owned(),
            service_account: "runner".to_owned(),
            namespace: "system".to_owned(),
            watch_namespace: Some("web".to_owned()),
        };
        let typed: Deployment = serde_json::from_value(deployment(&account, "example.com/site:1")).unwrap();
        let pod = typed.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some("runner"));
        assert_eq!(pod.containers[0].args.as_deref(), Some(&["run".to_owned(), "--watch-namespace=web".to_owned()][..]));
    }
}
