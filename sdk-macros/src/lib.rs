//! The derive behind kubewright: `#[derive(Operator)]`. Use it through the `kubewright` crate, which re-exports it.
use proc_macro::TokenStream;

mod attr;

mod model;

mod check;

mod ctxt;

mod path;

mod expand;

mod fallback;

/// Turns a custom resource into an operator.
///
/// Stands beside kube's `CustomResource` on the struct of the spec, or on a root type written by hand:
///
/// ```text
/// #[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
/// #[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
/// #[operator(
///     owns(Deployment, Service),
///     watches(ConfigMap, by = spec.content),
///     index(by_host = spec.host),
/// )]
/// pub struct WebsiteSpec { pub host: String, pub content: String, pub replicas: i32 }
/// ```
///
/// # What is generated
///
/// Named after the kind, as visible as the struct:
///
/// | item | is |
/// |---|---|
/// | `WebsiteReconciler` | the trait to implement: `reconcile`, `forget`, and `cleanup` if one is declared; with `dependents(..)` implemented for `()` |
/// | `WebsiteContext` | what `reconcile` gets: a `Context` with one accessor for each related kind, such as `cx.deployments()` |
/// | `WebsiteLister` | a `Lister` with one method for each index, such as `by_host(&str)` |
/// | `WebsiteInformer` | an `Informer` that gives out that lister |
/// | `Website::operator(..)` | the operator, from a function that makes the reconciler once there is a cluster |
///
/// What is declared is all that the operator watches, caches and may touch: the RBAC role follows from it.
///
/// # `#[operator(..)]`
///
/// Keys may be spread over several attributes. Every mistake is reported, all at once.
///
/// ## `owns(Kind)`
///
/// Children: cached, watched, applied with an owner reference, and mapped to the primary that controls them. A namespaced
/// primary cannot own a cluster-scoped kind.
///
/// ```text
/// #[operator(owns(Deployment, Service))]
/// #[operator(owns(Deployment, labels = "tier=front"), owns(back_ends = Deployment, labels = "tier=back"))]
/// ```
///
/// ## `dependents(Kind => function)`
///
/// Children as a graph: a pure function of the primary for each, called by its last name. Their kinds need no `owns(..)`;
/// one that narrows them may be there. `kubewright::dependents` has the rules.
///
/// ```text
/// #[operator(dependents(
///     ConfigMap => posts,                                   // fn posts(blog: &Blog) -> Vec<ConfigMap>
///     Deployment => children::server(after = posts),        // fn server(blog: &Blog) -> Result<Deployment>
///     Service => address(after = server, when = is_public), // fn is_public(blog: &Blog) -> bool
///     Job => import(after = server, after = address, ready = is_imported), // fn is_imported(job: &Job) -> bool
/// ))]
/// ```
///
/// | option | says |
/// |---|---|
/// | `after = name` | the dependents whose children must be ready first, and which are deleted later; may be repeated |
/// | `when = function` | for which primaries it is wanted; for others its children are deleted |
/// | `ready = function` | when a live child is ready; well-known kinds need none, any other is ready once it exists |
///
/// `reconcile` then need not be written: it applies the graph and states the condition `Ready`. Where nothing is written,
/// the reconciler is `()`: `Website::operator(async |_setup| Ok(()))`. Where something is, `cx.dependents(&site).apply()`
/// applies the graph.
///
/// Any `after` makes the operator hold a finalizer, by which the dependents are deleted in reverse order. A `cleanup` of
/// one's own does that by `cx.dependents(&site).delete()`.
///
/// ## `watches(Kind, by = field)`
///
/// Other kinds, read only. A change to an object reconciles the primaries that name it in the field. The path starts at the
/// root type (`spec.content`, `status.account`, `metadata.name`; `self.secret` for a field of a hand-written root) and passes
/// through `Option`, `Vec`, maps and boxes, up to two of them at one field. It ends at anything that names an object
/// (`kubewright::declare::path::ObjectName`): a `String`, a reference, a `(namespace, name)` pair, and collections of those.
/// For anything else, `by` takes a function of the primary. `by` may be repeated.
///
/// A name without a namespace means the namespace of the primary, or that of `namespace = ".."`; a cluster-scoped primary
/// must say one of them. Of several namespaces none says where a bare name lives.
///
/// ```text
/// #[operator(watches(ConfigMap, by = spec.content, by = spec.theme))]
/// #[operator(watches(Secret, by = spec.listeners.certificates))]
/// #[operator(watches(Service, by = back_ends))]         // fn back_ends(site: &Website) -> Vec<String>
/// ```
///
/// ## `watches(Kind, map = function)`
///
/// Where the primaries do not name the object: a function of the object, or of its metadata if only that is watched, to the
/// keys of the primaries it concerns.
///
/// ```text
/// #[operator(watches(Node, map = websites_on))]         // fn websites_on(node: &Node) -> Vec<ObjectKey>
/// ```
///
/// ## Options of a relation
///
/// Written after a kind; a kind with options has an `owns(..)` or `watches(..)` of its own.
///
/// | option | narrows to |
/// |---|---|
/// | `labels = "app=web"` | objects whose labels match, as `kubectl -l` has it |
/// | `fields = "type=Opaque"` | objects whose fields match, as `kubectl --field-selector` has it |
/// | `namespace = "infra"` | one namespace, for which a Role is enough; may be repeated, with one watch each |
/// | `metadata` | metadata: accessors and functions see `PartialObjectMeta<Kind>`, and no spec or secret is ever fetched |
///
/// `presence` narrows nothing: it says what to make of a kind whose CRD is not installed, `required` unless written
/// (`kubewright::declare::Presence`).
///
/// ```text
/// #[operator(watches(cm::Certificate, by = spec.certificate, presence = optional))]
/// ```
///
/// `predicate` narrows nothing either: everything is cached, and only events that pass start a reconcile. It takes a function
/// that makes the predicate (`kubewright::controller::Predicate`), of the kind or of its metadata.
///
/// ```text
/// #[operator(owns(Deployment, predicate = edited))]     // fn edited() -> Predicate<Deployment>
/// ```
///
/// ## Accessors
///
/// The context reads a relation through a method named after the last segment of the type: snake case, plural
/// (`Deployment` → `deployments`, `ConfigMap` → `config_maps`, `Policy` → `policies`, `HTTPRoute` → `http_routes`). Where two
/// collide, or another name is better, write one. Types begin upper-case, options do not.
///
/// ```text
/// #[operator(owns(certs = cm::Certificate))]            // cx.certs()
/// ```
///
/// ## `index(name = field)`
///
/// Adds a method to the lister that finds primaries by a value. Field paths and functions are those of `by`; a value is a
/// `String`, an integer or a `bool`, or a collection of them (`kubewright::declare::path::IndexValue`).
///
/// ```text
/// #[operator(index(by_host = spec.host, by_port = spec.listeners.port))]    // lister.by_host("a.example")?
/// #[operator(index(by_domain = domain))]                // fn domain(site: &Website) -> Option<String>
/// ```
///
/// ## `cleanup`, `finalizer = "group/name"`
///
/// Holds deletion until the reconciler's `cleanup` is done, which the trait then requires. The finalizer is
/// `<group>/<kind>-cleanup` unless written.
///
/// ```text
/// #[operator(cleanup)]
/// #[operator(finalizer = "demo.kubewright.dev/dns-records")]
/// ```
///
/// ## `concurrency = number`
///
/// How many objects are reconciled at once, 1 to 1024, 4 unless written. One object never is twice at once.
///
/// ```text
/// #[operator(concurrency = 16)]
/// ```
///
/// ## `deadline = "5m"`, `resync = "10h"`
///
/// How long a reconcile may take before it is dropped and counts as failed, and how often every object is reconciled again
/// though nothing has changed. Neither is, unless written. Units are `ms`, `s`, `m` and `h`, as in `"1h30m"`.
///
/// ```text
/// #[operator(deadline = "5m", resync = "10h")]
/// ```
///
/// ## `predicate = function`
///
/// Which events of the primaries start a reconcile, from a function that makes the predicate.
///
/// ```text
/// #[operator(predicate = edited)]                       // fn edited() -> Predicate<Website>
/// ```
///
/// ## `name = "websites"`
///
/// The name of the controller in logs, probes and field managers: the kind in lower case unless written.
///
/// ## `crate = ::path`
///
/// Where to find kubewright, if it is renamed or re-exported. The path is absolute.
///
/// ```text
/// #[operator(crate = ::platform::kubewright)]
/// ```
///
/// ## `status`
///
/// For a root type written by hand: it has a status subresource. With `#[kube(..)]`, `status = ".."` there says it.
///
/// # A root type written by hand
///
/// Without `#[kube(..)]` the struct itself is the root. It has a field `metadata`, and implements `kube::Resource` and
/// `kube::CustomResourceExt` beside the usual derives. `cleanup` needs `finalizer = ".."` there, as the group is not known.
///
/// # Debugging
///
/// With `KUBEWRIGHT_MACROS_DEBUG` set while compiling, each expansion is printed.
#[proc_macro_derive(Operator, attributes(operator, kube))]
pub fn operator(input: TokenStream) -> TokenStream {
    let expansion = TokenStream::from(expand::derive(input.into()));
    if std::env::var_os("KUBEWRIGHT_MACROS_DEBUG").is_some() {
        eprintln!("{expansion}");
    }
    expansion
}
