//! Protobuf where the kind is known or metadata is enough, JSON where it is neither, is not wanted or can not be read: asked
//! for through an in-memory kube client, and read by a reflector.
use std::convert::Infallible;

use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;

use crate::client::Client;

use super::*;

mod metadata;

const ACCEPT_JSON: &str = "application/json;drop=metadata.managedFields, application/json";
const ACCEPT_BOTH: &str = "application/vnd.kubernetes.protobuf;drop=metadata.managedFields, application/vnd.kubernetes.protobuf, \
     application/json;drop=metadata.managedFields, application/json";

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// One request, as the API server sees it.
#[derive(Clone, Debug)]
struct Request {
    uri: String,
    accept: String,
    at: tokio::time::Instant,
}

impl Request {
    fn is_watch(&self) -> bool {
        self.uri.contains("watch=true")
    }

    fn accepts_protobuf(&self) -> bool {
        self.accept.contains(PROTOBUF)
    }
}

/// What the API server answers with.
struct Reply {
    code: u16,
    content_type: &'static str,
    chunks: Vec<Vec<u8>>,
    /// Whether it goes on for ever.
    open: bool,
}

impl Reply {
    fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { code: 200, content_type, chunks: vec![body.into()], open: false }
    }

    fn open(self) -> Self {
        Self { open: true, ..self }
    }
}

/// An API server, and what it was asked.
#[derive(Clone)]
struct Api {
    client: Client,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    fn new(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let accept = request.headers()[http::header::ACCEPT].to_str().unwrap().to_owned();
            let request = Request { uri: request.uri().to_string(), accept, at: clock::now() };
            let number = {
                let mut log = log.lock().unwrap();
                log.push(request.clone());
                log.len()
            };
            let Reply { code, content_type, chunks, open } = answer(number, &request);
            let frames = stream::iter(chunks).map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))));
            let frames = if open { frames.chain(stream::pending()).boxed() } else { frames.boxed() };
            let response = http::Response::builder().status(code).header(http::header::CONTENT_TYPE, content_type);
            async move { Ok::<_, Infallible>(response.body(StreamBody::new(frames)).unwrap()) }
        });
        Self { client: Client::new(kube::Client::new(service, "default")), asked }
    }

    fn source(&self, target: Target) -> ApiListerWatcher {
        ApiListerWatcher::new(self.client.clone(), target)
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// Runs a reflector of pods for `duration`; returns its deltas and its status.
    async fn reflect(&self, duration: Duration, first_sync: FirstSync) -> (Vec<String>, ReflectorStatus) {
        self.reflect_on(pods(), duration, first_sync).await
    }

    async fn reflect_on(
        &self,
        target: Target,
        duration: Duration,
        first_sync: FirstSync,
    ) -> (Vec<String>, ReflectorStatus) {
        let sink = Sink::default();
        let source = self.source(target.clone()).with_first_sync(first_sync);
        let (reflector, status) = Reflector::new(target, source, sink.clone());
        assert!(clock::timeout(duration, reflector.run()).await.is_none(), "a reflector goes on for ever");
        let (deltas, status) = (sink.0.lock().unwrap().clone(), status.borrow().clone());
        (deltas, status)
    }
}

/// A field that has a length.
fn field(number: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    // In two bytes each, of which the first may say nothing more.
    let varint = |value: usize| {
        assert!(value < 1 << 14, "larger numbers take more bytes");
        [value as u8 | 0x80, (value >> 7) as u8]
    };
    [&varint(number << 3 | 2)[..], &varint(bytes.len()), bytes].concat()
}

