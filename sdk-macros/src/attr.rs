//! The grammar of `#[operator(..)]`, as written: spans kept, nothing defaulted, nothing checked across keys.
//!
//! The only module that knows darling. An error drops the item it stands in and parsing goes on, so that all errors of
//! an attribute are found at once.
use std::fmt;

use darling::ast::NestedMeta;
use darling::{Error, FromMeta};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, TokenStreamExt};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Member, Meta, Path, Token};

use crate::ctxt::Ctxt;

mod dependents;
mod value;

pub(crate) use dependents::{DependentAttr, FunctionPath, misspelt};
pub(crate) use value::{PresenceWord, Time};

/// All `#[operator(..)]` attributes of one struct, merged.
#[derive(Debug, Default)]
pub(crate) struct OperatorAttr {
    /// `owns(..)` and `watches(..)`, in source order.
    pub(crate) relations: Vec<RelationAttr>,
    /// The entries of every `dependents(..)`, in source order.
    pub(crate) dependents: Vec<DependentAttr>,
    /// The entries of every `index(..)`, in source order.
    pub(crate) indexes: Vec<IndexAttr>,
    pub(crate) settings: Settings,
}

/// The keys that are written once.
#[derive(Debug, Default, FromMeta)]
pub(crate) struct Settings {
    /// `cleanup`
    pub(crate) cleanup: Word,
    /// `finalizer = "demo.kubewright.dev/website"`
    pub(crate) finalizer: Option<Text>,
    /// `concurrency = 8`
    pub(crate) concurrency: Option<Number>,
    /// `deadline = "30s"`
    pub(crate) deadline: Option<Time>,
    /// `resync = "10h"`
    pub(crate) resync: Option<Time>,
    /// `predicate = edited`
    pub(crate) predicate: Option<FunctionPath>,
    /// `name = "websites"`
    pub(crate) name: Option<Text>,
    /// `status`, for a root type written by hand
    pub(crate) status: Word,
    /// `crate = ::renamed`
    #[darling(rename = "crate")]
    pub(crate) krate: Option<CratePath>,
}

const KEYS: [&str; 13] = [
    "owns",
    "watches",
    "dependents",
    "index",
    "cleanup",
    "finalizer",
    "concurrency",
    "deadline",
    "resync",
    "predicate",
    "name",
    "status",
    "crate",
];

/// `owns(..)` or `watches(..)`.
#[derive(Debug)]
pub(crate) struct RelationAttr {
    /// The word `owns` or `watches`.
    pub(crate) keyword: Ident,
    pub(crate) kinds: Vec<KindAttr>,
    pub(crate) options: Options,
}

/// `Deployment` or `accessor = Deployment`.
#[derive(Debug)]
pub(crate) struct KindAttr {
    pub(crate) accessor: Option<Ident>,
    pub(crate) path: Path,
}

/// What follows the type of a relation.
#[derive(Debug, Default, FromMeta)]
pub(crate) struct Options {
    /// `labels = "app=web"`
    pub(crate) labels: Option<Text>,
    /// `fields = "type=Opaque"`
    pub(crate) fields: Option<Text>,
    /// `namespace = "infra"`
    #[darling(multiple)]
    pub(crate) namespace: Vec<Text>,
    /// `presence = optional`
    pub(crate) presence: Option<PresenceWord>,
    /// `metadata`
    pub(crate) metadata: Word,
    /// `by = spec.content`
    #[darling(multiple)]
    pub(crate) by: Vec<Projection>,
    /// `predicate = rolled_out`
    pub(crate) predicate: Option<FunctionPath>,
    /// `map = websites_on`
    pub(crate) map: Option<Projection>,
}

const OPTIONS: [&str; 8] = ["labels", "fields", "namespace", "presence", "predicate", "metadata", "by", "map"];

/// `by_host = spec.host`, one entry of `index(..)`.
#[derive(Debug)]
pub(crate) struct IndexAttr {
    pub(crate) name: Ident,
    pub(crate) by: Projection,
}

/// A field path or a function.
#[derive(Clone, Debug)]
pub(crate) enum Projection {
    /// `spec.content`, or `self.host` for a field of the root itself: the members after `self`.
    Field(Vec<Member>),
    /// `names_of` or `module::names_of`.
    Function(Path),
}

/// A word without a value: where it stands, if it does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word(Option<Span>);

/// A string literal.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) LitStr);

/// An integer literal.
#[derive(Debug)]
pub(crate) struct Number(pub(crate) LitInt);

/// A path written without quotes.
#[derive(Debug)]
pub(crate) struct CratePath(pub(crate) Path);

/// What `#[kube(..)]` says that the derive must know. kube's own derive reports what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct KubeAttr {
    pub(crate) group: Option<LitStr>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) root: Option<LitStr>,
    pub(crate) status: bool,
}

