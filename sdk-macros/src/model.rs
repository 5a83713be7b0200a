//! What a valid attribute means: names derived, defaults filled in. No tokens are made here.
use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{DeriveInput, Ident, LitStr, Member, Path, Visibility};

use crate::attr::{CratePath, DependentAttr, KubeAttr, OperatorAttr, Projection, RelationAttr};

/// One operator.
#[derive(Debug)]
pub(crate) struct Container {
    /// The library: `::kubewright`, unless the attribute renames it.
    pub(crate) krate: Path,
    pub(crate) vis: Visibility,
    /// The type that is reconciled.
    pub(crate) root: Ident,
    /// Whether kube's derive writes the root, so that `spec` and `metadata` are known to be no containers.
    pub(crate) derived_root: bool,
    pub(crate) names: Names,
    /// Name of the controller.
    pub(crate) name: LitStr,
    pub(crate) status: bool,
    /// The finalizer, if there is a cleanup.
    pub(crate) finalizer: Option<LitStr>,
    /// Whether there is a cleanup that deletes the dependents in order, unless the user writes another.
    pub(crate) has_default_cleanup: bool,
    pub(crate) concurrency: Option<u16>,
    /// In milliseconds.
    pub(crate) deadline: Option<u64>,
    /// In milliseconds.
    pub(crate) resync: Option<u64>,
    /// Makes the predicate of the primaries.
    pub(crate) predicate: Option<Path>,
    /// In source order; the position is the slot.
    pub(crate) relations: Vec<Relation>,
    /// In source order.
    pub(crate) dependents: Vec<Dependent>,
    /// In source order; the position is the slot.
    pub(crate) indexes: Vec<Index>,
}

/// The names of generated items. All but the accessor of the primaries begin with the kind.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) lister: Ident,
    pub(crate) informer: Ident,
    pub(crate) reconciler: Ident,
    pub(crate) context: Ident,
    pub(crate) adapter: Ident,
    /// The parameter that holds one primary: `website`.
    pub(crate) object: Ident,
    /// The accessor of all primaries: `websites`.
    pub(crate) primaries: Ident,
}

/// One owned or watched kind.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) role: Role,
    pub(crate) kind: Path,
    pub(crate) accessor: Ident,
    pub(crate) labels: Option<LitStr>,
    pub(crate) fields: Option<LitStr>,
    pub(crate) namespaces: Vec<LitStr>,
    /// The variant of `Presence`, if one is written.
    pub(crate) presence: Option<Ident>,
    /// Makes the predicate.
    pub(crate) predicate: Option<Path>,
    pub(crate) metadata: bool,
    /// Whether a dependent declares it, and no `owns(..)`.
    pub(crate) is_implied: bool,
}

/// One child of the graph.
#[derive(Debug)]
pub(crate) struct Dependent {
    pub(crate) kind: Path,
    pub(crate) name: Ident,
    pub(crate) function: Path,
    pub(crate) after: Vec<Ident>,
    pub(crate) when: Option<Path>,
    pub(crate) ready: Option<Path>,
}

/// How a related object finds its primaries.
#[derive(Debug)]
pub(crate) enum Role {
    /// By the owner reference.
    Owns,
    /// By what the primaries name.
    WatchesBy(Vec<Projection>),
    /// By a function of the related object.
    WatchesMap(Path),
}

/// One declared index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: Ident,
    pub(crate) by: Projection,
}

