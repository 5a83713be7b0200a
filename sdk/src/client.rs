//! The one seam to the API server: status, Retry-After and decoding of failures are ours. The only module that knows HTTP.
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt};
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;

use crate::clock;

pub mod config;

mod error;

mod gzip;

mod status;

#[cfg(test)]
mod tests;

pub use config::ConfigOptions;
pub use error::Error;
pub use status::Status;

/// Longest wait for the head of an answer. The API server ends requests that are no watch after 60 s (its
/// `--request-timeout`), so whoever is silent for longer is not going to answer.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(65);

/// Largest body of an answer that is collected whole. etcd refuses objects above 1.5 MiB unless told otherwise; lists
/// that are not streamed, such as all CRDs, stay well below this.
pub(crate) const MAX_BODY: usize = 32 * 1024 * 1024;

/// Largest body of a failure that is read. A Status is a few hundred bytes; what follows is of no use.
const MAX_FAILURE_BODY: usize = 64 * 1024;

/// What messages call the API server when a kube client was handed in whose URL nobody told us.
const UNKNOWN_URL: &str = "the API server of the given client";

/// A body as it arrives.
pub type Chunks = BoxStream<'static, Result<Bytes, Error>>;

/// What the API server accepted a request with.
pub(crate) struct Answer {
    /// What the body is encoded in: the media type in lower case, without parameters. Empty where nothing is said.
    pub(crate) media_type: String,
    /// The body.
    pub(crate) chunks: Chunks,
}

/// A handle to the API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    url: Arc<str>,
    compression: Compression,
}

/// Whether long answers may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    /// They may, and we unpack them.
    Gzip,
    /// They must not: the configuration says so, or a layer of a client that was handed in might unpack them, wrongly.
    Off,
}

impl Client {
    /// Wraps a kube client. Build it with `default_retry = false`: retries belong to the layers above.
    pub fn new(inner: kube::Client) -> Self {
        Self { inner, url: UNKNOWN_URL.into(), compression: Compression::Off }
    }

    /// Finds the cluster as kubectl does: `KUBECONFIG`, `~/.kube/config`, then the service account of the pod.
    ///
    /// Sends no request. Needs a tokio runtime, and lives as long as that runtime.
    ///
    /// # Errors
    /// [`Error::Configuration`] says which file or variable is wrong.
    pub async fn try_default() -> Result<Self, Error> {
        Self::from_options(&ConfigOptions::default()).await
    }

    /// Finds the cluster where `options` say.
    ///
    /// # Errors
    /// [`Error::Configuration`] says which file, variable or context is wrong.
    pub async fn from_options(options: &ConfigOptions) -> Result<Self, Error> {
        Self::from_config(options.load().await?)
    }

    /// Makes a client of a kube configuration. Its `default_retry` is switched off: it would repeat writes, and hide a
    /// failure for minutes from the layers that know what to do about it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when certificates or the proxy can not be used, [`Error::Credentials`] when an exec plugin or a
    /// token file gives no credentials.
    pub fn from_config(mut config: kube::Config) -> Result<Self, Error> {
        config.default_retry = false;
        let compression = if config.disable_compression { Compression::Off } else { Compression::Gzip };
        // kube's own, which some other crate may have switched on, loses all members of a body but the first.
        config.disable_compression = true;
        if !config.headers.iter().any(|(name, _)| *name == header::USER_AGENT) {
            config.headers.push((header::USER_AGENT, user_agent(std::env::args_os().next())));
        }
        let url = without_credentials(&config.cluster_url);
        let inner = kube::Client::try_from(config).map_err(|error| match error::credentials_problem(&error) {
            Some(problem) => Error::Credentials { problem },
            None => config::Error::Connection { url: url.clone(), problem: error.to_string() }.into(),
        })?;
        Ok(Self { inner, url: url.trim_end_matches('/').into(), compression })
    }

    /// Returns the kube client underneath, for requests this crate has no verb for.
    pub fn kube(&self) -> kube::Client {
        self.inner.clone()
    }

