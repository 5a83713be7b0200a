//! Built-in kinds, and metadata alone, that come in protobuf: what is read of them is what Go writes of them in JSON.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use controlplane::binary;
use controlplane::harness::{Trial, block_on};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_openapi::ByteString;
use kube::client::Body;
use kubewright::Client;
use kubewright::reflector::{ApiListerWatcher, Closed, Delta, DeltaSink, FirstSync, Reflector, Target};
use kubewright::resource::{ResourceType, Scope};
use kubewright::wire::ManagedFields;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::encodings::{difference, value};
use super::operators::Outcome;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

const PROTOBUF_WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// For the objects of one kind, on a machine that is busy with other things.
const WITHIN: Duration = Duration::from_secs(60);

/// What metadata alone calls itself.
const METADATA: &str = "PartialObjectMetadata";

/// Fewer are no sign that a kind went, but that this test lost most of them.
const KINDS: usize = 60;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::with_go(
        "built_in_kinds_in_protobuf_read_as_the_json_that_go_writes",
        built_in_kinds_in_protobuf_read_as_the_json_that_go_writes,
    )]
}

fn built_in_kinds_in_protobuf_read_as_the_json_that_go_writes() -> Outcome {
    let seed = fastrand::u32(..);
    eprintln!("built_in_kinds_in_protobuf_read_as_the_json_that_go_writes: seed {seed}");
    let lines = String::from_utf8(binary::run("./schema", &["pairs", &seed.to_string()])?)?;
    let pairs: Vec<Pair> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert!(pairs.len() > KINDS, "{} kinds", pairs.len());
    assert!(pairs.iter().any(|pair| pair.kind == METADATA), "metadata alone is among them");
    block_on(async move {
        let mut random = fastrand::Rng::with_seed(u64::from(seed));
        for pair in &pairs {
            for sync in [FirstSync::List, FirstSync::WatchList] {
                let managed_fields = if random.bool() { ManagedFields::Keep } else { ManagedFields::Drop };
                check(pair, sync, managed_fields, &mut random).await?;
            }
        }
        Ok(())
    })
}

/// A list and a watch of one kind as the API server writes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    api_version: String,
    kind: String,
    list: Written,
    watch: Written,
}

/// A body, of which the JSON of a watch is the array of its events.
#[derive(Deserialize)]
struct Written {
    protobuf: ByteString,
    json: Value,
}

/// Reads the protobuf through a reflector and compares what comes out with the JSON.
async fn check(pair: &Pair, sync: FirstSync, managed_fields: ManagedFields, random: &mut fastrand::Rng) -> Outcome {
    let (written, mut expected) = match sync {
        FirstSync::List => (&pair.list, listed(&pair.list.json)),
        FirstSync::WatchList => (&pair.watch, watched(&pair.watch.json)),
    };
    if managed_fields == ManagedFields::Drop {
        expected.iter_mut().for_each(Read::drop_managed_fields);
    }
    let target = pair.target(managed_fields);
    let client = server(sync, pieces(&written.protobuf.0, random));
    let source = ApiListerWatcher::new(client, target.clone()).with_first_sync(sync);
    let read = read(target, source, expected.len()).await;

    let name = format!("{} {} by {sync:?}, {managed_fields:?}", pair.api_version, pair.kind);
    for (place, (read, expected)) in read.iter().zip(&expected).enumerate() {
        assert_eq!(read.what, expected.what, "{name}: delta {place}");
        if let Some(difference) = difference(&read.value, &expected.value) {
            panic!("{name}: delta {place}, {}: {difference}", read.what);
        }
    }
    assert_eq!(read.len(), expected.len(), "{name}: no more came within {WITHIN:?}");
    Ok(())
}