impl Container {
    /// Gives a checked attribute its meaning; `None` where kube's derive reports the error.
    pub(crate) fn new(input: &DeriveInput, attr: &OperatorAttr, kube: Option<&KubeAttr>) -> Option<Self> {
        let kind = match kube {
            Some(kube) => ident(kube.kind.as_ref()?)?,
            None => input.ident.clone(),
        };
        let root = match kube.and_then(|kube| kube.root.as_ref()) {
            Some(root) => ident(root)?,
            None => kind.clone(),
        };
        let settings = &attr.settings;
        Some(Self {
            krate: settings
                .krate
                .as_ref()
                .map_or_else(|| syn::parse_quote!(::kubewright), |CratePath(path)| path.clone()),
            vis: input.vis.clone(),
            root,
            derived_root: kube.is_some(),
            name: settings.name.as_ref().map_or_else(|| default_name(&kind), |name| name.0.clone()),
            names: Names::of(&kind),
            status: settings.status.is_present() || kube.is_some_and(|kube| kube.status),
            finalizer: finalizer(attr, kube),
            has_default_cleanup: first_after(attr).is_some() && !settings.cleanup.is_present(),
            concurrency: settings.concurrency.as_ref().and_then(|number| number.0.base10_parse().ok()),
            deadline: settings.deadline.as_ref().map(|time| time.millis),
            resync: settings.resync.as_ref().map(|time| time.millis),
            predicate: settings.predicate.as_ref().map(|function| function.0.clone()),
            relations: relations(attr),
            dependents: attr.dependents.iter().filter_map(Dependent::new).collect(),
            indexes: attr
                .indexes
                .iter()
                .map(|index| Index { name: index.name.clone(), by: index.by.clone() })
                .collect(),
        })
    }
}

impl Names {
    fn of(kind: &Ident) -> Self {
        let base = kind.unraw();
        let join = |suffix: &str| Ident::new(&format!("{base}{suffix}"), kind.span());
        let object = snake(&base.to_string());
        Self {
            lister: join("Lister"),
            informer: join("Informer"),
            reconciler: join("Reconciler"),
            context: join("Context"),
            adapter: join("Adapter"),
            object: any_ident(&object, kind.span()),
            primaries: any_ident(&plural(&object), kind.span()),
        }
    }
}

impl Relation {
    fn all(attr: &RelationAttr) -> impl Iterator<Item = Self> {
        let options = &attr.options;
        let text = |text: &Option<crate::attr::Text>| text.as_ref().map(|text| text.0.clone());
        attr.kinds.iter().map(move |kind| Self {
            role: match &options.map {
                _ if attr.keyword == "owns" => Role::Owns,
                Some(Projection::Function(function)) => Role::WatchesMap(function.clone()),
                _ => Role::WatchesBy(options.by.clone()),
            },
            accessor: kind.accessor.clone().unwrap_or_else(|| accessor(&kind.path)),
            kind: kind.path.clone(),
            labels: text(&options.labels),
            fields: text(&options.fields),
            namespaces: options.namespace.iter().map(|text| text.0.clone()).collect(),
            presence: options.presence.as_ref().map(|word| variant(&word.0)),
            predicate: options.predicate.as_ref().map(|function| function.0.clone()),
            metadata: options.metadata.is_present(),
            is_implied: false,
        })
    }

    fn implied(kind: &Path) -> Self {
        Self {
            role: Role::Owns,
            accessor: accessor(kind),
            kind: kind.clone(),
            labels: None,
            fields: None,
            namespaces: Vec::new(),
            presence: None,
            predicate: None,
            metadata: false,
            is_implied: true,
        }
    }
}

impl Dependent {
    fn new(attr: &DependentAttr) -> Option<Self> {
        let options = &attr.options;
        Some(Self {
            kind: attr.kind.clone(),
            name: attr.name()?.clone(),
            function: attr.function.clone(),
            after: options.after.iter().map(|after| after.0.clone()).collect(),
            when: options.when.as_ref().map(|when| when.0.clone()),
            ready: options.ready.as_ref().map(|ready| ready.0.clone()),
        })
    }
}

/// What is declared as owned and watched, and behind that the kinds of dependents that are not.
fn relations(attr: &OperatorAttr) -> Vec<Relation> {
    let mut relations: Vec<Relation> = attr.relations.iter().flat_map(Relation::all).collect();
    for dependent in &attr.dependents {
        let owns = |relation: &Relation| {
            matches!(relation.role, Role::Owns) && written(&relation.kind) == written(&dependent.kind)
        };
        if !relations.iter().any(owns) {
            relations.push(Relation::implied(&dependent.kind));
        }
    }
    relations
}

/// The first `after` of any dependent: what says that order matters.
fn first_after(attr: &OperatorAttr) -> Option<&Ident> {
    attr.dependents.iter().flat_map(|dependent| &dependent.options.after).map(|after| &after.0).next()
}

