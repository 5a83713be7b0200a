//! The rules of single values: numbers, times and namespaces.
use crate::ctxt::Ctxt;

use super::{DNS_LABEL, Subject, is_dns_label};

/// At most this many reconciles at once: more says that a reconcile waits for something it should be told of.
const MAX_CONCURRENCY: u16 = 1024;

/// A namespace is a DNS label (apimachinery `ValidateNamespaceName`): `namespace = "Infra"` can not exist.
pub(super) fn namespace_is_a_label(subject: &Subject<'_>, ctxt: &Ctxt) {
    for text in subject.attr.relations.iter().flat_map(|relation| &relation.options.namespace) {
        if !is_dns_label(&text.0.value()) {
            ctxt.error_at(&text.0, format!("`{}` is no namespace: {DNS_LABEL}", text.0.value()));
        }
    }
}

/// One watch of a namespace is enough: `owns(Service, namespace = "infra", namespace = "infra")`.
pub(super) fn namespace_is_named_once(subject: &Subject<'_>, ctxt: &Ctxt) {
    for relation in &subject.attr.relations {
        let mut seen = Vec::new();
        for text in &relation.options.namespace {
            let name = text.0.value();
            if seen.contains(&name) {
                ctxt.error_at(&text.0, format!("the namespace `{name}` is written twice: keep one of them"));
            }
            seen.push(name);
        }
    }
}

/// `concurrency = 0` would reconcile nothing.
pub(super) fn concurrency_is_in_range(subject: &Subject<'_>, ctxt: &Ctxt) {
    if let Some(number) = &subject.attr.settings.concurrency
        && !number.0.base10_parse().is_ok_and(|value: u16| (1..=MAX_CONCURRENCY).contains(&value))
    {
        let message =
            format!("`concurrency` says how many reconciles run at once: write a number from 1 to {MAX_CONCURRENCY}");
        ctxt.error_at(&number.0, message);
    }
}

/// No time is no limit and no period: `deadline = "0s"` would drop every reconcile.
pub(super) fn time_is_not_zero(subject: &Subject<'_>, ctxt: &Ctxt) {
    let settings = &subject.attr.settings;
    let nothing = [("deadline", &settings.deadline), ("resync", &settings.resync)];
    for (key, time) in nothing.into_iter().filter_map(|(key, time)| Some((key, time.as_ref()?))) {
        if time.millis == 0 {
            let message = format!("`{key}` needs some time: write one such as `\"5m\"`, or leave it out for none");
            ctxt.push(syn::Error::new(time.span, message));
        }
    }
}
