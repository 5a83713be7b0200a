//! No body and no token in a log or an error: every way in which lists, watches and decoding fail, with secrets all over,
//! and all that was logged at the most talkative level.
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kubewright::{Client, Informer, InformerFactory, ObjectKey};
use tracing_subscriber::fmt::MakeWriter;

/// Stands wherever an object, a body or a token may hold something secret.
const SECRET: &str = "hunter2";

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

/// One answer of the server: status code, headers, body.
type Answer = (u16, &'static [(&'static str, &'static str)], String);

fn secret(name: &str, version: u32) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{name}","namespace":"shop","uid":"u-{name}","resourceVersion":"{version}","annotations":{{"a":"{SECRET}"}}}},"data":{{"password":"{SECRET}"}}}}"#
    )
}

fn event(r#type: &str, object: &str) -> String {
    format!("{{\"type\":\"{type}\",\"object\":{object}}}\n")
}

fn end(version: u32) -> String {
    event(
        "BOOKMARK",
        &format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#
        ),
    )
}

fn list(items: &str) -> String {
    format!(
        r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{"resourceVersion":"9","continue":"{SECRET}"}},"items":[{items}]}}"#
    )
}

/// Runs an informer of Secrets against a server that gives these answers in turn, the last for ever; returns the log and
/// what the informer says of itself.
async fn told(log: &Log, answers: Vec<Answer>) -> String {
    let asked = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |_: http::Request<Body>| {
        let n = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let (code, headers, body) = answers[n].clone();
        let mut response = Response::builder().status(code);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(body.into_bytes())).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let factory = InformerFactory::new(Client::new(kube::Client::new(service, "default")));
    let informer: Informer<Secret> = factory.informer();
    let _index = informer.add_index(|secret: &Secret| secret.type_.clone());
    factory.start();
    let late = factory.wait_for_cache_sync(Duration::from_secs(20)).await;
    // Until every answer has been given, and what failed has been tried again.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let read = informer.lister().get(&ObjectKey::namespaced("shop", "bad"));
    if let Err(error) = &read {
        let source = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(?error, "{error}: {source:?}");
    }
    let said = format!("{late:?} {:?} {:?} {factory:?} {informer:?}", factory.status(), factory.reflectors());
    factory.shutdown().await;
    log.take() + &said
}

#[tokio::test(start_paused = true)]
async fn no_failure_of_a_list_a_watch_or_a_decode_tells_what_a_body_holds() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    let bad =
        secret("bad", 6).replace(&format!(r#""data":{{"password":"{SECRET}"}}"#), &format!(r#""data":"{SECRET}""#));
    let refuse = || (422, &[][..], String::new());
    let ok = |body: String| (200, &[][..], body);
    let cases: Vec<(&str, Vec<Answer>, &str)> = vec![
        ("an object that does not decode", vec![ok(event("ADDED", &bad) + &end(7))], "does not decode at `data`"),
        (
            "an item that does not decode",
            vec![refuse(), ok(list(&bad).replace(r#""continue":"hunter2""#, r#""a":1"#))],
            "does not decode",
        ),
        ("an event that is cut", vec![ok(secret("a", 5)[..150].to_owned())], "too early"),
        (
            "an event that is no JSON",
            vec![ok(event("ADDED", &secret("a", 5).replace(r#""data":{"#, r#""data":{]"#)))],
            "malformed JSON",
        ),
        ("an event of no UTF-8", vec![ok(format!("{}\u{fffd}\n", secret("a", 5)))], "malformed JSON"),
        (
            "an event without usable metadata",
            vec![ok(event(
                "ADDED",
                &secret("a", 5)
                    .replace(r#""a":"#, r#""labels":"#)
                    .replace("annotations", "labels")
                    .replace(r#"{"labels":"hunter2"}"#, r#"["hunter2"]"#),
            ) + &end(7))],
            "metadata.labels",
        ),
        (
            "an event of another kind",
            vec![ok(event("ADDED", &secret("a", 5).replace(r#""kind":"Secret""#, r#""kind":"Config""#)) + &end(7))],
            "another kind",
        ),
        ("an error that is an object", vec![ok(event("ERROR", &secret("a", 5)))], "cannot watch secrets"),
        (
            "a list that is cut",
            vec![refuse(), ok(list(&secret("a", 5))[..230].to_owned())],
            "ends before the list does",
        ),
        (
            "a list that is no JSON",
            vec![refuse(), ok(list(&secret("a", 5).replace(r#""data":{"#, r#""data":{]"#)))],
            "malformed JSON",
        ),
        ("a list with an item that is none", vec![refuse(), ok(list(&format!("\"{SECRET}\"")))], "malformed JSON"),
        ("a table", vec![refuse(), ok(format!(r#"{{"kind":"Table","rows":["{SECRET}"]}}"#))], "Table"),
        ("no list at all", vec![refuse(), ok(secret("a", 5))], "no list"),
        ("a page that fails", vec![refuse(), ok(list(&secret("a", 5))), (500, &[], secret("a", 5))], "500"),
        ("a page of a proxy", vec![(502, &[("content-type", "text/html")], format!("<html>{SECRET}</html>"))], "502"),
        ("a failure that is an object", vec![(503, &[("content-type", "application/json")], secret("a", 5))], "503"),
        (
            "what can not be unpacked",
            vec![refuse(), (200, &[("content-encoding", "gzip")], list(&secret("a", 5)))],
            "no gzip",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, answers, expected) in cases {
        let told = told(&log, answers).await;
        if !told.contains(expected) {
            wrong.push(format!("{name}: nothing of `{expected}` in\n{told}"));
        }
        if told.contains(SECRET) {
            wrong.push(format!("{name}: the secret is in\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