    /// Returns the URL of the API server, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns what requests for long answers accept as their encoding. `disable-compression` of the kubeconfig decides.
    pub(crate) fn accept_encoding(&self) -> &'static str {
        match self.compression {
            Compression::Gzip => "gzip",
            Compression::Off => "identity",
        }
    }

    /// Returns the namespace that the configuration chose: that of the context, that of the pod, or `default`.
    pub fn default_namespace(&self) -> &str {
        self.inner.default_namespace()
    }

    /// Sends a read and collects its body, up to [`MAX_BODY`].
    pub(crate) async fn read(&self, request: Request<Vec<u8>>) -> Result<Bytes, Error> {
        debug_assert!(is_read(request.method()), "writes go through Client::write");
        self.unary(request).await
    }

    /// Sends a write and collects its body, up to [`MAX_BODY`].
    ///
    /// Invariant: every write of this crate passes here and nowhere else, so that what must hold for all writes can be
    /// enforced in one place.
    pub(crate) async fn write(&self, request: Request<Vec<u8>>) -> Result<Bytes, Error> {
        debug_assert!(!is_read(request.method()), "reads go through Client::read");
        self.unary(request).await
    }

    /// Sends a read and hands back its body as it arrives, once the API server has accepted it.
    ///
    /// Dropping the body closes the connection. Nothing bounds its length or its silences: the caller must.
    pub(crate) async fn stream(&self, request: Request<Vec<u8>>) -> Result<Answer, Error> {
        debug_assert!(is_read(request.method()), "writes go through Client::write");
        self.send(&Attempt::of(&request), request).await
    }

    async fn unary(&self, request: Request<Vec<u8>>) -> Result<Bytes, Error> {
        let attempt = Attempt::of(&request);
        let body = self.send(&attempt, request).await?.chunks;
        let collected = clock::timeout(RESPONSE_TIMEOUT, collect(body, MAX_BODY)).await;
        match collected.ok_or_else(|| attempt.late())? {
            Ok(Collected::Whole(bytes)) => Ok(bytes),
            Ok(Collected::Cut(_)) => Err(attempt.too_large()),
            Err(error) => Err(error),
        }
    }

    /// Sends, and turns every answer that is no success into an error.
    async fn send(&self, attempt: &Attempt, request: Request<Vec<u8>>) -> Result<Answer, Error> {
        let sent = self.inner.send(request.map(kube::client::Body::from));
        let answer = clock::timeout(RESPONSE_TIMEOUT, sent).await.ok_or_else(|| attempt.late())?;
        let (head, body) = answer.map_err(|error| attempt.unanswered(&self.url, error))?.into_parts();
        let chunks = attempt.chunks(body, &head.headers);
        if head.status.is_success() {
            return Ok(Answer { media_type: media_type(&head.headers), chunks });
        }
        // Whatever happens to the body of a failure, the code alone is a better answer than "the body broke".
        let collected = clock::timeout(RESPONSE_TIMEOUT, collect(chunks, MAX_FAILURE_BODY)).await;
        let bytes = match collected {
            Some(Ok(Collected::Whole(bytes) | Collected::Cut(bytes))) => bytes,
            Some(Err(_)) | None => Bytes::new(),
        };
        Err(attempt.refused(Status::parse(head.status.as_u16(), &head.headers, &bytes)))
    }
}

/// Names the program and this library, as client-go does: audit logs and priority levels of the API server go by it.
fn user_agent(program: Option<std::ffi::OsString>) -> http::HeaderValue {
    let library = concat!("kubewright/", env!("CARGO_PKG_VERSION"));
    let path = std::path::PathBuf::from(program.unwrap_or_default());
    let named = path.file_stem().and_then(|name| name.to_str()).map(|name| format!("{name} {library}"));
    named
        .and_then(|named| http::HeaderValue::from_str(&named).ok())
        .unwrap_or_else(|| http::HeaderValue::from_static(library))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A body that was read to its end, or to the bound.
enum Collected {
    Whole(Bytes),
    Cut(Bytes),
}

async fn collect(mut body: Chunks, limit: usize) -> Result<Collected, Error> {
    let mut collected = BytesMut::new();
    while let Some(data) = body.next().await {
        let data = data?;
        if collected.len() + data.len() > limit {
            collected.extend_from_slice(&data[..limit - collected.len()]);
            return Ok(Collected::Cut(collected.freeze()));
        }
        collected.extend_from_slice(&data);
    }
    Ok(Collected::Whole(collected.freeze()))
}

/// Returns the URL for messages, where a user and a password in it have no place.
fn without_credentials(url: &http::Uri) -> String {
    let text = url.to_string();
    match url.authority().and_then(|authority| authority.as_str().rsplit_once('@')) {
        Some((credentials, _)) => text.replacen(&format!("{credentials}@"), "", 1),
        None => text,
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What was tried, for errors: never the query, which may hold a continue token, and never a body.
#[derive(Clone, Debug)]
struct Attempt {
    method: Method,
    path: String,
}

impl Attempt {
    fn of(request: &Request<Vec<u8>>) -> Self {
        Self { method: request.method().clone(), path: request.uri().path().to_owned() }
    }

    /// Returns the body as it arrives, unpacked if need be.
    fn chunks(&self, body: kube::client::Body, headers: &HeaderMap) -> Chunks {
        let attempt = self.clone();
        let chunks = body.into_data_stream().map(move |chunk| chunk.map_err(|error| attempt.broken(error)));
        let encoding = headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
        if encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip")) {
            let attempt = self.clone();
            return gzip::unpack(chunks.boxed(), gzip::FREE, move |problem| attempt.corrupt(problem));
        }
        chunks.boxed()
    }

    fn refused(&self, status: Status) -> Error {
        Error::Status { method: self.method.clone(), path: self.path.clone(), status: Box::new(status) }
    }

    fn late(&self) -> Error {
        Error::Timeout { method: self.method.clone(), path: self.path.clone(), after: RESPONSE_TIMEOUT }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { method: self.method.clone(), path: self.path.clone(), limit: MAX_BODY }
    }

    fn corrupt(&self, problem: &'static str) -> Error {
        Error::Corrupt { method: self.method.clone(), path: self.path.clone(), problem }
    }

    fn broken(&self, source: kube::Error) -> Error {
        Error::Broken { method: self.method.clone(), path: self.path.clone(), source: Box::new(source) }
    }

    fn unanswered(&self, url: &str, source: kube::Error) -> Error {
        if let Some(problem) = error::credentials_problem(&source) {
            return Error::Credentials { problem };
        }
        let source = Box::new(source);
        if error::is_connect(&source) {
            return Error::Connect { url: url.to_owned(), source };
        }
        Error::Broken { method: self.method.clone(), path: self.path.clone(), source }
    }
}
