//! Where lists and watches come from: the API server, or whatever stands in for it.
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, header};

use crate::client::{self, Chunks, Client};
use crate::resource::ResourceVersion;
use crate::wire::ManagedFields;
use crate::wire::protobuf::Transcoder;

use super::Target;
use super::encoding::{Encoding, Negotiation, PROTOBUF};
use super::state::ListOptions;

/// The media type that every API server writes.
const JSON: &str = "application/json";

/// Something that can be listed and watched. Bodies are those of the Kubernetes API in JSON, as they arrive.
///
/// Whoever calls owns every recovery: an implementation answers one request and reports what went wrong. Dropping a future
/// or a body ends the request.
///
/// # Example
/// A source that never changes. An informer of it works as any other:
/// ```
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use futures_util::future::{self, BoxFuture, FutureExt};
/// use futures_util::stream::{self, StreamExt};
/// use kubewright::client::{self, Chunks};
/// use kubewright::k8s_openapi::api::core::v1::ConfigMap;
/// use kubewright::reflector::{InitialEvents, ListOptions, ListerWatcher, WatchOptions};
/// use kubewright::{InformerFactory, ObjectKey};
///
/// struct Fixed(&'static str);
///
/// impl ListerWatcher for Fixed {
///     fn list(&self, _: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
///         let body = Bytes::from_static(self.0.as_bytes());
///         future::ready(Ok(stream::iter([Ok(body)]).boxed())).boxed()
///     }
///
///     fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
///         future::ready(match options.initial_events {
///             // What exists can only be listed.
///             InitialEvents::Send => Err(client::Error::not_implemented()),
///             InitialEvents::Skip => Ok(stream::pending().boxed()),
///         })
///         .boxed()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let maps = r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"1"},"items":[
///     {"metadata":{"namespace":"shop","name":"prices","uid":"1","resourceVersion":"1"},"data":{"tea":"2"}}]}"#;
/// let factory = InformerFactory::from_lister_watchers(move |_| Fixed(maps));
/// let informer = factory.informer::<ConfigMap>();
/// factory.start();
/// factory.wait_for_cache_sync(Duration::from_secs(10)).await?;
/// let prices = informer.lister().get(&ObjectKey::namespaced("shop", "prices"))?.expect("it is there");
/// assert_eq!(prices.data.as_ref().unwrap()["tea"], "2");
/// # Ok(())
/// # }
/// ```
pub trait ListerWatcher: Send + Sync + 'static {
    /// Sends one LIST request and returns its body once it is accepted.
    ///
    /// # Errors
    /// What the API server answered instead.
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>>;

    /// Sends one WATCH request, with bookmarks, and returns its body once it is accepted.
    ///
    /// # Errors
    /// What the API server answered instead.
    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>>;

    /// Returns how the first sync asks for what exists: [`FirstSync::WatchList`] unless the source chooses.
    fn first_sync(&self) -> FirstSync {
        FirstSync::default()
    }

    /// Returns what the last answer was encoded in before it was JSON; `None` before the first, and of a source that does not
    /// say. [`ReflectorStatus`](super::ReflectorStatus) tells it on.
    fn encoding(&self) -> Option<Encoding> {
        None
    }
}

/// How a first sync asks for what exists. Both are exact, and neither goes back in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstSync {
    /// As a watch that begins with it (KEP-3157), or as a list where the server refuses that.
    ///
    /// One request, which the API server answers from its watch cache whatever the age of its last write, and which no
    /// compaction can interrupt.
    #[default]
    WatchList,
    /// As a list in pages, of which the next is asked for while one is read.
    ///
    /// Worth it for custom resources of many objects: in JSON, an API server 1.37 spends half of the processor time of such
    /// a watch on it, and compresses it, so that it takes less than half as long. In [protobuf](Encoding::Protobuf), as
    /// built-in kinds come, the watch costs no more than the list where objects are whole. When the kind has not changed since
    /// the revision that etcd was compacted to, by default of five to ten minutes ago, all pages but the first are read from
    /// etcd.
    List,
}

/// One WATCH request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// What changes after this version.
    pub resource_version: ResourceVersion,
    /// Whether what exists comes first.
    pub initial_events: InitialEvents,
    /// When the server should end it, in whole seconds.
    pub timeout: Duration,
}

/// Whether a watch begins with what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialEvents {
    /// What exists comes first, and a bookmark that says so when it is complete (KEP-3157).
    Send,
    /// Only changes come.
    Skip,
}

/// Lists and watches a target at the API server.
///
/// Built-in kinds, and metadata alone of any kind, are asked for in protobuf and handed on as JSON: see
/// [`ApiListerWatcher::with_encoding`].
#[derive(Clone, Debug)]
pub struct ApiListerWatcher {
    client: Client,
    target: Target,
    first_sync: FirstSync,
    /// Shared by clones.
    negotiation: Arc<Negotiation>,
}

impl ApiListerWatcher {
    /// Asks `client` for `target`.
    pub fn new(client: Client, target: Target) -> Self {
        let negotiation = Arc::new(Negotiation::new(&target, Encoding::default()));
        Self { client, target, first_sync: FirstSync::default(), negotiation }
    }