/// What the API server wraps everything in.
fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let r#type = [field(1, api_version), field(2, kind)].concat();
    [b"k8s\0".to_vec(), field(1, r#type), field(2, message), field(3, ""), field(4, "")].concat()
}

/// A pod with an annotation, and with `more` behind its metadata.
fn message(name: &str, version: u32, annotation: &str, more: &[u8]) -> Vec<u8> {
    let annotation = field(12, [field(1, annotation), field(2, "true")].concat());
    let managed = field(17, [field(1, "kubectl"), field(2, "Apply")].concat());
    let metadata = [field(1, name), field(6, version.to_string()), annotation, managed];
    [field(1, metadata.concat()), more.to_vec()].concat()
}

fn pod_message(name: &str, version: u32) -> Vec<u8> {
    message(name, version, "a", b"")
}

/// A pod of a server that is newer than anything: it has a field 1000.
fn newer(name: &str, version: u32) -> Vec<u8> {
    message(name, version, "a", &field(1000, "hunter2"))
}

/// The list of `items`, before it is wrapped.
fn list_message(version: u32, token: &str, items: &[Vec<u8>]) -> Vec<u8> {
    let metadata = [field(2, version.to_string()), field(3, token)].concat();
    let items: Vec<_> = items.iter().map(|item| field(2, item)).collect();
    [field(1, metadata), items.concat()].concat()
}

fn list_of(version: u32, token: &str, items: &[Vec<u8>]) -> Vec<u8> {
    envelope("v1", "PodList", &list_message(version, token, items))
}

/// A frame of a watch, with an object that is wrapped.
fn frame(r#type: &str, object: Vec<u8>) -> Vec<u8> {
    let event = [field(1, r#type), field(2, field(1, object))].concat();
    [&u32::try_from(event.len()).unwrap().to_be_bytes()[..], &event].concat()
}

fn event_of(r#type: &str, message: &[u8]) -> Vec<u8> {
    frame(r#type, envelope("v1", "Pod", message))
}

fn end_of(version: u32) -> Vec<u8> {
    event_of("BOOKMARK", &message("", version, "k8s.io/initial-events-end", b""))
}

async fn drain(mut chunks: Chunks) -> (String, Option<client::Error>) {
    let mut json = Vec::new();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => json.extend_from_slice(&chunk),
            Err(error) => {
                assert!(chunks.next().await.is_none(), "nothing follows an error");
                return (String::from_utf8(json).unwrap(), Some(error));
            }
        }
    }
    (String::from_utf8(json).unwrap(), None)
}

fn all() -> ListOptions {
    ListOptions { resource_version: ResourceVersion::default(), limit: None, continue_token: None }
}

fn from_nothing() -> WatchOptions {
    let resource_version = ResourceVersion::default();
    WatchOptions { resource_version, initial_events: InitialEvents::Send, timeout: seconds(300) }
}

#[tokio::test]
async fn protobuf_is_asked_for_where_the_kind_is_known_and_wanted_whole() {
    let check = async |target: Target, encoding: Encoding, expected: &str| {
        let api = Api::new(|_, _| Reply::new("application/json", ""));
        let source = api.source(target).with_encoding(encoding);
        drop((source.list(all()).await.unwrap(), source.clone().watch(from_nothing()).await.unwrap()));
        let asked = api.asked();
        assert_eq!([asked[0].is_watch(), asked[1].is_watch()], [false, true]);
        assert_eq!([&asked[0].accept, &asked[1].accept], [expected; 2]);
    };
    check(pods(), Encoding::Protobuf, ACCEPT_BOTH).await;
    check(pods(), Encoding::Json, ACCEPT_JSON).await;
    let keep = Target { managed_fields: ManagedFields::Keep, ..pods() };
    let both = "application/vnd.kubernetes.protobuf, application/json";
    check(keep.clone(), Encoding::Protobuf, both).await;
    check(keep, Encoding::Json, "application/json").await;

    let other = |change: fn(&mut ResourceType)| {
        let mut target = pods();
        change(&mut target.resource);
        target
    };
    // A custom resource, one that has the name of a built-in kind, and a version of one that nobody knows.
    check(other(|resource| resource.kind = "Website".into()), Encoding::Protobuf, ACCEPT_JSON).await;
    check(other(|resource| resource.group = "demo.example.com".into()), Encoding::Protobuf, ACCEPT_JSON).await;
    check(other(|resource| resource.version = "v2".into()), Encoding::Protobuf, ACCEPT_JSON).await;
}

#[tokio::test]
async fn an_answer_in_protobuf_is_json_however_it_is_split() {
    let bodies = [
        (PROTOBUF, list_of(9, "next", &[pod_message("a", 5), pod_message("b", 7)])),
        (PROTOBUF_WATCH, [event_of("ADDED", &pod_message("a", 5)), end_of(9)].concat()),
    ];
    for (content_type, body) in bodies {
        let mut read = Vec::new();
        for size in 1..=body.len() {
            let whole = body.clone();
            let api = Api::new(move |_, _| {
                let chunks = whole.chunks(size).map(<[u8]>::to_vec).collect();
                Reply { chunks, ..Reply::new(content_type, "") }
            });
            let source = api.source(pods());
            assert_eq!(source.encoding(), None);
            let answer =
                if content_type == PROTOBUF { source.list(all()).await } else { source.watch(from_nothing()).await };
            let (json, error) = drain(answer.unwrap()).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(source.encoding(), Some(Encoding::Protobuf));
            read.push(json);
        }
        assert!(read.iter().all(|json| *json == read[0]));
        let values: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(&read[0]).into_iter().map(Result::unwrap).collect();
        let names = match &values[..] {
            [list] => list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect(),
            events => events.iter().map(|event| event["type"].clone()).collect::<Vec<_>>(),
        };
        assert_eq!(names, if values.len() == 1 { ["a", "b"] } else { ["ADDED", "BOOKMARK"] });
        assert!(!read[0].contains("kubectl"), "managed fields are dropped");
    }
}

#[tokio::test]
async fn managed_fields_are_read_from_protobuf_where_they_are_kept() {
    let api = Api::new(|_, _| Reply::new(PROTOBUF, list_of(9, "", &[pod_message("a", 5)])));
    let source = api.source(Target { managed_fields: ManagedFields::Keep, ..pods() });
    let (json, _) = drain(source.list(all()).await.unwrap()).await;
    assert!(json.contains(r#""manager":"kubectl""#), "{json}");
}

#[tokio::test]
async fn an_answer_in_json_is_left_as_it_is() {
    for content_type in ["application/json", "application/json;charset=utf-8", "text/plain", ""] {
        let list = page(5, "", &[pod("a", 4)]);
        let api = Api::new(move |_, _| Reply::new(content_type, page(5, "", &[pod("a", 4)])));
        let source = api.source(pods());
        let (json, error) = drain(source.list(all()).await.unwrap()).await;
        assert!(error.is_none() && json == list, "{json} {error:?}");
        assert_eq!(source.encoding(), Some(Encoding::Json));
        assert!(api.asked()[0].accepts_protobuf(), "it was the server's choice");
    }
}

#[tokio::test]
async fn what_came_before_something_unknown_is_handed_on_and_json_asked_for_from_then_on() {
    let api = Api::new(|_, request| match request.accepts_protobuf() {
        true => {
            let body = [event_of("ADDED", &pod_message("a", 5)), event_of("ADDED", &newer("b", 6)), end_of(9)];
            Reply::new(PROTOBUF_WATCH, body.concat())
        }
        false => Reply::new("application/json", initial_events_end(9)),
    });
    let source = api.source(pods());
    let clone = source.clone();
    let (json, error) = drain(source.watch(from_nothing()).await.unwrap()).await;
    assert!(json.starts_with(r#"{"type":"ADDED","object":{"#) && json.lines().count() == 1, "{json}");
    let error = error.expect("an unknown field is an error");
    assert!(matches!(error, client::Error::Unreadable { .. }), "{error:?}");
    assert!(error.to_string().starts_with("GET /api/v1/pods: the API server sent protobuf that can not"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    for source in [&clone, &source] {
        let (json, error) = drain(source.watch(from_nothing()).await.unwrap()).await;
        assert!(error.is_none() && json == initial_events_end(9), "{json} {error:?}");
        assert_eq!(source.encoding(), Some(Encoding::Json));
    }
    let asked: Vec<_> = api.asked().iter().map(|request| request.accept.clone()).collect();
    assert_eq!(asked, [ACCEPT_BOTH, ACCEPT_JSON, ACCEPT_JSON]);
    drop(api.source(pods()).watch(from_nothing()).await.unwrap());
    assert!(api.asked()[3].accepts_protobuf(), "another source has learned nothing");
}

#[tokio::test]
async fn a_server_that_refuses_the_choice_is_asked_for_json_at_once() {
    for code in [406, 415] {
        let api = Api::new(move |_, request| match request.accepts_protobuf() {
            true => Reply { code, ..Reply::new("text/plain", "only JSON here") },
            false => Reply::new("application/json", page(5, "", &[])),
        });
        let source = api.source(pods());
        for _ in 0..2 {
            let (json, _) = drain(source.list(all()).await.unwrap()).await;
            assert_eq!(json, page(5, "", &[]));
        }
        let asked: Vec<_> = api.asked().iter().map(Request::accepts_protobuf).collect();
        assert_eq!(asked, [true, false, false]);
    }
    let api = Api::new(|_, _| Reply { code: 406, ..Reply::new("text/plain", "nothing here") });
    let refused = api.source(pods()).list(all()).await.err().unwrap();
    assert_eq!(
        (refused.code(), api.asked().len()),
        (Some(406), 2),
        "what refuses JSON as well is no matter of the encoding"
    );
}

#[tokio::test(start_paused = true)]
async fn initial_events_that_can_not_be_read_are_asked_for_in_json_and_nothing_is_lost() {
    let api = Api::new(|_, request| match request.accepts_protobuf() {
        true => {
            let body = [event_of("ADDED", &pod_message("a", 5)), event_of("ADDED", &newer("b", 6)), end_of(9)];
            Reply::new(PROTOBUF_WATCH, body.concat()).open()
        }
        false => {
            let body = event("ADDED", &pod("a", 5)) + &event("ADDED", &pod("b", 6)) + &initial_events_end(9);
            Reply::new("application/json", body).open()
        }
    });
    let (deltas, status) = api.reflect(seconds(60), FirstSync::WatchList).await;
    assert_eq!(deltas, ["started", "listed a@5", "started", "listed a@5", "listed b@6", "replaced 9"]);
    let asked = api.asked();
    assert!(asked.iter().all(Request::is_watch), "{asked:?}");
    assert_eq!(asked.iter().map(Request::accepts_protobuf).collect::<Vec<_>>(), [true, false]);
    assert_eq!(asked[0].at, asked[1].at, "there is nothing to wait for");
    assert!(status.failure.is_none(), "{:?}", status.failure);
    assert_eq!((status.counts.failures, status.encoding), (1, Some(Encoding::Json)));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_can_not_be_read_is_asked_for_again_in_json_and_nothing_is_lost() {
    let api = Api::new(|_, request| match (request.accepts_protobuf(), request.uri.contains("continue=next")) {
        _ if request.is_watch() => Reply::new("application/json", "").open(),
        (true, false) => Reply::new(PROTOBUF, list_of(9, "next", &[pod_message("a", 5)])),
        (true, true) => {
            Reply::new(PROTOBUF, list_of(9, "", &[pod_message("b", 6), newer("c", 7), pod_message("d", 8)]))
        }
        (false, true) => Reply::new("application/json", page(9, "", &[pod("b", 6), pod("c", 7), pod("d", 8)])),
        (false, false) => unreachable!("the first page was read"),
    });
    let (deltas, status) = api.reflect(seconds(60), FirstSync::List).await;
    let listed = ["started", "listed a@5", "listed b@6", "listed b@6", "listed c@7", "listed d@8", "replaced 9"];
    assert_eq!(deltas, listed);
    let asked = api.asked();
    assert_eq!(asked.iter().map(Request::accepts_protobuf).collect::<Vec<_>>(), [true, true, false, false]);
    assert!(asked.iter().all(|request| request.at == asked[0].at), "there is nothing to wait for: {asked:?}");
    assert!(status.failure.is_none(), "{:?}", status.failure);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_not_be_read_is_watched_for_again_in_json_and_nothing_is_lost() {
    let api = Api::new(|number, request| match number {
        1 => Reply::new(PROTOBUF_WATCH, end_of(5)),
        2 => {
            let body = [event_of("MODIFIED", &pod_message("a", 6)), event_of("MODIFIED", &newer("b", 7))];
            Reply::new(PROTOBUF_WATCH, body.concat()).open()
        }
        _ => {
            assert!(
                request.uri.contains("resourceVersion=6&") || request.uri.ends_with("resourceVersion=6"),
                "{request:?}"
            );
            Reply::new("application/json", event("MODIFIED", &pod("b", 7))).open()
        }
    });
    let (deltas, status) = api.reflect(seconds(60), FirstSync::WatchList).await;
    assert_eq!(deltas, ["started", "replaced 5", "applied a@6", "applied b@7"]);
    let asked = api.asked();
    assert_eq!(asked.iter().map(Request::accepts_protobuf).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(asked[1].at, asked[2].at, "there is nothing to wait for");
    assert_eq!((status.counts.lists, status.counts.short_watches), (1, 1), "only the first watch was cut short");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_can_never_be_read_is_asked_less_and_less_often() {
    let unreadable = || {
        let (path, problem) = ("/api/v1/pods".to_owned(), "it can not be read".to_owned());
        client::Error::Unreadable { method: http::Method::GET, path, problem }
    };
    let seen = observe(seconds(20), move |_, _| Answer::Fail(unreadable())).await;
    let gaps = seen.gaps();
    assert_eq!(gaps[0], Duration::ZERO, "another encoding may be readable");
    assert!(gaps[1..].iter().all(|gap| *gap >= state::BACKOFF_START / 2), "{gaps:?}");
    assert!(seen.failure().message.contains("can not be read"), "{:?}", seen.failure());
}
