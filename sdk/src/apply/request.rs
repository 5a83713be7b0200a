//! The HTTP requests of the write side: server-side apply, merge patch, delete. Built here, sent by the client.
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use serde_json::Value;

use crate::resource::{ObjectKey, ResourceType};

/// Field managers may not be longer.
const MAX_FIELD_MANAGER: usize = 128;

/// Room for what is appended to the name of a field manager.
const SUFFIX_ROOM: usize = "-conditions".len();

/// Names the field manager of a controller: its name qualified by its group, so that two operators never share one.
pub(crate) fn field_manager(name: &str, group: &str) -> String {
    let qualified = if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") };
    // It goes into a query unescaped; controllers are named like Rust items and groups like hosts.
    let clean = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    qualified.chars().map(clean).take(MAX_FIELD_MANAGER - SUFFIX_ROOM).collect()
}

/// Builds a server-side apply that takes ownership of what it sets.
pub(crate) fn apply(
    resource: &ResourceType,
    key: &ObjectKey,
    subresource: Option<&str>,
    manager: &str,
    form: &Value,
) -> http::Result<Request<Vec<u8>>> {
    let below = subresource.map(|name| format!("/{name}")).unwrap_or_default();
    let uri = format!("{}{below}?fieldManager={manager}&force=true", resource.object_path(key));
    // JSON is YAML, which is the only form of this type every supported server reads.
    request(Method::PATCH, uri, "application/apply-patch+yaml", form)
}

/// Builds a JSON merge patch.
pub(crate) fn merge_patch(
    resource: &ResourceType,
    key: &ObjectKey,
    manager: &str,
    patch: &Value,
) -> http::Result<Request<Vec<u8>>> {
    let uri = format!("{}?fieldManager={manager}", resource.object_path(key));
    request(Method::PATCH, uri, "application/merge-patch+json", patch)
}

/// Builds a server-side apply that is validated and admitted, and not stored.
pub(crate) fn dry_run(
    resource: &ResourceType,
    key: &ObjectKey,
    manager: &str,
    form: &Value,
) -> http::Result<Request<Vec<u8>>> {
    let uri = format!("{}?fieldManager={manager}&force=true&dryRun=All", resource.object_path(key));
    request(Method::PATCH, uri, "application/apply-patch+yaml", form)
}

/// Builds a deletion.
pub(crate) fn delete(resource: &ResourceType, key: &ObjectKey, options: &Value) -> http::Result<Request<Vec<u8>>> {
    request(Method::DELETE, resource.object_path(key), "application/json", options)
}

/// Builds the read of one object.
pub(crate) fn get(resource: &ResourceType, key: &ObjectKey) -> http::Result<Request<Vec<u8>>> {
    Request::get(resource.object_path(key)).header(ACCEPT, "application/json").body(Vec::new())
}

fn request(method: Method, uri: String, content_type: &str, body: &Value) -> http::Result<Request<Vec<u8>>> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, content_type)
        .body(body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    #[test]
    fn requests_are_what_the_api_server_documents() {
        let (resource, key) = (ResourceType::of::<Deployment>(), ObjectKey::namespaced("a", "b"));
        let apply = apply(&resource, &key, Some("status"), "site.example.com", &json!({"a": 1})).unwrap();
        assert_eq!(apply.method(), Method::PATCH);
        assert_eq!(
            apply.uri(),
            "/apis/apps/v1/namespaces/a/deployments/b/status?fieldManager=site.example.com&force=true"
        );
        assert_eq!(apply.headers()[CONTENT_TYPE], "application/apply-patch+yaml");
        assert_eq!(apply.body(), br#"{"a":1}"#);
        let dry_run = dry_run(&resource, &key, "site.example.com", &json!({"a": 1})).unwrap();
        assert_eq!(dry_run.uri().query(), Some("fieldManager=site.example.com&force=true&dryRun=All"));
        assert_eq!((dry_run.method(), dry_run.body()), (&Method::PATCH, apply.body()));
        let delete = delete(&resource, &key, &json!({"preconditions": {"uid": "u"}})).unwrap();
        assert_eq!((delete.method(), delete.uri().query()), (&Method::DELETE, None));
        assert_eq!(delete.body(), br#"{"preconditions":{"uid":"u"}}"#);
    }

    #[test]
    fn field_managers_fit_with_their_suffix() {
        assert_eq!(field_manager("website", "demo.kubewright.dev"), "website.demo.kubewright.dev");
        assert_eq!(field_manager("web site&x", ""), "web-site-x");
        assert_eq!(format!("{}-conditions", field_manager(&"a".repeat(300), "g")).len(), MAX_FIELD_MANAGER);
    }
}