impl OperatorAttr {
    /// Reads every `#[operator(..)]`.
    pub(crate) fn read(attributes: &[Attribute], ctxt: &Ctxt) -> Self {
        let mut this = Self::default();
        let mut settings = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("operator")) {
            for item in items(&attribute.meta, ctxt) {
                this.read_item(item, &mut settings, ctxt);
            }
        }
        this.settings = each_once(settings, &[], ctxt).unwrap_or_default();
        this
    }

    fn read_item(&mut self, item: NestedMeta, settings: &mut Vec<NestedMeta>, ctxt: &Ctxt) {
        match key(&item).map(ToString::to_string).as_deref() {
            Some("owns" | "watches") => {
                if let Some(relation) = RelationAttr::read(&item, ctxt) {
                    self.relations.push(relation);
                }
            }
            Some("dependents") => self.dependents.extend(DependentAttr::read(&item, ctxt)),
            Some("index") => self.indexes.extend(
                list(&item, "`index(by_host = spec.host)`", ctxt)
                    .iter()
                    .filter_map(|entry| IndexAttr::read(entry).map_err(|error| ctxt.push(error.into())).ok()),
            ),
            Some(known) if KEYS.contains(&known) => settings.push(item),
            _ => ctxt.push(unknown(&item, &KEYS)),
        }
    }
}

impl RelationAttr {
    // An entry with an unknown key is dropped, so that nothing is said to be missing that is only misspelt.
    fn read(item: &NestedMeta, ctxt: &Ctxt) -> Option<Self> {
        let keyword = key(item)?.clone();
        let example = if keyword == "owns" { "`owns(Deployment)`" } else { "`watches(ConfigMap, by = spec.content)`" };
        let mut kinds = Vec::new();
        let mut options = Vec::new();
        let mut sound = true;
        for item in list(item, example, ctxt) {
            match key(&item) {
                Some(option) if OPTIONS.iter().any(|known| option == known) => options.push(item),
                _ => match KindAttr::read(&item) {
                    Some(kind) => match kind.accessor.as_ref().map(method_name) {
                        Some(Err(error)) => ctxt.push(error.into()),
                        _ => kinds.push(kind),
                    },
                    None => {
                        ctxt.push(unknown(&item, &OPTIONS));
                        sound = false;
                    }
                },
            }
        }
        let options = each_once(options, &["by", "namespace"], ctxt)?;
        sound.then_some(Self { keyword, kinds, options })
    }
}

impl KindAttr {
    // Types begin upper-case and options do not: that is what tells `certs = cm::Certificate` from a misspelt option.
    fn read(item: &NestedMeta) -> Option<Self> {
        let (accessor, path) = match item {
            NestedMeta::Meta(Meta::Path(path)) => (None, path),
            NestedMeta::Meta(Meta::NameValue(pair)) => match &pair.value {
                Expr::Path(value) if value.qself.is_none() => (Some(pair.path.get_ident()?.clone()), &value.path),
                _ => return None,
            },
            _ => return None,
        };
        let last = path.segments.last()?.ident.to_string();
        last.trim_start_matches("r#").starts_with(char::is_uppercase).then(|| Self { accessor, path: path.clone() })
    }
}

impl IndexAttr {
    fn read(entry: &NestedMeta) -> darling::Result<Self> {
        let wrong =
            || Error::custom("an index is a name and a field: write `index(by_host = spec.host)`").with_span(entry);
        match entry {
            NestedMeta::Meta(Meta::NameValue(pair)) => {
                let name = method_name(pair.path.get_ident().ok_or_else(wrong)?)?;
                Ok(Self { name, by: Projection::from_expr(&pair.value)? })
            }
            _ => Err(wrong()),
        }
    }
}

impl FromMeta for Projection {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        let wrong = || {
            let help = "write a field path without quotes, such as `spec.content`, or the name of a function";
            Error::custom(help).with_span(expr)
        };
        let mut members = Vec::new();
        let mut rest = expr;
        while let Expr::Field(field) = rest {
            members.push(field.member.clone());
            rest = &field.base;
        }
        let Expr::Path(start) = rest else { return Err(wrong()) };
        if start.qself.is_some() || start.path.is_ident("_") {
            return Err(wrong());
        }
        if members.is_empty() {
            return Ok(Self::Function(start.path.clone()));
        }
        let first = start.path.get_ident().ok_or_else(wrong)?;
        if first != "self" {
            members.push(Member::Named(first.clone()));
        }
        members.reverse();
        Ok(Self::Field(members))
    }
}

impl Word {
    pub(crate) fn is_present(self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn span(self) -> Span {
        self.0.unwrap_or_else(Span::call_site)
    }
}

impl FromMeta for Word {
    fn from_none() -> Option<Self> {
        Some(Self::default())
    }

    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match meta {
            Meta::Path(path) => Ok(Self(Some(path.span()))),
            _ => Err(Error::custom("write the word alone, without a value").with_span(meta)),
        }
    }
}

