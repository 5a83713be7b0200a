//! A reflector against a scripted server, on a paused clock. R1 to R22 are the invariants of client-go's reflector.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use k8s_openapi::api::core::v1::Pod;

use crate::client::{self, Chunks, Status};
use crate::clock;
use crate::resource::ResourceType;

use super::state::ListOptions;
use super::*;

mod ahead;

mod batches;

mod encoding;

mod hostile;

mod lists;

mod recovery;

mod requests;

mod rounds;

mod status;

mod watch_list;

mod watches;

/// What the reflector asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    List(ListOptions),
    Watch(WatchOptions),
}

impl Asked {
    /// In short: `list "" 500`, `list "" 500 token`, `watch 5`, `watch-list`.
    fn brief(&self) -> String {
        match self {
            Self::List(options) => {
                let limit = options.limit.map_or("all".to_owned(), |limit| limit.to_string());
                let token = options.continue_token.as_ref().map_or(String::new(), |token| format!(" {token}"));
                format!("list {:?} {limit}{token}", options.resource_version.as_str())
            }
            Self::Watch(options) if options.initial_events == InitialEvents::Send => "watch-list".to_owned(),
            Self::Watch(options) => format!("watch {}", options.resource_version),
        }
    }
}

/// What the server does with one request.
pub(super) enum Answer {
    Fail(client::Error),
    Body(Vec<Step>),
    /// Does it after so long.
    Late(Duration, Box<Answer>),
}

/// What a body does.
pub(super) enum Step {
    Send(String),
    Wait(Duration),
    Break,
    /// Holds this until it is read, or the body dropped.
    Keep(Arc<()>),
    /// Stays open and silent.
    Hang,
}

type Script = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

#[derive(Clone)]
pub(super) struct Server {
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<(tokio::time::Instant, Asked)>>>,
    /// Requests and bodies that are open.
    open: Arc<()>,
    first_sync: FirstSync,
}

impl Server {
    async fn answer(&self, asked: Asked) -> Result<Chunks, client::Error> {
        let open = Arc::clone(&self.open);
        let count = {
            let mut log = self.asked.lock().unwrap();
            log.push((clock::now(), asked.clone()));
            log.len()
        };
        let mut answer = (self.script)(count, &asked);
        while let Answer::Late(after, then) = answer {
            clock::sleep(after).await;
            answer = *then;
        }
        match answer {
            Answer::Late(..) => unreachable!("it is waited for above"),
            Answer::Fail(error) => Err(error),
            Answer::Body(steps) => {
                let body = stream::iter(steps).filter_map(move |step| {
                    let _open = &open;
                    async move {
                        match step {
                            Step::Send(text) => Some(Ok(Bytes::from(text))),
                            Step::Keep(held) => {
                                drop(held);
                                None
                            }
                            Step::Break => Some(Err(broken())),
                            Step::Wait(duration) => {
                                clock::sleep(duration).await;
                                None
                            }
                            Step::Hang => std::future::pending().await,
                        }
                    }
                });
                Ok(body.boxed())
            }
        }
    }
}

impl ListerWatcher for Server {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move { self.answer(Asked::List(options)).await })
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move { self.answer(Asked::Watch(options)).await })
    }

    fn first_sync(&self) -> FirstSync {
        self.first_sync
    }
}

/// Writes down what it takes.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<String>>>);

impl DeltaSink for Sink {
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let delta = brief(&delta);
        // The store has no room for a while.
        if delta.contains("slow") {
            clock::sleep(seconds(20)).await;
        }
        self.0.lock().unwrap().push(delta);
        Ok(())
    }
}

/// Takes nothing.
pub(super) struct ClosedSink;

impl DeltaSink for ClosedSink {
    async fn push(&self, _: Delta) -> Result<(), Closed> {
        Err(Closed)
    }
}

/// What was seen of a reflector.
pub(super) struct Seen {
    pub(super) deltas: Vec<String>,
    pub(super) asked: Vec<Asked>,
    pub(super) times: Vec<Duration>,
    pub(super) status: ReflectorStatus,
    /// What stayed open after the reflector was dropped.
    pub(super) left_open: usize,
}

impl Seen {
    pub(super) fn requests(&self) -> Vec<String> {
        self.asked.iter().map(Asked::brief).collect()
    }

    pub(super) fn lists(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked, Asked::List(_))).count()
    }

    /// Times between requests.
    pub(super) fn gaps(&self) -> Vec<Duration> {
        self.times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    pub(super) fn failure(&self) -> &Failure {
        self.status.failure.as_ref().expect("a failure is published")
    }
}

