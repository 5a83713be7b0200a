//! The rules of `dependents(..)`: every name once, every `after` a name, no circles, and whole objects to look at.
use std::collections::HashSet;

use syn::ext::IdentExt;

use crate::attr::{DependentAttr, misspelt};
use crate::ctxt::Ctxt;
use crate::model::written;

use super::Subject;

/// A dependent is called by its function in `after`, on its children and in the status, so no two share a name:
/// `dependents(ConfigMap => a::page, Secret => b::page)`.
pub(super) fn dependent_name_is_unique(subject: &Subject<'_>, ctxt: &Ctxt) {
    let mut seen = HashSet::new();
    for name in subject.attr.dependents.iter().filter_map(DependentAttr::name) {
        if !seen.insert(name.unraw()) {
            let message = format!(
                "the dependent `{name}` is declared twice: dependents are called by their function, so give one of them another name"
            );
            ctxt.error_at(name, message);
        }
    }
}

/// What a dependent comes after is a dependent: `Service => service(after = deploymnt)`.
pub(super) fn after_names_a_dependent(subject: &Subject<'_>, ctxt: &Ctxt) {
    let names: Vec<String> = names(subject);
    for dependent in &subject.attr.dependents {
        for after in &dependent.options.after {
            if !names.contains(&after.0.unraw().to_string()) {
                ctxt.error_at(&after.0, misspelt(&after.0, &names));
            }
        }
    }
}

/// Once is enough: `Service => service(after = deployment, after = deployment)`.
pub(super) fn after_names_each_once(subject: &Subject<'_>, ctxt: &Ctxt) {
    for dependent in &subject.attr.dependents {
        let mut seen = HashSet::new();
        for after in &dependent.options.after {
            if !seen.insert(after.0.unraw()) {
                ctxt.error_at(&after.0, format!("`after = {}` is written twice: keep one of them", after.0));
            }
        }
    }
}

/// Nothing comes after itself, directly or through others: `A => a(after = b), B => b(after = a)` would wait for ever.
pub(super) fn dependents_go_in_no_circle(subject: &Subject<'_>, ctxt: &Ctxt) {
    let dependents = &subject.attr.dependents;
    let names = names(subject);
    let next = |at: usize| {
        let after = dependents[at].options.after.iter();
        after.filter_map(|after| names.iter().position(|name| after.0.unraw() == name)).collect::<Vec<_>>()
    };
    let mut told: HashSet<usize> = HashSet::new();
    for at in 0..dependents.len() {
        let Some(circle) = circle(at, &next).filter(|circle| circle.iter().all(|at| !told.contains(at))) else {
            continue;
        };
        told.extend(&circle);
        let second = &names[circle.get(1).copied().unwrap_or(at)];
        let path: Vec<&str> = circle.iter().chain([&at]).map(|&at| names[at].as_str()).collect();
        let Some(after) = dependents[at].options.after.iter().find(|after| after.0.unraw() == second) else { continue };
        let message =
            format!("`{}` comes after itself ({}): remove one of these `after`s", names[at], path.join(" after "));
        ctxt.error_at(&after.0, message);
    }
}

/// Readiness is read from the status, which metadata alone does not have:
/// `owns(Deployment, metadata), dependents(Deployment => deployment)`.
pub(super) fn dependent_is_seen_whole(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in subject.attr.relations.iter().filter(|relation| relation.keyword == "owns") {
        for kind in relation.kinds.iter().filter(|_| relation.options.metadata.is_present()) {
            let name = written(&kind.path);
            if subject.attr.dependents.iter().any(|dependent| written(&dependent.kind) == name) {
                let message =
                    format!("whether a dependent `{name}` is ready is read from its status: remove `metadata`");
                ctxt.push(syn::Error::new(relation.options.metadata.span(), message));
            }
        }
    }
}

/// The names of all dependents. The position is that of the entry.
fn names(subject: &Subject<'_>) -> Vec<String> {
    let name = |dependent: &DependentAttr| dependent.name().map(|name| name.unraw().to_string()).unwrap_or_default();
    subject.attr.dependents.iter().map(name).collect()
}

/// The shortest way from `start` back to itself, without the last step.
fn circle(start: usize, next: &dyn Fn(usize) -> Vec<usize>) -> Option<Vec<usize>> {
    let mut ways = vec![vec![start]];
    let mut seen = HashSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for step in way.last().map(|&last| next(last)).unwrap_or_default() {
                if step == start {
                    return Some(way);
                }
                if seen.insert(step) {
                    longer.push(way.iter().copied().chain([step]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}