impl FromMeta for Text {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        match expr {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(Self(text.clone())),
            _ => Err(Error::custom("write a string in quotes").with_span(expr)),
        }
    }
}

impl FromMeta for Number {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        match expr {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(Self(number.clone())),
            _ => Err(Error::custom("write a whole number, such as `concurrency = 8`").with_span(expr)),
        }
    }
}

impl FromMeta for CratePath {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        match expr {
            Expr::Path(path) if path.qself.is_none() => Ok(Self(path.path.clone())),
            _ => Err(Error::custom("write a path without quotes, such as `crate = ::kubewright`").with_span(expr)),
        }
    }
}

impl KubeAttr {
    /// Reads every `#[kube(..)]`, or returns `None` if there is none.
    pub(crate) fn read(attributes: &[Attribute]) -> Option<Self> {
        let mut found = None;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("kube")) {
            let this: &mut Self = found.get_or_insert_default();
            let Meta::List(list) = &attribute.meta else { continue };
            for item in NestedMeta::parse_meta_list(list.tokens.clone()).unwrap_or_default() {
                let NestedMeta::Meta(Meta::NameValue(pair)) = item else { continue };
                let text = Text::from_expr(&pair.value).ok().map(|text| text.0);
                match pair.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("group") => this.group = text,
                    Some("kind") => this.kind = text,
                    Some("root") => this.root = text,
                    Some("status") => this.status = true,
                    _ => {}
                }
            }
        }
        found
    }
}

/// Takes what a generated method is to be called.
fn method_name(name: &Ident) -> darling::Result<Ident> {
    match syn::parse_str::<Ident>(&name.to_string()) {
        Ok(_) => Ok(name.clone()),
        Err(_) => Err(Error::custom(format!("`{name}` is a keyword: give another name")).with_span(name)),
    }
}

fn key(item: &NestedMeta) -> Option<&Ident> {
    match item {
        NestedMeta::Meta(meta) => meta.path().get_ident(),
        NestedMeta::NameValueInvalidExpr(pair) => pair.path.get_ident(),
        NestedMeta::Lit(_) => None,
    }
}

fn unknown(item: &NestedMeta, known: &[&str]) -> syn::Error {
    let path = match item {
        NestedMeta::Meta(meta) => meta.path(),
        NestedMeta::NameValueInvalidExpr(pair) => &pair.path,
        NestedMeta::Lit(text) => return syn::Error::new(text.span(), "write names without quotes"),
    };
    let error = Error::unknown_field_path_with_alts(path, known).to_string();
    syn::Error::new_spanned(path, error.replacen("Unknown field: ", "unknown key ", 1))
}

/// The items between the parentheses of `operator(..)`.
fn items(meta: &Meta, ctxt: &Ctxt) -> Vec<NestedMeta> {
    match meta {
        Meta::Path(_) => Vec::new(),
        Meta::List(list) => NestedMeta::parse_meta_list(list.tokens.clone()).unwrap_or_else(|error| {
            ctxt.push(error);
            Vec::new()
        }),
        Meta::NameValue(pair) => {
            ctxt.error_at(pair, "write `#[operator(..)]`, with the keys in parentheses");
            Vec::new()
        }
    }
}

/// The items between the parentheses of `owns(..)`, `watches(..)` or `index(..)`, of which there must be one at least.
fn list(item: &NestedMeta, example: &str, ctxt: &Ctxt) -> Vec<NestedMeta> {
    let NestedMeta::Meta(meta) = item else {
        ctxt.push(unknown(item, &KEYS));
        return Vec::new();
    };
    let found = match meta {
        Meta::List(_) => items(meta, ctxt),
        _ => Vec::new(),
    };
    let broken = matches!(meta, Meta::List(list) if !list.tokens.is_empty());
    if found.is_empty() && !broken {
        ctxt.error_at(meta, format!("write {example}"));
    }
    found
}

/// Reads keys that may be written once each, but for those that are `repeatable`.
fn each_once<T: FromMeta>(mut items: Vec<NestedMeta>, repeatable: &[&str], ctxt: &Ctxt) -> Option<T> {
    let mut seen = Vec::new();
    items.retain(|item| {
        let Some(key) = key(item) else { return true };
        let first = repeatable.iter().any(|name| key == name) || !seen.contains(key);
        if !first {
            ctxt.error_at(key, format!("`{key}` is written twice: keep one of them"));
        }
        seen.push(key.clone());
        first
    });
    T::from_list(&items).map_err(|error| ctxt.push(error.into())).ok()
}

impl ToTokens for Projection {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Field(members) => tokens.append_separated(members, <Token![.]>::default()),
            Self::Function(path) => path.to_tokens(tokens),
        }
    }
}

impl fmt::Display for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_token_stream().to_string().replace(' ', ""))
    }
}
