//! The rules across keys: one function a rule, its reason and an example above it.
//!
//! `tests/macros/fail` has a case for every rule, under the rule's name.
use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Fields, Ident, LitStr};

use crate::attr::{KubeAttr, OperatorAttr, Projection, RelationAttr};
use crate::ctxt::Ctxt;
use crate::model::{self, Container, written};
use crate::path;

mod dependents;
mod reserved;
mod values;

use dependents::{
    after_names_a_dependent, after_names_each_once, dependent_is_seen_whole, dependent_name_is_unique,
    dependents_go_in_no_circle,
};
use reserved::{CONTEXT_METHODS, LISTER_METHODS};
use values::{concurrency_is_in_range, namespace_is_a_label, namespace_is_named_once, time_is_not_zero};

/// What the rules look at.
pub(crate) struct Subject<'a> {
    pub(crate) input: &'a DeriveInput,
    pub(crate) attr: &'a OperatorAttr,
    pub(crate) kube: Option<&'a KubeAttr>,
}

type Rule = fn(&Subject<'_>, &Ctxt);

/// Every rule, under the name of its case in `tests/macros/fail`.
pub(crate) const RULES: [(&str, Rule); 26] = [
    ("root_has_a_shape", root_has_a_shape),
    ("root_is_concrete", root_is_concrete),
    ("crate_path_is_absolute", crate_path_is_absolute),
    ("status_is_declared_once", status_is_declared_once),
    ("relation_names_a_kind", relation_names_a_kind),
    ("options_belong_to_one_kind", options_belong_to_one_kind),
    ("watches_finds_primaries", watches_finds_primaries),
    ("watches_finds_primaries_one_way", watches_finds_primaries_one_way),
    ("owns_finds_primaries_by_itself", owns_finds_primaries_by_itself),
    ("map_is_a_function", map_is_a_function),
    ("function_is_no_field", function_is_no_field),
    ("selector_is_not_empty", selector_is_not_empty),
    ("namespace_is_a_label", namespace_is_a_label),
    ("namespace_is_named_once", namespace_is_named_once),
    ("relation_is_declared_once", relation_is_declared_once),
    ("accessor_is_unique", accessor_is_unique),
    ("index_name_is_unique", index_name_is_unique),
    ("finalizer_is_qualified", finalizer_is_qualified),
    ("name_is_a_label", name_is_a_label),
    ("concurrency_is_in_range", concurrency_is_in_range),
    ("time_is_not_zero", time_is_not_zero),
    ("dependent_name_is_unique", dependent_name_is_unique),
    ("after_names_a_dependent", after_names_a_dependent),
    ("after_names_each_once", after_names_each_once),
    ("dependents_go_in_no_circle", dependents_go_in_no_circle),
    ("dependent_is_seen_whole", dependent_is_seen_whole),
];

/// Applies every rule.
pub(crate) fn check(subject: &Subject<'_>, ctxt: &Ctxt) {
    for (_, rule) in RULES {
        rule(subject, ctxt);
    }
}

/// A root type is a struct with `metadata`: kube's derive makes one of any struct or enum, without it the struct is
/// itself the root. `#[derive(Operator)] struct WebsiteSpec { host: String }` lacks `#[kube(..)]`.
fn root_has_a_shape(subject: &Subject<'_>, ctxt: &Ctxt) {
    let ident = &subject.input.ident;
    let named = match &subject.input.data {
        Data::Struct(data) => matches!(&data.fields, Fields::Named(_)).then_some(&data.fields),
        Data::Enum(_) => None,
        Data::Union(_) => return ctxt.error_at(ident, "a union is no Kubernetes object: write a struct"),
    };
    let has_metadata = named
        .is_some_and(|fields| fields.iter().any(|field| field.ident.as_ref().is_some_and(|name| name == "metadata")));
    if subject.kube.is_none() && !has_metadata {
        let message = format!(
            "`{ident}` is no root type, as it has no field `metadata`: add `#[derive(CustomResource)]` and \
             `#[kube(group = \"..\", version = \"..\", kind = \"..\")]`, or derive `Operator` on the root type itself"
        );
        ctxt.error_at(ident, message);
    }
}

/// A kind has one schema, so its type has no parameters: `struct WebsiteSpec<T> { content: T }` has none.
fn root_is_concrete(subject: &Subject<'_>, ctxt: &Ctxt) {
    let generics = &subject.input.generics;
    if !generics.params.is_empty() {
        ctxt.error_at(&generics.params, "a custom resource has no generic parameters: write the types out");
    }
}

/// `crate = renamed` would mean something else inside of generated blocks: `crate = ::renamed`.
fn crate_path_is_absolute(subject: &Subject<'_>, ctxt: &Ctxt) {
    if let Some(given) = &subject.attr.settings.krate
        && let Some(message) = path::error(&given.0)
    {
        ctxt.error_at(&given.0, message);
    }
}

/// `#[kube(status = "..")]` says it; a second place could disagree.
fn status_is_declared_once(subject: &Subject<'_>, ctxt: &Ctxt) {
    let flag = subject.attr.settings.status;
    if flag.is_present() && subject.kube.is_some() {
        let message =
            "`status` is for a root type written by hand: here `#[kube(status = \"..\")]` says it, remove this one";
        ctxt.push(syn::Error::new(flag.span(), message));
    }
}

/// `owns(labels = "a=b")` narrows nothing: `owns(Deployment, labels = "a=b")`.
fn relation_names_a_kind(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in &subject.attr.relations {
        let options = &relation.options;
        let has_options = options.labels.is_some()
            || options.fields.is_some()
            || !options.namespace.is_empty()
            || options.presence.is_some()
            || options.predicate.is_some()
            || options.metadata.is_present()
            || options.map.is_some()
            || !options.by.is_empty();
        if relation.kinds.is_empty() && has_options {
            let keyword = &relation.keyword;
            ctxt.error_at(keyword, format!("name the kind first: `{keyword}(ConfigMap, ..)`"));
        }
    }
}

/// `owns(A, B, labels = "a=b")` reads as if it were for `B` alone: `owns(A, labels = "a=b"), owns(B, labels = "a=b")`.
fn options_belong_to_one_kind(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in &subject.attr.relations {
        if let [first, .., last] = relation.kinds.as_slice()
            && let Some(option) = first_option(relation)
        {
            let (keyword, first, last) = (&relation.keyword, written(&first.path), written(&last.path));
            let message =
                format!("options need an entry for each kind: `{keyword}({first}, ..), {keyword}({last}, ..)`");
            ctxt.error_at(option, message);
        }
    }
}

/// An event of a watched object must reach some primary: `watches(ConfigMap)` says none.
fn watches_finds_primaries(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in subject.attr.relations.iter().filter(|relation| relation.keyword == "watches") {
        if relation.options.by.is_empty() && relation.options.map.is_none() {
            for kind in &relation.kinds {
                let name = written(&kind.path);
                let message = format!(
                    "say which objects a change to a `{name}` concerns: `watches({name}, by = spec.field)` for those that \
                     name it in a field, or `watches({name}, map = function)` with `fn(&{name}) -> Vec<ObjectKey>`"
                );
                ctxt.error_at(&kind.path, message);
            }
        }
    }
}

/// `by` and `map` are two answers to one question: `watches(Node, by = spec.node, map = websites_on)`.
fn watches_finds_primaries_one_way(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in subject.attr.relations.iter().filter(|relation| relation.keyword == "watches") {
        if let Some(map) = &relation.options.map
            && !relation.options.by.is_empty()
        {
            ctxt.error_at(map, "`by` and `map` both say which objects a change concerns: keep one of them");
        }
    }
}

/// An owned object carries an owner reference, which is the mapping: `owns(Deployment, by = spec.name)`.
fn owns_finds_primaries_by_itself(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in subject.attr.relations.iter().filter(|relation| relation.keyword == "owns") {
        for mapping in relation.options.by.iter().chain(&relation.options.map) {
            let message = "owned objects are found by their owner reference: remove this, or write `watches(..)`";
            ctxt.error_at(mapping, message);
        }
    }
}

/// `map` looks at the watched object, of which the attribute knows no field: `watches(Node, map = spec.node)`.
fn map_is_a_function(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in &subject.attr.relations {
        if let Some(map @ Projection::Field(_)) = &relation.options.map {
            let message =
                format!("`map` takes a function of the watched object: for a field of the primary write `by = {map}`");
            ctxt.error_at(map, message);
        }
    }
}

/// A single name is a function: `by = content` where `content` is a field of the struct lacks `spec.`.
fn function_is_no_field(subject: &Subject<'_>, ctxt: &Ctxt) {
    let Data::Struct(data) = &subject.input.data else { return };
    let base = if subject.kube.is_some() { "spec" } else { "self" };
    let by = subject.attr.relations.iter().flat_map(|relation| &relation.options.by);
    for projection in by.chain(subject.attr.indexes.iter().map(|index| &index.by)) {
        if let Projection::Function(function) = projection
            && let Some(name) = function.get_ident()
            && data.fields.iter().any(|field| field.ident.as_ref() == Some(name))
        {
            let message = format!(
                "a single name is a function: write `{base}.{name}` for the field, `self::{name}` for a function"
            );
            ctxt.error_at(name, message);
        }
    }
}

/// An empty selector selects everything, which is what leaving it out says: `owns(Deployment, labels = "")`.
fn selector_is_not_empty(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in &subject.attr.relations {
        for (key, text) in [("labels", &relation.options.labels), ("fields", &relation.options.fields)] {
            if let Some(text) = text
                && text.0.value().trim().is_empty()
            {
                ctxt.error_at(&text.0, format!("an empty selector selects everything: remove `{key}`"));
            }
        }
    }
}

/// Two watches of the same objects for the same role are one: `owns(Service), owns(other = Service)`.
fn relation_is_declared_once(subject: &Subject<'_>, ctxt: &Ctxt) {
    let mut seen = Vec::new();
    for relation in &subject.attr.relations {
        let options = &relation.options;
        let text = |text: &Option<crate::attr::Text>| text.as_ref().map(|text| text.0.value());
        for kind in &relation.kinds {
            let name = written(&kind.path);
            let metadata = options.metadata.is_present();
            let mut namespaces: Vec<String> = options.namespace.iter().map(|text| text.0.value()).collect();
            namespaces.sort_unstable();
            let narrow = (text(&options.labels), text(&options.fields), namespaces, metadata);
            let same = (relation.keyword.to_string(), name.clone(), narrow);
            if seen.contains(&same) {
                let help = if relation.keyword == "owns" {
                    String::from("remove this one, or narrow it by `labels`, `fields` or `namespace`")
                } else {
                    format!("join them, as `by` may be repeated: `watches({name}, by = spec.a, by = spec.b)`")
                };
                ctxt.error_at(&kind.path, format!("`{}({name})` is declared twice: {help}", relation.keyword));
            }
            seen.push(same);
        }
    }
}

/// Accessors are methods of one context: two kinds named `Service`, a relation to the primary kind itself, or a kind
/// named `Key` need another name.
fn accessor_is_unique(subject: &Subject<'_>, ctxt: &Ctxt) {
    let Some(container) = Container::new(subject.input, subject.attr, subject.kube) else { return };
    let mut taken: HashMap<String, String> = HashMap::new();
    for method in CONTEXT_METHODS {
        taken.insert(method.to_owned(), format!("a method of `{}`", container.names.context));
    }
    taken.insert(text(&container.names.primaries), String::from("the accessor of the primaries"));
    let mut seen = Vec::new();
    for relation in &container.relations {
        let accessor = &relation.accessor;
        let kind = written(&relation.kind);
        // Reported as declared twice.
        let at: TokenStream = match model::accessor(&relation.kind) == *accessor {
            true => relation.kind.to_token_stream(),
            false => accessor.to_token_stream(),
        };
        if let Some(other) = taken.get(&text(accessor)) {
            if !seen.contains(&(kind.clone(), narrow(relation))) {
                let name = format!("my_{} = {kind}", text(accessor));
                let fix = if relation.is_implied { format!("owns({name})") } else { name };
                let message = format!(
                    "the accessor `{accessor}` of `{kind}` is taken: it is {other}. Give another name: `{fix}`"
                );
                ctxt.error_at(at, message);
            }
        } else {
            taken.insert(text(accessor), format!("the accessor of `{kind}`"));
        }
        seen.push((kind, narrow(relation)));
    }
}

/// Indexes are methods of one lister: `index(get = spec.host)` would hide `Lister::get`.
fn index_name_is_unique(subject: &Subject<'_>, ctxt: &Ctxt) {
    let mut seen: Vec<String> = Vec::new();
    for index in &subject.attr.indexes {
        let name = text(&index.name);
        if LISTER_METHODS.contains(&name.as_str()) {
            let message = format!("`{name}` is a method of every lister: give another name, such as `by_{name}`");
            ctxt.error_at(&index.name, message);
        } else if seen.contains(&name) {
            ctxt.error_at(
                &index.name,
                format!("the index `{name}` is declared twice: give another name to one of them"),
            );
        }
        seen.push(name);
    }
}

/// The API server refuses a finalizer that is no qualified name with a domain (apimachinery `ValidateFinalizerName`):
/// `finalizer = "cleanup"`.
fn finalizer_is_qualified(subject: &Subject<'_>, ctxt: &Ctxt) {
    let settings = &subject.attr.settings;
    match model::finalizer(subject.attr, subject.kube) {
        Some(finalizer) => {
            if let Err(reason) = qualified_name(&finalizer.value()) {
                let example = "`finalizer = \"demo.kubewright.dev/website-cleanup\"`";
                let message = format!("`{}` is no finalizer: {reason}. Write one such as {example}", finalizer.value());
                ctxt.push(syn::Error::new(finalizer.span(), message));
            }
        }
        None if subject.kube.is_none() => {
            let after = subject.attr.dependents.iter().flat_map(|dependent| &dependent.options.after).next();
            let message =
                "the group of a root type written by hand is not known here: write `finalizer = \"group/name\"`";
            let reason = match after {
                _ if settings.cleanup.is_present() => Some(settings.cleanup.span()),
                after => after.map(|after| after.0.span()),
            };
            reason.into_iter().for_each(|span| ctxt.push(syn::Error::new(span, message)));
        }
        None => {}
    }
}

/// The name is part of field managers, metrics and Leases: `name = "My Websites"` fits none.
fn name_is_a_label(subject: &Subject<'_>, ctxt: &Ctxt) {
    if let Some(name) = &subject.attr.settings.name
        && !is_dns_label(&name.0.value())
    {
        ctxt.error_at(&name.0, format!("`{}` is no controller name: {DNS_LABEL}", name.0.value()));
    }
}

fn text(ident: &Ident) -> String {
    ident.unraw().to_string()
}

fn narrow(relation: &model::Relation) -> (bool, [Option<String>; 2], Vec<String>, bool) {
    let value = |text: &Option<LitStr>| text.as_ref().map(LitStr::value);
    let owns = matches!(relation.role, model::Role::Owns);
    let mut namespaces: Vec<String> = relation.namespaces.iter().map(LitStr::value).collect();
    namespaces.sort_unstable();
    (owns, [value(&relation.labels), value(&relation.fields)], namespaces, relation.metadata)
}

fn first_option(relation: &RelationAttr) -> Option<TokenStream> {
    let options = &relation.options;
    let text = options.labels.iter().chain(&options.fields).chain(&options.namespace).next();
    let projection = options.by.first().or(options.map.as_ref());
    let presence = options.presence.as_ref().map(|word| word.0.to_token_stream());
    let predicate = options.predicate.as_ref().map(|function| function.0.to_token_stream());
    text.map(|text| text.0.to_token_stream())
        .or_else(|| projection.map(ToTokens::to_token_stream))
        .or(presence)
        .or(predicate)
        .or_else(|| {
            options.metadata.is_present().then(|| Ident::new("metadata", options.metadata.span()).to_token_stream())
        })
}

const DNS_LABEL: &str = "use lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends";

fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn qualified_name(text: &str) -> Result<(), &'static str> {
    let Some((domain, name)) = text.split_once('/') else {
        return Err("it has no domain");
    };
    if domain.len() > 253 || !domain.split('.').all(is_dns_label) {
        return Err("what stands before the `/` is no domain");
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let at_ends = ends(name.bytes().next()) && ends(name.bytes().last());
    if name.len() <= 63 && at_ends && name.bytes().all(inner) {
        Ok(())
    } else {
        Err(
            "what stands behind the `/` must be at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_are_those_of_the_api_server() {
        let check = |text: &str, valid: bool| assert_eq!(qualified_name(text).is_ok(), valid, "{text}");
        check("demo.kubewright.dev/website-cleanup", true);
        check("a/B_c.d", true);
        check("cleanup", false);
        check("/cleanup", false);
        check("Demo/cleanup", false);
        check("a..b/cleanup", false);
        check("a/", false);
        check("a/-b", false);
        check("a/b/c", false);
        check(&format!("a/{}", "b".repeat(63)), true);
        check(&format!("a/{}", "b".repeat(64)), false);
    }
}
