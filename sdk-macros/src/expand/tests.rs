//! Every file in `tests/macros/pass` compiles there, and its expansion is a snapshot here; every rule has its case in
//! `tests/macros/fail`.
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, DeriveInput, Item};

use crate::attr::{KubeAttr, OperatorAttr};
use crate::check::{RULES, Subject};
use crate::ctxt::Ctxt;

use super::derive;

/// Lines that the example of the front door may expand to.
const BUDGET: usize = 120;

#[test]
fn every_passing_case_expands_to_its_snapshot() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_rust(path)).collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let snapshot = cases().join("expanded").join(path.file_name().unwrap()).with_extension("txt");
        expect_file![snapshot].assert_eq(&expansion(&path));
    }
}

#[test]
fn the_front_door_expands_within_its_budget() {
    let lines = expansion(&cases().join("website.rs")).lines().count();
    assert!(lines <= BUDGET, "{lines} lines, {BUDGET} allowed");
}

#[test]
fn a_renamed_library_is_the_only_one_that_is_named() {
    let expansion = expansion(&cases().join("renamed.rs"));
    assert!(expansion.contains("::renamed::"));
    assert!(!expansion.contains("kubewright::"), "{expansion}");
}

#[test]
fn every_rule_refuses_its_case() {
    for (name, rule) in RULES {
        let path = tests().join("fail").join(name).with_extension("rs");
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("no case for `{name}`: {error}"));
        let mut inputs = Vec::new();
        for_each_operator(&syn::parse_file(&source).unwrap().items, &mut |input| inputs.push(input));
        let refused = inputs.iter().any(|input| {
            let ctxt = Ctxt::new();
            let input: DeriveInput = syn::parse2(input.clone()).unwrap();
            let kube = KubeAttr::read(&input.attrs);
            let unread = Ctxt::new();
            let attr = OperatorAttr::read(&input.attrs, &unread);
            let _ = unread.check();
            rule(&Subject { input: &input, attr: &attr, kube: kube.as_ref() }, &ctxt);
            ctxt.check().is_err()
        });
        assert!(refused, "`{name}` accepts its case");
    }
}

#[test]
fn errors_come_without_a_half_of_the_items() {
    let input = quote::quote! {
        #[kube(group = "g.example", version = "v1", kind = "Website")]
        #[operator(owns(Deployment), watches(ConfigMap), concurrency = 0)]
        struct WebsiteSpec { host: String }
    };
    let expansion = derive(input).to_string();
    assert_eq!(expansion.matches("compile_error").count(), 2, "{expansion}");
    assert!(!expansion.contains("WebsiteContext"), "{expansion}");
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/macros")
}

fn cases() -> PathBuf {
    tests().join("pass")
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn expansion(path: &Path) -> String {
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let mut expanded = String::new();
    for_each_operator(&file.items, &mut |input| {
        expanded.push_str(&prettyplease::unparse(&syn::parse2(derive(input)).unwrap()));
    });
    expanded
}

fn for_each_operator(items: &[Item], act: &mut dyn FnMut(TokenStream)) {
    for item in items {
        let (attributes, tokens) = match item {
            Item::Struct(item) => (&item.attrs, item.to_token_stream()),
            Item::Enum(item) => (&item.attrs, item.to_token_stream()),
            Item::Union(item) => (&item.attrs, item.to_token_stream()),
            Item::Mod(item) => {
                for_each_operator(item.content.as_ref().map_or(&[], |(_, items)| items), act);
                continue;
            }
            _ => continue,
        };
        if attributes.iter().any(derives_operator) {
            act(tokens);
        }
    }
}

fn derives_operator(attribute: &Attribute) -> bool {
    attribute.path().is_ident("derive") && attribute.to_token_stream().to_string().contains("Operator")
}

/// Words that attributes are made of, and some that they are not.
const WORDS: &str = r#"owns watches dependents index cleanup finalizer concurrency name status crate labels fields namespace metadata by map
Deployment cm::Certificate Vec<u8> r#type r#Type self spec.content spec.0.1 self.host <T~as~N>::of names::<u8>
after when ready => => page |x|~x = = = , , , "a" "" "Ä/" 0 9999999999999999999999 -1 _ .. # :: by_host"#;

#[test]
fn an_attribute_of_any_words_gives_items_or_errors_and_no_panic() {
    let vocabulary: Vec<String> = WORDS.split_whitespace().map(|word| word.replace('~', " ")).collect();
    let mut seed = 7_u64;
    let mut draw = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut sound = 0;
    for _ in 0..500 {
        let mut words = |count: usize| {
            (0..count).map(|_| vocabulary[draw(vocabulary.len())].as_str()).collect::<Vec<_>>().join(" ")
        };
        let inner = words(4);
        let outer = words(3);
        let text = format!("{outer} ({inner}) , index(by_x = spec.host) , {}", words(3));
        for attribute in [
            text.clone(),
            format!("owns({inner})"),
            format!("watches({inner})"),
            format!("dependents({inner})"),
            format!("index({inner})"),
            outer,
        ] {
            let source = format!(
                "#[kube(group = \"g.example\", version = \"v1\", kind = \"Website\")] #[operator({attribute})] struct WebsiteSpec {{ host: String }}"
            );
            let Ok(input) = source.parse::<TokenStream>() else { continue };
            let expansion = derive(input);
            let file = syn::parse2::<syn::File>(expansion.clone());
            assert!(file.is_ok(), "{attribute}: {:?} {expansion}", file.err());
            sound += usize::from(!expansion.to_string().contains("compile_error"));
        }
    }
    assert!(sound > 0, "nothing was expanded");
}
