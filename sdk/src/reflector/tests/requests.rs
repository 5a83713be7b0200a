//! What goes over the wire, through an in-memory kube client.
use std::convert::Infallible;

use kube::client::Body;

use crate::client::Client;

use super::*;

/// Runs a reflector against `answer`, which maps a request to a status code and a body; returns URIs and headers.
async fn observe_wire(
    target: Target,
    answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static,
) -> Vec<(String, http::HeaderMap)> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let uri = request.uri().to_string();
        let count = {
            let mut log = kept.lock().unwrap();
            log.push((uri.clone(), request.headers().clone()));
            log.len()
        };
        let (code, body) = answer(count, &uri);
        async move {
            Ok::<_, Infallible>(http::Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap())
        }
    });
    let client = Client::new(kube::Client::new(service, "default"));
    let source = ApiListerWatcher::new(client, target.clone());
    let (reflector, _status) = Reflector::new(target, source, Sink::default());
    assert!(clock::timeout(seconds(4), reflector.run()).await.is_none());
    log.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn finding_4_versions_and_limits_are_sent_together() {
    let target = Target {
        namespace: Some("shop".to_owned()),
        labels: Some("app in (a,b)".to_owned()),
        fields: Some("spec.nodeName=n&x".to_owned()),
        ..pods()
    };
    let seen = observe_wire(target, |n, _| match n {
        1 => (422, status_json(422, "Invalid")),
        2 => (200, page(5, "a/b+c=", &[])),
        3 => (200, page(5, "", &[])),
        4 => (410, status_json(410, "Expired")),
        5 => (200, page(7, "", &[])),
        _ => (200, String::new()),
    })
    .await;
    let selectors =
        "/api/v1/namespaces/shop/pods?labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn%26x";
    let bare = |uri: &str| {
        let (front, back) = uri.split_once("&timeoutSeconds=").unwrap_or((uri, ""));
        format!("{front}{}", back.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    let uris: Vec<String> = seen.iter().take(6).map(|(uri, _)| bare(uri)).collect();
    let watch = format!("{selectors}&watch=true&allowWatchBookmarks=true");
    assert_eq!(
        uris,
        [
            format!("{watch}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
            format!("{selectors}&limit=500"),
            format!("{selectors}&limit=500&continue=a%2Fb%2Bc%3D"),
            format!("{watch}&resourceVersion=5"),
            format!("{selectors}&limit=500&resourceVersion=5&resourceVersionMatch=NotOlderThan"),
            format!("{watch}&resourceVersion=7"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn managed_fields_are_declined_and_watches_are_not_compressed() {
    let seen = observe_wire(pods(), |n, _| if n == 1 { (422, String::new()) } else { (200, page(5, "", &[])) }).await;
    let header = |n: usize, name: http::HeaderName| seen[n].1.get(name).map(|value| value.to_str().unwrap().to_owned());
    for n in [0, 1] {
        let accept = header(n, http::header::ACCEPT).unwrap();
        // The encodings that a kind can have are tried in the tests of `encoding`.
        assert!(accept.ends_with("application/json;drop=metadata.managedFields, application/json"), "{accept}");
    }
    assert_eq!(header(0, http::header::ACCEPT_ENCODING).as_deref(), Some("identity"));
    assert_eq!(header(1, http::header::ACCEPT_ENCODING).as_deref(), Some("identity"), "of a client that was handed in");
}

#[tokio::test(start_paused = true)]
async fn managed_fields_are_asked_for_where_they_are_kept() {
    let whole = "application/vnd.kubernetes.protobuf, application/json";
    for (metadata_only, expected) in
        [(false, whole), (true, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;")]
    {
        let target = Target { metadata_only, managed_fields: ManagedFields::Keep, ..pods() };
        let seen = observe_wire(target, |_, _| (200, String::new())).await;
        let accept = seen[0].1[http::header::ACCEPT].to_str().unwrap();
        assert!(accept.starts_with(expected) && !accept.contains("drop="), "{accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_only_asks_for_partial_objects() {
    let target = Target { metadata_only: true, ..pods() };
    let seen = observe_wire(target, |n, _| if n == 1 { (422, String::new()) } else { (200, page(5, "", &[])) }).await;
    for (n, kind) in [(0, "PartialObjectMetadata;"), (1, "PartialObjectMetadataList;")] {
        let accept = seen[n].1[http::header::ACCEPT].to_str().unwrap();
        for media_type in ["application/vnd.kubernetes.protobuf", "application/json"] {
            assert!(accept.contains(&format!("{media_type};as={kind}g=meta.k8s.io;v=v1;drop=")), "{accept}");
        }
        assert!(accept.ends_with(", application/json"), "{accept}");
    }
}
