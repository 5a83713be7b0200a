//! What answers are encoded in: protobuf where the kind is known, or nothing but metadata is wanted, JSON otherwise. Whoever
//! reads them reads JSON.
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::Request;

use crate::client::{self, Answer, Chunks, Client};
use crate::wire::protobuf::{Schema, Transcoded, Transcoder};
use crate::wire::{self, ManagedFields};

use super::Target;

/// The media type of protobuf as API servers write it; that of a watch has a parameter besides.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What objects travel in between the API server and a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf, which API servers speak for their built-in kinds, a third to a quarter of the work that JSON is for them, and
    /// for metadata alone of every kind: half to two thirds of the work for built-in kinds, five sixths for custom resources.
    #[default]
    Protobuf,
    /// JSON, which all of them speak for every kind.
    Json,
}

/// What a source asks for, and what came of it so far.
#[derive(Debug)]
pub(super) struct Negotiation {
    target: Target,
    /// The fields of what is asked for, looked up at the first request; none where it is not known, or not wanted in protobuf.
    schema: OnceLock<Option<Arc<Schema>>>,
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// What the last answer came in.
    answered: Option<Encoding>,
    /// Whether protobuf was refused, or could not be read.
    json_only: bool,
}

/// Makes what reads a body of the kind.
type MakeTranscoder = fn(Arc<Schema>, ManagedFields) -> Transcoder;

impl Negotiation {
    pub(super) fn new(target: &Target, wanted: Encoding) -> Self {
        let schema = match wanted {
            Encoding::Protobuf => OnceLock::new(),
            Encoding::Json => OnceLock::from(None),
        };
        Self { target: target.clone(), schema, learned: Mutex::default() }
    }

    /// Returns what the last answer came in.
    pub(super) fn answered(&self) -> Option<Encoding> {
        self.learned().answered
    }

    /// Sends the request that `request` makes, and returns the answer in JSON. A server that does not know how to answer in
    /// protobuf is asked again at once.
    pub(super) async fn ask(
        self: &Arc<Self>,
        client: &Client,
        request: impl Fn(Encoding) -> Result<Request<Vec<u8>>, http::Error>,
        transcoder: MakeTranscoder,
    ) -> Result<Chunks, client::Error> {
        if let Some(schema) = self.schema() {
            let request = request(Encoding::Protobuf)?;
            let path = request.uri().path().to_owned();
            match client.stream(request).await {
                // API servers take what they know from a header that offers a choice. Others may refuse the whole.
                Err(error) if matches!(error.code(), Some(406 | 415)) => self.ask_for_json(&error.to_string()),
                answer => {
                    let transcoder = transcoder(schema, self.target.managed_fields);
                    return Ok(self.read(answer?, path, transcoder));
                }
            }
        }
        Ok(self.note(client.stream(request(Encoding::Json)?).await?).chunks)
    }

    /// Returns the schema of what is asked for, if that is to be protobuf.
    fn schema(&self) -> Option<Arc<Schema>> {
        if self.learned().json_only {
            return None;
        }
        let Target { resource, metadata_only, .. } = &self.target;
        let find = || match metadata_only {
            true => Schema::of_metadata(),
            false => Schema::of(&resource.api_version(), &resource.kind),
        };
        self.schema.get_or_init(|| find().map(Arc::new)).clone()
    }

    fn read(self: &Arc<Self>, answer: Answer, path: String, transcoder: Transcoder) -> Chunks {
        let answer = self.note(answer);
        if answer.media_type != PROTOBUF {
            return answer.chunks;
        }
        let negotiation = Arc::clone(self);
        let body = Body { negotiation, path, transcoder, chunks: Some(answer.chunks), error: None };
        stream::unfold(body, async |mut body| body.next().await.map(|chunk| (chunk, body))).boxed()
    }

    fn note(&self, answer: Answer) -> Answer {
        let came = if answer.media_type == PROTOBUF { Encoding::Protobuf } else { Encoding::Json };
        self.learned().answered = Some(came);
        answer
    }

    fn ask_for_json(&self, problem: &str) {
        // Others may have been on their way when the first of them failed.
        if !std::mem::replace(&mut self.learned().json_only, true) {
            tracing::warn!(kind = %self.target, "JSON is asked for from now on: {problem}");
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in protobuf, read as JSON.
struct Body {
    negotiation: Arc<Negotiation>,
    /// Of the request, for errors.
    path: String,
    transcoder: Transcoder,
    /// What is still to come.
    chunks: Option<Chunks>,
    /// What to end with, behind the JSON that came before it.
    error: Option<client::Error>,
}

impl Body {
    async fn next(&mut self) -> Option<Result<Bytes, client::Error>> {
        loop {
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            let chunk = match self.chunks.as_mut()?.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            let Transcoded { json, error } = self.transcoder.push(&chunk);
            if let Some(error) = error {
                self.end(&error);
            }
            if !json.is_empty() {
                return Some(Ok(json));
            }
        }
    }

    /// Ends the request. Whoever comes next asks for JSON, before the error is read.
    fn end(&mut self, error: &wire::Error) {
        self.chunks = None;
        let problem = error.to_string();
        self.negotiation.ask_for_json(&problem);
        self.error = Some(client::Error::Unreadable { method: http::Method::GET, path: self.path.clone(), problem });
    }
}
