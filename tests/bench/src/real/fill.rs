//! Fills a cluster with the pods of the benchmarks, each with the status that a kubelet would have written.
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, Request, header};
use kubewright::Client;
use serde_json::{Value, json};

use crate::Result;
use crate::objects::{ObjectKind, Rendered};

/// Requests under way at once: an API server on two processors answers no faster to more.
const AT_ONCE: usize = 16;

/// Pods between two words on how far it is.
const STEP: usize = 100;

/// Creates the namespaces and the pods, and writes their status. The same seed makes the same pods, except for what an API
/// server chooses itself.
///
/// # Errors
/// What the server refuses, by its path.
pub(super) async fn fill(client: &Client, count: usize, seed: u64) -> Result<()> {
    let pods: Vec<Value> = ObjectKind::Pods.render(count, seed).iter().map(manifest).collect::<Result<_>>()?;
    let namespaces: BTreeSet<&str> = pods.iter().map(|pod| text(pod, "namespace")).collect();
    for namespace in namespaces {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        send(client, Method::POST, "/api/v1/namespaces", &body).await?;
    }
    let is_terminal = std::io::stderr().is_terminal();
    let mut created = stream::iter(&pods).map(|pod| create(client, pod)).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while created.try_next().await?.is_some() {
        done += 1;
        if is_terminal && (done % STEP == 0 || done == count) {
            eprint!("\r{done} of {count} pods");
            std::io::stderr().flush()?;
        }
    }
    if is_terminal {
        eprintln!();
    }
    Ok(())
}

/// Returns a rendered object as somebody would send it: without what only the API server writes.
fn manifest(rendered: &Rendered) -> Result<Value> {
    let mut object: Value = serde_json::from_str(rendered.json())?;
    let metadata = object["metadata"].as_object_mut().ok_or("a rendered object has no metadata")?;
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    Ok(object)
}

/// Creates a pod as the ReplicaSet controller would, then writes its status as its kubelet: the API server takes the one
/// from a creation, and nothing but the other from the second request.
async fn create(client: &Client, pod: &Value) -> Result<()> {
    let pods = format!("/api/v1/namespaces/{}/pods", text(pod, "namespace"));
    send(client, Method::POST, &format!("{pods}?fieldManager=kube-controller-manager"), pod).await?;
    let status = format!("{pods}/{}/status?fieldManager=kubelet", text(pod, "name"));
    send(client, Method::PUT, &status, pod).await
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Result<()> {
    let request = Request::builder().method(&method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let answer = client.kube().request_text(request.body(serde_json::to_vec(body)?)?).await;
    answer.map(drop).map_err(|error| format!("{method} {path}: {error}").into())
}

#[test]
fn a_manifest_holds_nothing_that_only_the_api_server_writes() {
    let rendered = ObjectKind::Pods.render(1, crate::objects::SEED);
    let pod = manifest(&rendered[0]).unwrap();
    let fields: Vec<&String> = pod["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["annotations", "generateName", "labels", "name", "namespace", "ownerReferences"]);
    assert!(pod["spec"]["nodeName"].is_string() && pod["status"]["podIP"].is_string());
}
