//! The grammar of `dependents(..)`: a kind, `=>`, a function, and options of it in parentheses.
use darling::ast::NestedMeta;
use darling::{Error, FromMeta};
use proc_macro2::TokenTree;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Meta, MetaNameValue, Path, Token, parenthesized, token};

use crate::ctxt::Ctxt;

use super::{each_once, key, unknown};

/// `Service => service(after = deployment, when = exposed)`.
#[derive(Debug)]
pub(crate) struct DependentAttr {
    pub(crate) kind: Path,
    pub(crate) function: Path,
    pub(crate) options: DependentOptions,
}

/// What stands in the parentheses behind the function.
#[derive(Debug, Default, FromMeta)]
pub(crate) struct DependentOptions {
    /// `after = deployment`
    #[darling(multiple)]
    pub(crate) after: Vec<DependentName>,
    /// `when = exposed`
    pub(crate) when: Option<FunctionPath>,
    /// `ready = is_ready`
    pub(crate) ready: Option<FunctionPath>,
}

const OPTIONS: [&str; 3] = ["after", "when", "ready"];

/// The name of another dependent.
#[derive(Debug)]
pub(crate) struct DependentName(pub(crate) Ident);

/// A function, by its path.
#[derive(Debug)]
pub(crate) struct FunctionPath(pub(crate) Path);

impl DependentAttr {
    /// Reads the entries of one `dependents(..)`.
    pub(super) fn read(item: &NestedMeta, ctxt: &Ctxt) -> Vec<Self> {
        match item {
            NestedMeta::Meta(Meta::List(list)) if !list.tokens.is_empty() => {
                let read = |input: ParseStream<'_>| Ok(Self::read_all(input, ctxt));
                list.parse_args_with(read).unwrap_or_else(|error| {
                    ctxt.push(error);
                    Vec::new()
                })
            }
            _ => {
                let example = "`dependents(Deployment => deployment)`";
                let message = format!("write {example}: a kind, and the function that says what it should be");
                ctxt.error_at(item, message);
                Vec::new()
            }
        }
    }

    /// The name of the dependent: that of its function.
    pub(crate) fn name(&self) -> Option<&Ident> {
        self.function.segments.last().map(|segment| &segment.ident)
    }

    // Reading goes on behind the next comma. An entry with wrong options stays without any, so that nothing is said to be
    // missing that is only miswritten.
    fn read_all(input: ParseStream<'_>, ctxt: &Ctxt) -> Vec<Self> {
        let mut entries = Vec::new();
        while !input.is_empty() {
            match Self::read_one(input, ctxt) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    ctxt.push(error);
                    skip_to_comma(input);
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                ctxt.push(input.error("expected `,`"));
                skip_to_comma(input);
            }
            // Nothing, or the comma.
            let _ = input.parse::<Option<Token![,]>>();
        }
        entries
    }

    fn read_one(input: ParseStream<'_>, ctxt: &Ctxt) -> syn::Result<Self> {
        let kind = input.call(Path::parse_mod_style)?;
        let written = kind.to_token_stream().to_string().replace(' ', "");
        let is_kind = kind.segments.last().is_some_and(|last| starts_upper(&last.ident));
        if !input.peek(Token![=>]) || !is_kind {
            let message = match is_kind {
                true => format!("say what a `{written}` should be: write `{written} => function`"),
                false => format!("`{written}` is no kind: write `Deployment => {written}`, the kind first"),
            };
            return Err(syn::Error::new_spanned(kind, message));
        }
        input.parse::<Token![=>]>()?;
        let function = input
            .call(Path::parse_mod_style)
            .map_err(|error| syn::Error::new(error.span(), format!("`{written} =>` takes {FUNCTION}")))?;
        let options = if input.peek(token::Paren) {
            let content;
            parenthesized!(content in input);
            DependentOptions::read(&content, ctxt)
        } else {
            DependentOptions::default()
        };
        Ok(Self { kind, function, options })
    }
}

impl DependentOptions {
    fn read(input: ParseStream<'_>, ctxt: &Ctxt) -> Self {
        let items = Punctuated::<NestedMeta, Token![,]>::parse_terminated(input).unwrap_or_else(|error| {
            ctxt.push(error);
            while !input.is_empty() && input.parse::<TokenTree>().is_ok() {}
            Punctuated::new()
        });
        let is_known = |item: &NestedMeta| key(item).is_some_and(|key| OPTIONS.iter().any(|option| key == option));
        let (known, others): (Vec<_>, Vec<_>) = items.into_iter().partition(is_known);
        others.iter().for_each(|item| ctxt.push(unknown(item, &OPTIONS)));
        each_once(known, &["after"], ctxt).unwrap_or_default()
    }
}

impl FromMeta for DependentName {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match path(meta).and_then(Path::get_ident) {
            Some(name) => Ok(Self(name.clone())),
            None => {
                let help =
                    "write the name of another dependent, such as `after = deployment`, and repeat `after` for several";
                Err(Error::custom(help).with_span(meta))
            }
        }
    }
}

impl FromMeta for FunctionPath {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match path(meta).filter(|path| !path.is_ident("_")) {
            Some(path) => Ok(Self(path.clone())),
            None => {
                let key = meta.path().to_token_stream();
                Err(Error::custom(format!("`{key}` takes {FUNCTION}")).with_span(meta))
            }
        }
    }
}

const FUNCTION: &str = "the name of a function, without quotes and arguments";

/// The path behind `key =`.
fn path(meta: &Meta) -> Option<&Path> {
    match meta {
        Meta::NameValue(MetaNameValue { value: Expr::Path(value), .. }) if value.qself.is_none() => Some(&value.path),
        _ => None,
    }
}

/// Says that there is no dependent of this name, and which one may be meant.
pub(crate) fn misspelt(name: &Ident, known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let error = Error::unknown_field_with_alts(&name.unraw().to_string(), &known).to_string();
    error.replacen("Unknown field: ", "no dependent is called ", 1)
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) && input.parse::<TokenTree>().is_ok() {}
}

fn starts_upper(name: &Ident) -> bool {
    name.unraw().to_string().starts_with(char::is_uppercase)
}