/// Runs a reflector of pods for `duration` against `script`, which is given the number of the request, from 1.
pub(super) async fn observe(
    duration: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> Seen {
    observe_target(pods(), duration, script).await
}

pub(super) async fn observe_target(
    target: Target,
    duration: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> Seen {
    observe_server(target, duration, serving(script, FirstSync::WatchList)).await
}

pub(super) fn serving(
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    first_sync: FirstSync,
) -> Server {
    Server { script: Arc::new(script), asked: Arc::default(), open: Arc::new(()), first_sync }
}

pub(super) async fn observe_server(target: Target, duration: Duration, server: Server) -> Seen {
    let sink = Sink::default();
    let (reflector, status) = Reflector::new(target, server.clone(), sink.clone());
    let begun = clock::now();
    assert!(clock::timeout(duration, reflector.run()).await.is_none(), "a reflector goes on for ever");
    let log = server.asked.lock().unwrap().clone();
    Seen {
        deltas: sink.0.lock().unwrap().clone(),
        times: log.iter().map(|(at, _)| *at - begun).collect(),
        asked: log.into_iter().map(|(_, asked)| asked).collect(),
        status: status.borrow().clone(),
        left_open: Arc::strong_count(&server.open) - 1,
    }
}

pub(super) fn brief(delta: &Delta) -> String {
    let object = |what: &str, object: &RawObject| {
        format!("{what} {}@{}", object.metadata().key, object.metadata().resource_version)
    };
    match delta {
        Delta::ListStarted => "started".to_owned(),
        Delta::Listed(raw) => object("listed", raw),
        Delta::Replaced(version) => format!("replaced {version}"),
        Delta::Applied(raw) => object("applied", raw),
        Delta::Deleted(raw) => object("deleted", raw),
        Delta::Bookmark(version) => format!("bookmark {version}"),
    }
}

pub(super) fn pods() -> Target {
    Target {
        resource: ResourceType::of::<Pod>(),
        namespace: None,
        labels: None,
        fields: None,
        metadata_only: false,
        managed_fields: ManagedFields::Drop,
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn pod(name: &str, version: u32) -> String {
    format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","resourceVersion":"{version}"}}}}"#)
}

pub(super) fn event(r#type: &str, object: &str) -> String {
    format!("{{\"type\":\"{type}\",\"object\":{object}}}\n")
}

pub(super) fn bookmark(version: u32) -> String {
    event("BOOKMARK", &format!(r#"{{"kind":"Pod","metadata":{{"resourceVersion":"{version}"}}}}"#))
}

pub(super) fn initial_events_end(version: u32) -> String {
    let metadata = format!(r#"{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}"#);
    event("BOOKMARK", &format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{metadata}}}"#))
}

/// A page of a list; an empty token ends it.
pub(super) fn page(version: u32, token: &str, items: &[String]) -> String {
    let metadata = format!(r#"{{"resourceVersion":"{version}","continue":"{token}"}}"#);
    format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{}]}}"#, items.join(","))
}

pub(super) fn status_json(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","reason":"{reason}","code":{code}}}"#
    )
}

pub(super) fn body(steps: impl IntoIterator<Item = Step>) -> Answer {
    Answer::Body(steps.into_iter().collect())
}

/// Sends `text`, then stays open.
pub(super) fn open(text: &str) -> Answer {
    body([Step::Send(text.to_owned()), Step::Hang])
}

/// Sends the first `cut` bytes of `text`, and the others after `pause`.
pub(super) fn slow(text: &str, cut: usize, pause: Duration) -> Answer {
    let (head, rest) = text.split_at(cut);
    body([Step::Send(head.to_owned()), Step::Wait(pause), Step::Send(rest.to_owned())])
}

/// Sends `text` and ends.
pub(super) fn whole(text: &str) -> Answer {
    body([Step::Send(text.to_owned())])
}

/// Synced by a watch-list without objects, at this version, and open.
pub(super) fn synced(version: u32) -> Vec<Step> {
    vec![Step::Send(initial_events_end(version))]
}

/// Synced at this version; what `steps` say happens afterwards on the same watch.
pub(super) fn synced_then(version: u32, steps: impl IntoIterator<Item = Step>) -> Answer {
    Answer::Body(synced(version).into_iter().chain(steps).collect())
}

pub(super) fn refuse(code: u16, reason: &str) -> Answer {
    refuse_with(Status { code, reason: reason.to_owned(), ..Status::default() })
}

pub(super) fn refuse_with(status: Status) -> Answer {
    let path = "/api/v1/pods".to_owned();
    Answer::Fail(client::Error::Status { method: http::Method::GET, path, status: Box::new(status) })
}

pub(super) fn unreachable() -> Answer {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let source = Box::new(kube::Error::Service(refused.into()));
    Answer::Fail(client::Error::Connect { url: "https://cluster.example:6443".to_owned(), source })
}

fn broken() -> client::Error {
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let source = Box::new(kube::Error::Service(reset.into()));
    client::Error::Broken { method: http::Method::GET, path: "/api/v1/pods".to_owned(), source }
}
