//! No body, no header and no token in a log, an error or a metric: every way in which lists, watches, decoding, writes and
//! the user's own functions fail, with secrets all over, and all that was logged at the most talkative level.
//!
//! What passes on purpose is what is meant for people: keys, names of fields, and the `message` of a Status.
#![allow(missing_docs, unreachable_pub)]
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Method, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kubewright::informer::handler::{Handle, ResourceEventHandler};
use kubewright::informer::options::InformerOptions;
use kubewright::informer::transform::Transform;
use kubewright::manager::Manager;
use kubewright::metrics::Snapshot;
use kubewright::{Action, Client, CustomResource, InformerFactory, Lister, ObjectKey, Operator, Result, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::MakeWriter;

/// Stands wherever an object, a body, a header or a token may hold something secret.
const SECRET: &str = "hunter2";

/// The same, where a number stands.
const NUMBER: &str = "8675309";

/// All that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// One answer of the server.
#[derive(Clone)]
enum Answer {
    /// With this status code, these headers and this body, and the end.
    Whole(u16, &'static [(&'static str, &'static str)], String),
    /// Accepted, with a body that stays open after this.
    Open(String),
    /// None.
    Never,
}

impl Answer {
    /// Answers. Every answer has headers that are nobody's business.
    async fn give(self) -> std::result::Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
        let head = Response::builder()
            .header("www-authenticate", format!("Bearer realm=\"{SECRET}\""))
            .header("warning", format!("299 - \"{SECRET}\""))
            .header("audit-id", SECRET);
        let response = match self {
            Self::Whole(code, headers, body) => {
                let head = headers.iter().fold(head.status(code), |head, (name, value)| head.header(*name, *value));
                head.body(Full::from(body).boxed_unsync())
            }
            Self::Open(body) => {
                let frames = stream::iter([Ok(Frame::data(Bytes::from(body)))]).chain(stream::pending());
                head.body(StreamBody::new(frames).boxed_unsync())
            }
            Self::Never => std::future::pending().await,
        };
        Ok(response.unwrap())
    }
}

fn ok(body: String) -> Answer {
    Answer::Whole(200, &[], body)
}

fn fails(code: u16, body: String) -> Answer {
    Answer::Whole(code, &[("content-type", "application/json")], body)
}

/// Makes the next request a list: the server knows no initial events.
fn refuse() -> Answer {
    fails(422, String::new())
}

/// A client whose requests are answered by `answer`.
fn client(answer: impl Fn(&http::Request<Body>) -> Answer + Clone + Send + Sync + 'static) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| answer(&request).give());
    Client::new(kube::Client::new(service, "default"))
}

fn secret(name: &str, version: u32) -> String {
    let metadata = format!(
        r#"{{"name":"{name}","namespace":"shop","uid":"u-{name}","resourceVersion":"{version}","annotations":{{"a":"{SECRET}"}}}}"#
    );
    format!(r#"{{"apiVersion":"v1","kind":"Secret","metadata":{metadata},"data":{{"password":"{SECRET}"}}}}"#)
}

/// A Secret whose data is something else.
fn with_data(data: &str) -> String {
    secret("bad", 6).replace(&format!(r#"{{"password":"{SECRET}"}}"#), data)
}

fn event(r#type: &str, object: &str) -> String {
    format!("{{\"type\":\"{type}\",\"object\":{object}}}\n")
}

fn end(version: u32) -> String {
    let metadata = format!(r#"{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}"#);
    event("BOOKMARK", &format!(r#"{{"metadata":{metadata}}}"#))
}

fn page(items: &str) -> String {
    format!(
        r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{"resourceVersion":"9","continue":"{SECRET}"}},"items":[{items}]}}"#
    )
}

/// A failure whose message is for people, with all else that a server may put into it.
fn status(code: u16, reason: &str) -> String {
    let cause = format!(r#"{{"reason":"FieldValueInvalid","message":"{SECRET}","field":"{SECRET}"}}"#);
    let details = format!(r#"{{"name":"{SECRET}","uid":"{SECRET}","causes":[{cause}],"retryAfterSeconds":1}}"#);
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{"continue":"{SECRET}"}},"status":"Failure","message":"no","reason":"{reason}","details":{details},"code":{code},"token":"{SECRET}"}}"#
    )
}

/// A failure, the answers that lead to it, and what is said of it.
type Case = (&'static str, Vec<Answer>, &'static str);

fn undecodable() -> Vec<Case> {
    let bad = |data: &str| vec![ok(event("ADDED", &with_data(data)) + &end(7))];
    let item = page(&with_data(&format!("\"{SECRET}\""))).replace(r#""continue":"hunter2""#, r#""a":1"#);
    vec![
        ("an object with a text for a map", bad(&format!("\"{SECRET}\"")), "does not decode at `data`"),
        ("an object with a number for a text", bad(&format!(r#"{{"a":{NUMBER}}}"#)), "integer `…`"),
        ("an object with a fraction for a text", bad(&format!(r#"{{"a":{NUMBER}.5}}"#)), "floating point `…`"),
        ("an object with a text of the wrong form", bad(&format!(r#"{{"a":"!{SECRET}"}}"#)), "its type refuses"),
        ("an item that does not decode", vec![refuse(), ok(item)], "does not decode"),
    ]
}

fn broken_watches() -> Vec<Case> {
    let listed = |next: Answer| vec![ok(end(5)), next];
    let changed = |from: &str, to: &str| event("ADDED", &secret("a", 5).replace(from, to));
    let labels = changed(r#""annotations":{"a":"hunter2"}"#, r#""labels":["hunter2"]"#);
    let huge = format!("\"{}\"", SECRET.repeat(17 * 1024 * 1024 / SECRET.len()));
    vec![
        ("an event that is cut", vec![ok(secret("a", 5)[..150].to_owned())], "too early"),
        ("an event that is no JSON", vec![ok(changed(r#""data":{"#, r#""data":{]"#))], "malformed JSON"),
        ("an event that goes on", vec![ok(format!("{}\u{fffd}\n", secret("a", 5)))], "malformed JSON"),
        ("an event without usable metadata", vec![ok(labels + &end(7))], "metadata.labels"),
        ("an event of another kind", vec![ok(changed("Secret", "Config") + &end(7))], "another kind"),
        ("an event that is too large", vec![ok(event("ADDED", &with_data(&huge)))], "more than 16777216 bytes"),
        ("an error that is an object", vec![ok(event("ERROR", &secret("a", 5)))], "cannot watch secrets"),
        ("an expired version, as an event", listed(ok(event("ERROR", &status(410, "Expired")))), "fault=Expired"),
        ("an expired version, as an answer", listed(fails(410, status(410, "Gone"))), "fault=Expired"),
        ("a server that asks to slow down", listed(fails(429, status(429, "TooManyRequests"))), "TooManyRequests"),
        ("a watch that never begins", listed(Answer::Never), "did not answer"),
        ("a watch that says nothing", vec![Answer::Open(event("ADDED", &secret("a", 5)))], "do not end"),
    ]
}

fn broken_lists() -> Vec<Case> {
    let listed = |next: Answer| vec![refuse(), next];
    let ahead = status(504, "Timeout").replace("FieldValueInvalid", "ResourceVersionTooLarge");
    let endless = vec![refuse(), ok(page(&secret("a", 5))), ok(page(&secret("b", 5)))];
    vec![
        ("a list that is cut", listed(ok(page(&secret("a", 5))[..230].to_owned())), "ends before the list does"),
        ("a list that is no JSON", listed(ok(page(&with_data("{]")))), "malformed JSON"),
        ("an item that is no object", listed(ok(page(&format!("\"{SECRET}\"")))), "malformed JSON"),
        ("a table", listed(ok(format!(r#"{{"kind":"Table","rows":["{SECRET}"]}}"#))), "Table"),
        ("no list at all", listed(ok(secret("a", 5))), "no list"),
        ("a page that fails", vec![refuse(), ok(page(&secret("a", 5))), fails(500, secret("a", 5))], "500"),
        ("a page that names itself", endless, "the same page"),
        (
            "a token that expired",
            vec![refuse(), ok(page(&secret("a", 5))), fails(410, status(410, "Expired"))],
            "Expired",
        ),
        ("a version ahead of the server", listed(fails(504, ahead)), "TooLargeVersion"),
        ("a page of a proxy", vec![Answer::Whole(502, &[("content-type", "text/html")], secret("a", 5))], "502"),
        ("a failure that is an object", vec![fails(503, secret("a", 5))], "503"),
        ("credentials that are refused", vec![fails(401, secret("a", 5))], "the credentials were refused"),
        ("a role that is missing", vec![fails(403, status(403, "Forbidden"))], "not allowed to"),
        (
            "what can not be unpacked",
            listed(Answer::Whole(200, &[("content-encoding", "gzip")], page(&secret("a", 5)))),
            "can not be unpacked",
        ),
    ]
}

/// A field of protobuf that has a length; the tag and the length are characters.
fn field(number: u8, value: &str) -> String {
    assert!(number < 16 && value.len() < 128);
    format!("{}{}{value}", char::from((number << 3) | 2), char::from(value.len() as u8))
}

/// One event of a watch in protobuf, of a Secret whose data is followed by `more`.
fn event_in_protobuf(more: &str) -> String {
    let metadata = field(1, "a") + &field(3, "shop") + &field(6, "5");
    let data = field(1, "b") + &field(2, SECRET);
    let secret = field(1, &metadata) + &field(2, &data) + more;
    let envelope = format!("k8s\0{}{}", field(1, &(field(1, "v1") + &field(2, "Secret"))), field(2, &secret));
    let event = field(1, "ADDED") + &field(2, &field(1, &envelope));
    format!("\0\0\0{}{event}", char::from(event.len() as u8))
}

fn broken_protobuf() -> Vec<Case> {
    let watch = |body: String| Answer::Whole(200, &[("content-type", "application/vnd.kubernetes.protobuf")], body);
    let unknown = event_in_protobuf(&field(9, SECRET));
    let status = field(1, &(field(1, "v1") + &field(2, "Status"))) + &field(2, &(field(4, "Why") + &field(9, SECRET)));
    let status = Answer::Whole(422, &[], format!("k8s\0{status}"));
    vec![
        ("a field that nobody knows", vec![watch(unknown.clone()), ok(end(5))], "JSON is asked for from now on"),
        ("a field that nobody knows, in spite of all", vec![watch(unknown)], "malformed JSON"),
        ("text where protobuf is announced", vec![watch(secret("a", 5))], "JSON is asked for from now on"),
        ("a failure in protobuf", vec![status], "422 Why"),
    ]
}

/// Panics on whatever it is told.
struct Panics;

impl ResourceEventHandler<Secret> for Panics {
    fn on_add(&mut self, object: Handle<Secret>, _: bool) {
        let decoded = object.get();
        panic!("of a handler, {}", decoded.is_ok());
    }
}

/// Runs an informer of Secrets against a server that gives these answers in turn, the last for ever; returns what was logged
/// and what the informer says of itself.
async fn read(log: &Log, answers: Vec<Answer>) -> String {
    let asked = AtomicUsize::new(0);
    let asked = Arc::new(asked);
    let client = client(move |_| answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone());
    let factory = InformerFactory::new(client);
    let informer = factory.informer::<Secret>();
    let _by_type = informer.add_index(|secret: &Secret| secret.type_.clone());
    let _by_nothing = informer.add_index(|_: &Secret| -> Option<String> { panic!("of an index") });
    let _handler = informer.add_event_handler(Panics);
    let transform = Transform::new(|object| panic!("of a transform, {}", object.is_object()));
    let transformed = factory.informer_with::<Secret>(InformerOptions::default().transform(transform));
    factory.start();
    let late = factory.wait_for_cache_sync(Duration::from_secs(20)).await;
    // Until every answer has been given, and what failed has been tried again.
    tokio::time::sleep(Duration::from_secs(300)).await;
    said_by(&informer.lister());
    said_by(&transformed.lister());
    let mut metrics = Snapshot::default();
    factory.collect(&mut metrics);
    let status = format!("{late:?} {:?} {:?} {factory:?} {informer:?}", factory.status(), factory.reflectors());
    factory.shutdown().await;
    log.take() + &status + &metrics.text()
}

/// Logs what a lister says of objects that do not decode, in both ways in which errors are shown.
fn said_by(lister: &Lister<Secret>) {
    let read = lister.get(&ObjectKey::namespaced("shop", "bad")).map(drop);
    for error in [read, lister.list().map(drop)].into_iter().filter_map(std::result::Result::err) {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(?error, "{error}: {source:?}");
    }
}

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Vault", namespaced)]
#[operator(owns(Secret))]
pub struct VaultSpec {
    password: String,
}

struct Vaults;

impl VaultReconciler for Vaults {
    async fn reconcile(&self, vault: Arc<Vault>, cx: VaultContext) -> Result<Action> {
        assert_ne!(cx.key().name(), "panics", "of a reconcile");
        let mut child = Secret::default();
        child.metadata.name = Some("child".to_owned());
        child.data = Some([("password".to_owned(), ByteString(vault.spec.password.clone().into()))].into());
        let applied = cx.apply(child).await;
        if let Err(error) = &applied {
            tracing::error!(?error, "{error}");
        }
        applied.map(|_| Action::await_change())
    }
}

/// Runs an operator of one Vault of that name against a server that gives this answer to its write; returns what was logged
/// and what the operator says of itself.
async fn write(log: &Log, name: &str, answer: Answer) -> String {
    let vault = format!(
        r#"{{"apiVersion":"test.kubewright.dev/v1","kind":"Vault","metadata":{{"name":"{name}","namespace":"shop","uid":"u","resourceVersion":"3"}},"spec":{{"password":"{SECRET}"}}}}"#
    );
    let client = client(move |request| match (request.method(), request.uri().path().ends_with("/vaults")) {
        (&Method::GET, true) => Answer::Open(event("ADDED", &vault) + &end(4)),
        (&Method::GET, false) if request.uri().path().ends_with("/secrets") => Answer::Open(end(4)),
        _ => answer.clone(),
    });
    let factory = InformerFactory::new(client.clone());
    let operator = Vault::operator(async |_| Ok(Vaults));
    let (controller, reconcile) = operator.controller(Setup::new(client, factory.clone())).await.unwrap();
    let manager = Manager::new(factory.clone()).controller(controller, reconcile);
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    let run = manager.run();
    let observe = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        let mut metrics = Snapshot::default();
        controllers.collect(&mut metrics);
        factory.collect(&mut metrics);
        let said = format!("{:?} {controllers:?} {}", controllers.status(), metrics.text());
        stop.stop();
        said
    };
    let (outcome, said) = tokio::join!(run, observe);
    format!("{}{said}{outcome:?}", log.take())
}

fn refused_writes() -> Vec<(&'static str, &'static str, Answer, &'static str)> {
    let undecodable = secret("child", 7).replace(r#""data":{"#, r#""data":"hunter2","b":{"#);
    let huge = SECRET.repeat(33 * 1024 * 1024 / SECRET.len());
    vec![
        ("a lost race", "a", fails(409, status(409, "Conflict")), "lost a race"),
        ("a refusal", "a", fails(422, status(422, "Invalid")), "422 Invalid: no"),
        ("a page of a proxy", "a", Answer::Whole(502, &[("content-type", "text/html")], secret("a", 5)), "502"),
        ("a failure that is an object", "a", fails(500, secret("a", 5)), "500"),
        ("an answer that is no JSON", "a", ok(format!("{{{SECRET}")), "does not decode"),
        ("an answer of another form", "a", ok(undecodable), "does not decode"),
        ("an answer that is too large", "a", ok(huge), "larger than"),
        (
            "an answer that can not be unpacked",
            "a",
            Answer::Whole(200, &[("content-encoding", "gzip")], secret("a", 5)),
            "unpacked",
        ),
        ("no answer", "a", Answer::Never, "did not answer"),
        ("a panic", "panics", ok(secret("child", 7)), "panicked: "),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_failure_tells_what_a_body_a_header_or_a_token_holds() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    let mut wrong = Vec::new();
    let mut judge = |name: &str, told: String, expected: &str| {
        if !told.contains(expected) {
            wrong.push(format!("{name}: nothing of `{expected}` in\n{told}"));
        }
        if told.contains(SECRET) || told.contains(NUMBER) {
            wrong.push(format!("{name}: a secret is in\n{told}"));
        }
    };
    let reads = undecodable().into_iter().chain(broken_watches()).chain(broken_lists()).chain(broken_protobuf());
    for (name, answers, expected) in reads {
        judge(name, read(&log, answers).boxed().await, expected);
    }
    for (name, vault, answer, expected) in refused_writes() {
        judge(name, write(&log, vault, answer).boxed().await, expected);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
