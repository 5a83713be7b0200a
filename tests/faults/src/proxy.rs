//! The proxy itself: one task a connection, all of them gone with it.
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use futures_util::TryStreamExt;

use crate::stream::{Framing, disturbed, pieces};
use crate::{Call, Effect, Fault, Plan, Verb};

/// A proxy that runs. Dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<Infallible>,
}

/// The proxy could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kubeconfig of the API server cannot be read.
    #[error("read the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No client can be made of it.
    #[error("make a client")]
    Client(#[source] Box<kube::Error>),
    /// There is no port.
    #[error("listen on loopback")]
    Listen(#[from] io::Error),
}

struct Shared {
    upstream: kube::Client,
    plan: Mutex<Plan>,
    rng: Mutex<Rng>,
    reads: AtomicUsize,
    watches: AtomicUsize,
    writes: AtomicUsize,
    faults: AtomicUsize,
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

impl Proxy {
    /// Starts a proxy in front of the API server that `kubeconfig` names, and prints `seed`. It does no harm until it is
    /// told to. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(kubeconfig: &Path, seed: u64) -> Result<Self, Error> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // Whoever asks brings credentials; a proxy that added its own would make everybody an administrator.
        config.auth_info = kube::config::AuthInfo::default();
        config.default_retry = false;
        let upstream = kube::Client::try_from(config).map_err(|error| Error::Client(Box::new(error)))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        eprintln!("fault proxy at http://{address}, seed {seed}");
        let counter = AtomicUsize::default;
        let shared = Arc::new(Shared {
            upstream,
            plan: Mutex::new(Arc::new(|_, _| Fault::None)),
            rng: Mutex::new(Rng::with_seed(seed)),
            reads: counter(),
            watches: counter(),
            writes: counter(),
            faults: counter(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Decides from now on what happens to each request.
    pub fn set_plan(&self, plan: impl Fn(&Call, &mut Rng) -> Fault + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// Does no harm from now on. Streams that are disturbed stay so until they end.
    pub fn heal(&self) {
        self.set_plan(|_, _| Fault::None);
    }

    /// Returns how many requests of a kind came so far.
    pub fn count(&self, verb: Verb) -> usize {
        self.shared.counter(verb).load(Ordering::SeqCst)
    }

    /// Returns to how many requests something was done.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // What does not connect is tried again by whoever wanted to.
            Ok((stream, _)) = listener.accept() => drop(connections.spawn(serve(stream, Arc::clone(&shared)))),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { shared.answer(request).await }
    });
    // Ends with an error whenever a connection is cut, which is what it is here for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    /// Answers, or fails: then the connection is closed without a word.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let call = Call::of(&head);
        self.counter(call.verb).fetch_add(1, Ordering::SeqCst);
        let (fault, rng) = self.decide(&call);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = Request::from_parts(head, kube::client::Body::from(body));
        match fault {
            Fault::None => self.pass(request).await,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                self.pass(request).await
            }
            Fault::Fail { effect, code, reason, retry_after } => {
                self.swallow(request, effect).await?;
                Ok(failure(code, reason, retry_after))
            }
            Fault::Cut(effect) => {
                self.swallow(request, effect).await?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Fault::Stream(fault) => {
                let (head, body) = self.send(request).await?.into_parts();
                let frames = disturbed(pieces(body), Framing::of(&head.headers), fault, rng).map_ok(Frame::data);
                Ok(Response::from_parts(head, BodyExt::boxed_unsync(StreamBody::new(frames))))
            }
        }
    }

    fn decide(&self, call: &Call) -> (Fault, Rng) {
        let plan = Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner));
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = plan(call, &mut rng);
        if fault != Fault::None {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        (fault, rng.fork())
    }

    async fn send(&self, request: Request<kube::client::Body>) -> io::Result<Response<kube::client::Body>> {
        self.upstream.send(request).await.map_err(io::Error::other)
    }

    async fn pass(&self, request: Request<kube::client::Body>) -> io::Result<Answer> {
        let (head, body) = self.send(request).await?.into_parts();
        let frames = pieces(body).map_ok(Frame::data);
        Ok(Response::from_parts(head, BodyExt::boxed_unsync(StreamBody::new(frames))))
    }

    /// Lets the request take effect, or not, and throws the answer away.
    async fn swallow(&self, request: Request<kube::client::Body>, effect: Effect) -> io::Result<()> {
        if effect == Effect::Done {
            self.send(request).await?.into_body().collect().await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn counter(&self, verb: Verb) -> &AtomicUsize {
        match verb {
            Verb::Read => &self.reads,
            Verb::Watch => &self.watches,
            Verb::Write => &self.writes,
        }
    }
}

fn failure(code: u16, reason: &str, retry_after: Option<u32>) -> Answer {
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"injected","reason":"{reason}","code":{code}}}"#
    );
    let mut answer = Response::new(Full::new(Bytes::from(status)).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("faults", &self.faults).finish_non_exhaustive()
    }
}
