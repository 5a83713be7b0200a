//! A server of pre-rendered objects on the loopback, to time clients alone: it answers as fast as they read.
//!
//! LIST with limit and continue, WATCH, WATCH with initial events; `POST /trigger?m=M` makes every open watch send M
//! MODIFIED events, and `POST /expire` makes it say that its version is gone, so that clients list again. Events change an
//! object's version and the time in its annotation `bench.example.com/sent`; lists stay as they were.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::Result;
use crate::objects::{LIST_VERSION, ObjectKind, Rendered};

mod query;

mod watch;

use query::Query;

/// What to serve.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Objects of each kind
    #[arg(long, default_value_t = 50_000)]
    pub objects: usize,
    /// Port to listen on; any free one if zero
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Serve only this kind
    #[arg(long)]
    pub kind: Option<ObjectKind>,
    /// Seed of the objects
    #[arg(long, default_value_t = crate::objects::SEED)]
    pub seed: u64,
    /// End when standard input does: with the process that started this one
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

/// The line that says that it serves.
#[derive(serde::Serialize, serde::Deserialize, Debug)]
pub struct Serving {
    /// Where.
    pub url: String,
    /// How many objects of each kind.
    pub objects: usize,
    /// What they were made of.
    pub seed: u64,
    /// How long their JSON is in the mean, by kind.
    pub mean_bytes: BTreeMap<String, usize>,
}

/// Serves until it is killed.
///
/// # Errors
/// When the port is taken.
pub async fn run(options: Options) -> Result<()> {
    let kinds = ObjectKind::ALL.into_iter().filter(|kind| options.kind.is_none_or(|only| only == *kind));
    let kinds: Vec<_> = kinds.map(|kind| Arc::new(Collection::new(kind, options.objects, options.seed))).collect();
    let mean_bytes = kinds.iter().map(|kind| (kind.kind.plural().to_owned(), kind.mean_bytes())).collect();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = TcpListener::bind(address).await.map_err(|error| format!("listen on {address}: {error}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let serving = Serving { url, objects: options.objects, seed: options.seed, mean_bytes };
    println!("{}", serde_json::to_string(&serving)?);
    std::io::stdout().flush()?;
    let app = Router::new().fallback(answer).with_state(Arc::new(Served { kinds }));
    // An event is small, and must not wait for the next.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let parent = async {
        if options.with_parent {
            // Ends at the end of standard input, and as well when that fails.
            let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        () = parent => {}
    }
    Ok(())
}

struct Served {
    kinds: Vec<Arc<Collection>>,
}

/// All objects of one kind, and the changes that watches are told of.
struct Collection {
    kind: ObjectKind,
    objects: Vec<Rendered>,
    clock: Mutex<Clock>,
    changes: broadcast::Sender<Change>,
}

/// Which version and which object are next.
struct Clock {
    version: u64,
    object: usize,
}

/// What an open watch must say.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// So many events, from this version and this object on.
    Modified { version: u64, object: usize, count: usize },
    /// The version it watches from is gone.
    Expired,
}

/// A watch that is further behind is told that its version is gone, as by a real server.
const CHANGES: usize = 16 * 1024;

/// How far apart the objects of consecutive events lie, so that they are not neighbours: a prime.
const STRIDE: usize = 7_919;

impl Collection {
    fn new(kind: ObjectKind, count: usize, seed: u64) -> Self {
        let objects = kind.render(count, seed);
        let clock = Mutex::new(Clock { version: LIST_VERSION, object: 0 });
        Self { kind, objects, clock, changes: broadcast::Sender::new(CHANGES) }
    }

    fn mean_bytes(&self) -> usize {
        self.objects.iter().map(|object| object.json().len()).sum::<usize>() / self.objects.len().max(1)
    }

    /// Returns the version of the present state.
    fn version(&self) -> u64 {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).version
    }

    fn modify(&self, count: usize) {
        if self.objects.is_empty() {
            return;
        }
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let change = Change::Modified { version: clock.version + 1, object: clock.object, count };
        clock.version += count as u64;
        clock.object = (clock.object + count * STRIDE) % self.objects.len();
        // Nobody watches: then nobody is told.
        let _ = self.changes.send(change);
    }

    fn expire(&self) {
        // As after a compaction: the state is at a later version, though nothing of this kind changed.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).version += 1;
        let _ = self.changes.send(Change::Expired);
    }

    /// Renders one page.
    fn page(&self, query: &Query) -> Vec<u8> {
        let count = self.objects.len();
        let start = query.number("continue").unwrap_or(0).min(count);
        let limit = query.number("limit").filter(|limit| *limit > 0).unwrap_or(count);
        let end = start.saturating_add(limit).min(count);
        let next = if end < count {
            format!(r#","continue":"{end}","remainingItemCount":{}"#, count - end)
        } else {
            String::new()
        };
        let (kind, api_version, version) = (self.kind.kind(), self.kind.api_version(), self.version());
        let head = format!(
            r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{version}"{next}}},"items":["#
        );
        let bytes: usize = self.objects[start..end].iter().map(|object| object.json().len() + 1).sum();
        let mut page = Vec::with_capacity(head.len() + bytes + 4);
        page.extend_from_slice(head.as_bytes());
        for (at, object) in self.objects[start..end].iter().enumerate() {
            if at > 0 {
                page.push(b',');
            }
            object.write_item(&mut page);
        }
        page.extend_from_slice(b"]}");
        page
    }
}

async fn answer(State(served): State<Arc<Served>>, request: Request<Body>) -> Response {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/trigger") => {
            let count = query.number("m").unwrap_or(1);
            served.kinds.iter().for_each(|kind| kind.modify(count));
            json(Bytes::from_static(b"{}"))
        }
        (&Method::POST, "/expire") => {
            served.kinds.iter().for_each(|kind| kind.expire());
            json(Bytes::from_static(b"{}"))
        }
        (&Method::GET, "/version") => json(Bytes::from_static(br#"{"major":"1","minor":"37","gitVersion":"v1.37.0"}"#)),
        (&Method::GET, _) => match served.kinds.iter().find(|kind| kind.kind.path() == path) {
            Some(kind) if query.is_set("watch") => {
                let stream = watch::stream(Arc::clone(kind), query.is_set("sendInitialEvents"));
                as_json(Response::new(Body::from_stream(stream)))
            }
            Some(kind) => json(Bytes::from(kind.page(&query))),
            None => status(StatusCode::NOT_FOUND),
        },
        _ => status(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn json(body: Bytes) -> Response {
    as_json(Response::new(Body::from(body)))
}

fn as_json(mut response: Response) -> Response {
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests;
