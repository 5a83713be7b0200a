//! What the binary prints is complete. Runs without a cluster.
use std::process::Command;

const OPERATOR: &str = env!("CARGO_BIN_EXE_{{project-name}}");

#[test]
fn the_crd_describes_the_kind() {
    check("crds", &["kind: {{kind}}", "group: {{group}}", "scope: {% if scope == "namespaced" %}Namespaced{% else %}Cluster{% endif %}", "greeting:", "conditions:"]);
}

#[test]
fn the_role_allows_what_is_declared() {
    check("rbac", &["{{group}}", "{% if scope == "namespaced" %}configmaps{% else %}namespaces{% endif %}", "list", "watch", "patch"]);
}

#[test]
fn the_sample_is_of_the_kind() {
    let sample = include_str!("../sample.yaml");
    assert!(sample.starts_with("apiVersion: {{group}}/v1alpha1\nkind: {{kind}}\n"), "{sample}");
}

fn check(command: &str, parts: &[&str]) {
    let output = Command::new(OPERATOR).arg(command).output().expect("the operator starts");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("YAML is UTF-8");
    for part in parts {
        assert!(printed.contains(part), "`{command}` does not print `{part}`:\n{printed}");
    }
}