impl Pair {
    /// In place of the true plural and scope, which nothing here looks at, those of every kind. Metadata alone is that of
    /// things that nobody knows.
    fn target(&self, managed_fields: ManagedFields) -> Target {
        let metadata_only = self.kind == METADATA;
        let (api_version, kind) = match metadata_only {
            true => ("flow.kubewright.dev/v1", "Thing"),
            false => (&*self.api_version, &*self.kind),
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let (group, version, kind) = (group.to_owned(), version.to_owned(), kind.to_owned());
        let resource = ResourceType { group, version, kind, plural: "things".into(), scope: Scope::Namespaced };
        Target { resource, namespace: None, labels: None, fields: None, metadata_only, managed_fields }
    }
}

/// A delta: what happened, and to which object, or at which version.
struct Read {
    what: &'static str,
    value: Value,
}

impl Read {
    fn drop_managed_fields(&mut self) {
        if let Some(metadata) = self.value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
}

/// What a list should be read as.
fn listed(list: &Value) -> Vec<Read> {
    let items = list["items"].as_array().expect("a list has items");
    let mut reads: Vec<Read> = items.iter().map(|item| Read { what: "listed", value: item.clone() }).collect();
    reads.push(Read { what: "replaced", value: list["metadata"]["resourceVersion"].clone() });
    reads
}

/// What a watch should be read as, which begins with what exists.
fn watched(events: &Value) -> Vec<Read> {
    let read = |event: &Value| {
        let object = event["object"].clone();
        match event["type"].as_str() {
            Some("ADDED") => Read { what: "listed", value: object },
            Some("BOOKMARK") => Read { what: "replaced", value: object["metadata"]["resourceVersion"].clone() },
            Some("MODIFIED") => Read { what: "applied", value: object },
            Some("DELETED") => Read { what: "deleted", value: object },
            other => panic!("an event of type {other:?}"),
        }
    };
    events.as_array().expect("an array of events").iter().map(read).collect()
}

/// Returns the first `count` deltas that say something of an object or a version; fewer when no more come.
async fn read(target: Target, source: ApiListerWatcher, count: usize) -> Vec<Read> {
    let (sink, mut deltas) = mpsc::unbounded_channel();
    let (reflector, _status) = Reflector::new(target, source, Sink(sink));
    let mut reads = Vec::new();
    let collected = async {
        while reads.len() < count {
            let Some(read) = deltas.recv().await else { break };
            reads.push(read);
        }
    };
    let done = async {
        tokio::select! {
            () = reflector.run() => {}
            () = collected => {}
        }
    };
    // What is missing shows in what came.
    let _ = tokio::time::timeout(WITHIN, done).await;
    reads
}

struct Sink(mpsc::UnboundedSender<Read>);

impl DeltaSink for Sink {
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let read = match delta {
            Delta::Listed(object) => Read { what: "listed", value: value(&object) },
            Delta::Applied(object) => Read { what: "applied", value: value(&object) },
            Delta::Deleted(object) => Read { what: "deleted", value: value(&object) },
            Delta::Replaced(version) => Read { what: "replaced", value: Value::from(version.as_str()) },
            Delta::ListStarted | Delta::Bookmark(_) => return Ok(()),
        };
        self.0.send(read).map_err(|_| Closed)
    }
}

/// Cuts a body into pieces of all sizes, as a connection would.
fn pieces(body: &[u8], random: &mut fastrand::Rng) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut pieces = Vec::new();
    let largest = 1 << random.u32(3..14);
    while !rest.is_empty() {
        pieces.push(rest.split_to(random.usize(1..=largest).min(rest.len())));
    }
    pieces
}

/// A server that speaks protobuf alone and answers the way of `sync` with `body`, and a watch behind a list with silence.
fn server(sync: FirstSync, body: Vec<Bytes>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (status, body, open) = match (accepts, sync, is_watch) {
            (Some(accepts), ..) if !accepts.starts_with(PROTOBUF) => (StatusCode::NOT_ACCEPTABLE, Vec::new(), false),
            (_, FirstSync::List, false) => (StatusCode::OK, body.clone(), false),
            (_, FirstSync::List, true) => (StatusCode::OK, Vec::new(), true),
            (_, FirstSync::WatchList, true) => (StatusCode::OK, body.clone(), true),
            _ => (StatusCode::FORBIDDEN, Vec::new(), false),
        };
        let pieces = stream::iter(body).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let end = if open { stream::pending().left_stream() } else { stream::empty().right_stream() };
        let response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, if is_watch { PROTOBUF_WATCH } else { PROTOBUF })
            .body(StreamBody::new(pieces.chain(end)));
        async move { Ok::<_, Infallible>(response.expect("a response")) }
    });
    Client::new(kube::Client::new(service, "default"))
}
