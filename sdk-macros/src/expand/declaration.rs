//! `impl Primary` and `impl OwnedBy`.
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use crate::model::{Container, Relation, Role, written};

use super::projection;

pub(crate) fn impls(container: &Container) -> TokenStream {
    let Container { root, name, finalizer, concurrency, .. } = container;
    let status = container.status.then(|| quote!(.status()));
    let finalizer = finalizer.iter().map(|finalizer| quote!(.finalizer(#finalizer)));
    let concurrency = concurrency.iter().map(|concurrency| usize::from(*concurrency));
    let deadline = container.deadline.iter();
    let resync = container.resync.iter();
    let relations = container.relations.iter().map(|relation| self::relation(container, relation));
    let indexes = container.indexes.iter().map(|index| {
        let name = index.name.unraw().to_string();
        let project = projection::values(container, &index.by);
        quote!(.index(#name, |primary, out| #project))
    });
    let walk = projection::walks(container).then(|| {
        quote!(
            #[allow(unused_imports)]
            use __kw::Plain as _;
        )
    });
    let owned = owned(container);
    let namespaces = container.relations.iter().flat_map(has_namespace);
    quote! {
        impl __kw::Primary for #root {
            fn declaration() -> __kw::Declaration<Self> {
                #walk
                __kw::declare::<Self>(#name)
                    #status #(#finalizer)* #(.concurrency(#concurrency))*
                    #(.deadline(__kw::millis(#deadline)))* #(.resync(__kw::millis(#resync)))*
                    #(#relations)* #(#indexes)*
            }
        }
        #owned
        #(#namespaces)*
    }
}

fn relation(container: &Container, relation: &Relation) -> TokenStream {
    let kind = &relation.kind;
    let narrow = narrow(relation);
    match &relation.role {
        Role::Owns => quote!(.owns::<#kind>(#narrow)),
        Role::WatchesBy(by) => {
            let projects = by.iter().map(|by| projection::names(container, relation, by));
            quote!(.watches::<#kind>(#narrow, __kw::by(|primary, out| { #(#projects;)* })))
        }
        Role::WatchesMap(function) => {
            let object = object_type(relation);
            let call = quote_spanned!(projection::at(function)=> #function(object));
            quote!(.watches::<#kind>(#narrow, __kw::map::<_, #object>(|object, out| __kw::keys(#call, out))))
        }
    }
}

fn narrow(relation: &Relation) -> TokenStream {
    let labels = &relation.labels.iter().collect::<Vec<_>>();
    let fields = &relation.fields.iter().collect::<Vec<_>>();
    let namespaces = &relation.namespaces;
    let presence = &relation.presence.iter().collect::<Vec<_>>();
    let metadata = relation.metadata.then(|| quote!(.metadata()));
    quote! {
        __kw::everything() #(.labels(#labels))* #(.fields(#fields))* #(.namespace(#namespaces))* #metadata
            #(.presence(__kw::Presence::#presence))*
    }
}

/// The type that readers of a relation see: metadata only where that is all that is asked for.
pub(crate) fn object_type(relation: &Relation) -> TokenStream {
    let kind = &relation.kind;
    if relation.metadata { quote!(__kw::PartialObjectMeta<#kind>) } else { quote!(#kind) }
}

/// One impl for each owned kind, however often it is narrowed.
fn owned(container: &Container) -> TokenStream {
    let root = &container.root;
    let mut seen = Vec::new();
    let mut impls = TokenStream::new();
    for relation in container.relations.iter().filter(|relation| matches!(relation.role, Role::Owns)) {
        let kind = &relation.kind;
        if !seen.contains(&written(kind)) {
            seen.push(written(kind));
            impls.extend(quote!(impl __kw::OwnedBy<#root> for #kind {}));
        }
    }
    impls
}

/// Checks the scope of a kind that is narrowed to a namespace, with the error on the first namespace.
fn has_namespace(relation: &Relation) -> Option<TokenStream> {
    let (namespace, kind) = (relation.namespaces.first()?, &relation.kind);
    Some(quote_spanned!(projection::at(namespace)=> const _: () = __kw::has_namespace::<#kind>();))
}
