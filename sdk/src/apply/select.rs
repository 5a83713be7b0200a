//! Whether a target selects an object, as far as that can be told without the API server.
use std::collections::BTreeMap;

use kube::core::SelectorExt as _;
use serde_json::Value;

use crate::reflector::Target;
use crate::resource::ObjectKey;
use crate::store::selector::parse_labels;

/// The labels of one object.
pub(crate) type Labels = BTreeMap<String, String>;

/// Whether a target selects an object of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    Yes,
    /// The target is this namespace alone.
    Elsewhere(String),
    /// Its labels do not meet these requirements.
    Unlabelled(String),
    /// Only the API server could tell.
    Perhaps,
}

/// Says whether `target` selects an object of its kind.
pub(crate) fn selects(target: &Target, key: &ObjectKey, labels: &Labels) -> Selected {
    if let Some(namespace) = target.namespace.as_deref().filter(|namespace| key.namespace() != Some(namespace)) {
        return Selected::Elsewhere(namespace.to_owned());
    }
    // What can not be read here is the API server's to judge.
    let Ok(selector) = parse_labels(target.labels.as_deref().unwrap_or_default()) else { return Selected::Perhaps };
    let missed = selector.into_iter().filter(|requirement| !requirement.matches(labels));
    let missed: Vec<_> = missed.map(|requirement| requirement.to_string()).collect();
    match (missed.is_empty(), &target.fields) {
        (false, _) => Selected::Unlabelled(missed.join(",")),
        (true, None) => Selected::Yes,
        (true, Some(_)) => Selected::Perhaps,
    }
}

/// Returns the labels of an object.
pub(super) fn labels(object: &Value) -> Labels {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceType;
    use crate::wire::ManagedFields;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    #[test]
    fn what_a_target_selects_is_told_and_what_it_misses_is_named() {
        let check = |namespace: Option<&str>, selector: Option<&str>, fields: Option<&str>, expected: Selected| {
            let target = Target {
                resource: ResourceType::of::<ConfigMap>(),
                namespace: namespace.map(str::to_owned),
                labels: selector.map(str::to_owned),
                fields: fields.map(str::to_owned),
                metadata_only: false,
                managed_fields: ManagedFields::Drop,
            };
            let labels = labels(&json!({"metadata": {"labels": {"tier": "back", "app": "web"}}}));
            assert_eq!(selects(&target, &ObjectKey::namespaced("web", "a"), &labels), expected, "{selector:?}");
        };
        check(None, None, None, Selected::Yes);
        check(Some("web"), Some(""), None, Selected::Yes);
        check(Some("shop"), None, None, Selected::Elsewhere("shop".to_owned()));
        check(None, Some("tier=back,app in (web, api),!legacy"), None, Selected::Yes);
        let missed = Selected::Unlabelled("tier=front,!app".to_owned());
        check(None, Some("tier=front, app in (web), !app"), None, missed);
        check(None, Some("tier=back"), Some("type=a"), Selected::Perhaps);
        check(None, Some("tier=front"), Some("type=a"), Selected::Unlabelled("tier=front".to_owned()));
        check(None, Some("generation>5"), None, Selected::Perhaps);
    }
}