    /// Asks for what exists in another way.
    ///
    /// # Example
    /// ```no_run
    /// use kubewright::reflector::{ApiListerWatcher, FirstSync};
    /// use kubewright::{Client, InformerFactory};
    ///
    /// # async fn listing() -> Result<(), kubewright::client::Error> {
    /// let client = Client::try_default().await?;
    /// let factory = InformerFactory::from_lister_watchers(move |target| {
    ///     ApiListerWatcher::new(client.clone(), target.clone()).with_first_sync(FirstSync::List)
    /// });
    /// # drop(factory);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_first_sync(self, first_sync: FirstSync) -> Self {
        Self { first_sync, ..self }
    }

    /// Asks for another encoding.
    ///
    /// By default, [`Encoding::Protobuf`], whole objects of a built-in kind, and metadata alone of any kind, custom resources
    /// too, are asked for in protobuf first and JSON second. What comes in protobuf is turned into JSON as it arrives, so that
    /// everybody behind reads the same from both. Nothing is left out: an answer that holds anything that this release does not
    /// know, of a newer API server for example, or that is not what was asked for, is handed on up to there and ends with
    /// [`client::Error::Unreadable`]; from then on this source and its clones ask for JSON alone, and one warning says so. Whole
    /// objects of custom resources, and of kinds that this release does not know, are asked for in JSON.
    ///
    /// # Example
    /// ```no_run
    /// use kubewright::reflector::{ApiListerWatcher, Encoding};
    /// use kubewright::{Client, InformerFactory};
    ///
    /// # async fn in_json() -> Result<(), kubewright::client::Error> {
    /// let client = Client::try_default().await?;
    /// let factory = InformerFactory::from_lister_watchers(move |target| {
    ///     ApiListerWatcher::new(client.clone(), target.clone()).with_encoding(Encoding::Json)
    /// });
    /// # drop(factory);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_encoding(self, encoding: Encoding) -> Self {
        Self { negotiation: Arc::new(Negotiation::new(&self.target, encoding)), ..self }
    }

    fn list_request(&self, options: &ListOptions, encoding: Encoding) -> Result<Request<Vec<u8>>, http::Error> {
        let mut query = Query::new(&self.target);
        if let Some(limit) = options.limit {
            query.add("limit", &limit.to_string());
        }
        match &options.continue_token {
            // A token carries its version; the API server refuses both.
            Some(token) => query.add("continue", token),
            None if options.resource_version.is_empty() => {}
            None => {
                // Without a match, a version and a limit together mean "exactly this version", which may be gone.
                query.add("resourceVersion", options.resource_version.as_str());
                query.add("resourceVersionMatch", "NotOlderThan");
            }
        }
        Request::get(query.0)
            .header(header::ACCEPT, self.accept("PartialObjectMetadataList", encoding))
            .header(header::ACCEPT_ENCODING, self.client.accept_encoding())
            .body(Vec::new())
    }

    fn watch_request(&self, options: &WatchOptions, encoding: Encoding) -> Result<Request<Vec<u8>>, http::Error> {
        let mut query = Query::new(&self.target);
        query.add("watch", "true");
        query.add("allowWatchBookmarks", "true");
        query.add("timeoutSeconds", &options.timeout.as_secs().to_string());
        if !options.resource_version.is_empty() {
            query.add("resourceVersion", options.resource_version.as_str());
        }
        if options.initial_events == InitialEvents::Send {
            query.add("sendInitialEvents", "true");
            query.add("resourceVersionMatch", "NotOlderThan");
        }
        // Kubernetes 1.37 would compress the initial events, at the price of their latency; and what gunzips bodies on the
        // way to us, in a client that was handed in, reads the first member and stops (kube-rs/kube#2079).
        Request::get(query.0)
            .header(header::ACCEPT, self.accept("PartialObjectMetadata", encoding))
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Vec::new())
    }

    /// Asks for objects without managedFields, unless they are wanted, where the server knows how (KEP-5958); others ignore the parameter, and
    /// those that refuse it find the plain form next.
    ///
    /// Of protobuf there is no plainer form than that of metadata, since custom resources have none.
    fn accept(&self, metadata_kind: &str, encoding: Encoding) -> String {
        const DROP: &str = "drop=metadata.managedFields";
        let media_types: &[&str] = match encoding {
            Encoding::Protobuf => &[PROTOBUF, JSON],
            Encoding::Json => &[JSON],
        };
        let view = match self.target.metadata_only {
            true => format!(";as={metadata_kind};g=meta.k8s.io;v=v1"),
            false => String::new(),
        };
        let mut forms = Vec::new();
        for media_type in media_types {
            let form = format!("{media_type}{view}");
            if self.target.managed_fields == ManagedFields::Drop {
                forms.push(format!("{form};{DROP}"));
            }
            forms.push(form);
        }
        if self.target.metadata_only {
            forms.push(JSON.to_owned());
        }
        forms.join(", ")
    }
}

impl ListerWatcher for ApiListerWatcher {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        let request = move |encoding| self.list_request(&options, encoding);
        Box::pin(self.negotiation.ask(&self.client, request, Transcoder::list))
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        let request = move |encoding| self.watch_request(&options, encoding);
        Box::pin(self.negotiation.ask(&self.client, request, Transcoder::watch))
    }

    fn first_sync(&self) -> FirstSync {
        self.first_sync
    }

    fn encoding(&self) -> Option<Encoding> {
        self.negotiation.answered()
    }
}

/// A path with its query.
struct Query(String);

impl Query {
    fn new(target: &Target) -> Self {
        let mut query = Self(target.resource.collection_path(target.namespace.as_deref()));
        if let Some(labels) = &target.labels {
            query.add("labelSelector", labels);
        }
        if let Some(fields) = &target.fields {
            query.add("fieldSelector", fields);
        }
        query
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                // Writing to a String does not fail.
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
    }
}