/// Returns the finalizer of an operator with a cleanup, of its own or of dependents whose order matters: the one that is
/// written, or `<group>/<kind>-cleanup`.
pub(crate) fn finalizer(attr: &OperatorAttr, kube: Option<&KubeAttr>) -> Option<LitStr> {
    if let Some(finalizer) = &attr.settings.finalizer {
        return Some(finalizer.0.clone());
    }
    let span = match first_after(attr) {
        _ if attr.settings.cleanup.is_present() => attr.settings.cleanup.span(),
        after => after?.span(),
    };
    let KubeAttr { group: Some(group), kind: Some(kind), .. } = kube? else { return None };
    let text = format!("{}/{}-cleanup", group.value(), kind.value().to_lowercase());
    Some(LitStr::new(&text, span))
}

/// Returns the name of the method that reads objects of the type: its last segment in snake case, plural.
pub(crate) fn accessor(kind: &Path) -> Ident {
    let (name, span) = match kind.segments.last() {
        Some(segment) => (segment.ident.unraw().to_string(), segment.ident.span()),
        None => (String::from("objects"), Span::call_site()),
    };
    any_ident(&plural(&snake(&name)), span)
}

/// The first member of a path, if it is a name.
pub(crate) fn first_name(members: &[Member]) -> Option<&Ident> {
    match members.first() {
        Some(Member::Named(name)) => Some(name),
        _ => None,
    }
}

/// Returns a path as a person writes it.
pub(crate) fn written(path: &Path) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}

/// `optional` becomes `Optional`.
fn variant(word: &Ident) -> Ident {
    let word_text = word.to_string();
    let (first, rest) = word_text.split_at(1);
    Ident::new(&format!("{}{rest}", first.to_uppercase()), word.span())
}

fn default_name(kind: &Ident) -> LitStr {
    LitStr::new(&kind.unraw().to_string().to_lowercase(), kind.span())
}

fn ident(text: &LitStr) -> Option<Ident> {
    text.parse_with(Ident::parse_any).ok().map(|mut ident| {
        ident.set_span(text.span());
        ident
    })
}

/// Makes an identifier of a name that may be a keyword.
fn any_ident(name: &str, span: Span) -> Ident {
    match syn::parse_str::<Ident>(name) {
        Ok(_) => Ident::new(name, span),
        // These cannot be raw identifiers.
        Err(_) if matches!(name, "self" | "super" | "crate" | "_") => Ident::new(&format!("{name}_"), span),
        Err(_) => Ident::new_raw(name, span),
    }
}

/// `HTTPRoute` becomes `http_route`, `DeploymentV1` becomes `deployment_v1`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let starts_word = letter.is_uppercase()
            && at > 0
            && (!letters[at - 1].is_uppercase() || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if starts_word && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// English, as far as kinds need it; a word that is plural already, such as `endpoints`, stays.
fn plural(name: &str) -> String {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&["ss", "us", "x", "z", "ch", "sh"]) {
        format!("{name}es")
    } else if ends(&["s"]) {
        name.to_owned()
    } else if let Some(stem) = name.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        format!("{stem}ies")
    } else {
        format!("{name}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_are_snake_case_plurals_of_the_last_segment() {
        let check = |kind: &str, expected: &str| {
            assert_eq!(accessor(&syn::parse_str(kind).unwrap()).to_string(), expected, "{kind}");
        };
        check("Deployment", "deployments");
        check("ConfigMap", "config_maps");
        check("Policy", "policies");
        check("Gateway", "gateways");
        check("Ingress", "ingresses");
        check("Endpoints", "endpoints");
        check("JobStatus", "job_statuses");
        check("DeploymentV1", "deployment_v1s");
        check("HTTPRoute", "http_routes");
        check("CSIDriver", "csi_drivers");
        check("IPAddress", "ip_addresses");
        check("k8s_openapi::api::core::v1::Service", "services");
        check("my::r#Type", "types");
        check("Snake_Case", "snake_cases");
    }

    #[test]
    fn a_keyword_becomes_a_raw_identifier() {
        assert_eq!(Names::of(&Ident::new("Type", Span::call_site())).object, Ident::new_raw("type", Span::call_site()));
        assert_eq!(Names::of(&Ident::new("Crate", Span::call_site())).object, "crate_");
    }
}
