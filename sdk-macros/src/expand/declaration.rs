//! `impl Primary`, `impl OwnedBy` and the checks of scope.
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{Container, Relation, Role};

use super::projection;

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { krate, root, name, .. } = container;
    let status = container.status.then(|| quote!(.status()));
    let finalizer = container.finalizer.iter().map(|finalizer| quote!(.finalizer(#finalizer)));
    let concurrency = container.concurrency.iter().map(|concurrency| {
        let concurrency = usize::from(*concurrency);
        quote!(.concurrency(#concurrency))
    });
    let relations = container.relations.iter().map(|relation| self::relation(container, relation));
    let indexes = container.indexes.iter().map(|index| {
        let name = syn::ext::IdentExt::unraw(&index.name).to_string();
        let project = projection::values(container, &index.by);
        quote!(.index(#name, |primary, out| #project))
    });
    let owned = owned(container);
    let checks = container.relations.iter().map(|relation| check(container, relation));
    let walk =
        projection::walks(container).then(|| quote!(#[allow(unused_imports)] use #krate::__private::Plain as _;));
    quote! {
        const _: () = {
            impl #krate::declare::Primary for #root {
                fn declaration() -> #krate::declare::Declaration<Self> {
                    #walk
                    #krate::declare::Declaration::new(#name, <Self as #krate::kube::CustomResourceExt>::crd)
                        #status #(#finalizer)* #(#concurrency)* #(#relations)* #(#indexes)*
                }
            }
            #owned
            #(#checks)*
        };
    }
}

fn relation(container: &Container, relation: &Relation) -> TokenStream {
    let Container { krate, .. } = container;
    let kind = &relation.kind;
    let narrow = narrow(container, relation);
    match &relation.role {
        Role::Owns => quote!(.owns::<#kind>(#narrow)),
        Role::WatchesBy(by) => {
            let projects = by.iter().map(|by| projection::names(container, relation, by));
            quote! {
                .watches::<#kind>(#narrow, #krate::declare::Mapping::References(|primary: &Self, out| { #(#projects)* }))
            }
        }
        Role::WatchesMap(function) => {
            let object = object_type(container, relation);
            let call = quote_spanned!(function.span()=> #function(object));
            quote! {
                .watches::<#kind>(#narrow, #krate::declare::Mapping::function(|object: &#object, out| #krate::__private::keys(#call, out)))
            }
        }
    }
}

fn narrow(container: &Container, relation: &Relation) -> TokenStream {
    let krate = &container.krate;
    let labels = relation.labels.iter().map(|labels| quote!(.labels(#labels)));
    let fields = relation.fields.iter().map(|fields| quote!(.fields(#fields)));
    let namespace = relation.namespace.iter().map(|namespace| quote!(.namespace(#namespace)));
    let metadata = relation.metadata.then(|| quote!(.metadata()));
    quote!(<#krate::declare::Narrow as ::core::default::Default>::default() #(#labels)* #(#fields)* #(#namespace)* #metadata)
}

/// The type that readers of a relation see: metadata only where that is all that is asked for.
pub(crate) fn object_type(container: &Container, relation: &Relation) -> TokenStream {
    let (krate, kind) = (&container.krate, &relation.kind);
    if relation.metadata { quote!(#krate::kube::core::PartialObjectMeta<#kind>) } else { quote!(#kind) }
}

/// One impl for each owned kind, however often it is narrowed.
fn owned(container: &Container) -> TokenStream {
    let Container { krate, root, .. } = container;
    let mut seen = Vec::new();
    let mut impls = TokenStream::new();
    for relation in container.relations.iter().filter(|relation| matches!(relation.role, Role::Owns)) {
        let kind = &relation.kind;
        let name = kind.to_token_stream().to_string();
        if !seen.contains(&name) {
            seen.push(name);
            impls.extend(quote!(impl #krate::declare::OwnedBy<#root> for #kind {}));
        }
    }
    impls
}

// The bounds are checked where nothing else can fail, with the span of the type, so that the error sits on it.
fn check(container: &Container, relation: &Relation) -> TokenStream {
    let Container { krate, root, .. } = container;
    let kind = &relation.kind;
    let owns = matches!(relation.role, Role::Owns)
        .then(|| quote_spanned!(kind.span()=> const _: () = #krate::__private::can_own::<#root, #kind>();));
    let namespace = relation
        .namespace
        .as_ref()
        .map(|namespace| quote_spanned!(namespace.span()=> const _: () = #krate::__private::has_namespace::<#kind>();));
    quote!(#owns #namespace)
}
