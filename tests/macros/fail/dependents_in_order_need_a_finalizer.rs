//! Dependents in order need a finalizer, and without a group it has no name.
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::Operator;

#[derive(Operator)]
#[operator(dependents(ConfigMap => page(after = index), ConfigMap => index))]
pub struct Website {
    pub metadata: kubewright::kube::core::ObjectMeta,
}

fn main() {}
