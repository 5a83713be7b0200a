//! Makes the CRD of a primary kind fit to apply: no warning, lists that merge, a description a person wrote.
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};

/// How kube's derive begins the description of a root type.
const GENERATED: &str = "Auto-generated derived type";

/// String formats that CRD validation knows (apiextensions-apiserver, `supportedVersionedFormats`). It warns of others
/// and ignores them.
const STRING_FORMATS: [&str; 27] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "date-time",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8s-long-name",
    "k8s-short-name",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Returns `crd` as the API server takes it without a warning, and as server-side apply needs it.
///
/// - Integer formats of Rust become `int32` or `int64`, unsigned ones with a minimum of 0; `u64` values beyond `i64` can
///   not be stored. Other formats that CRD validation does not know are dropped: it ignores them.
/// - Lists of `metav1.Condition` become maps keyed by `type`, so that several controllers can each own some.
/// - What may be anything says so (`x-kubernetes-preserve-unknown-fields`).
/// - Tuples become lists of what all their items are, or of anything.
/// - What is an integer or a string says so (`x-kubernetes-int-or-string`).
/// - The description of the kind is the doc comment of its spec, where kube's derive left a constant.
///
/// Nothing else changes.
#[must_use]
pub fn prepare(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        describe(root);
        visit(root);
        open_untyped(root);
    }
    crd.status = None;
    crd
}

/// What the status of a kind can hold, according to its CRD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatusSchema {
    /// Whether there is a status subresource at all.
    pub(crate) subresource: bool,
    /// Whether `status.conditions` exists.
    pub(crate) conditions: bool,
    /// Whether `status.observedGeneration` exists.
    pub(crate) observed_generation: bool,
}

impl StatusSchema {
    /// Reads it from the version of `crd` that is used.
    pub(crate) fn of(crd: &CustomResourceDefinition, version: &str) -> Self {
        let Some(version) = crd.spec.versions.iter().find(|candidate| candidate.name == version) else {
            return Self::default();
        };
        let subresource = version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some());
        let Some(status) = status_of(version) else { return Self { subresource, ..Self::default() } };
        let open = status.x_kubernetes_preserve_unknown_fields == Some(true);
        let has = |name| status.properties.as_ref().is_some_and(|properties| properties.contains_key(name));
        Self { subresource, conditions: open || has("conditions"), observed_generation: has("observedGeneration") }
    }
}

fn status_of(version: &CustomResourceDefinitionVersion) -> Option<&JSONSchemaProps> {
    version.schema.as_ref()?.open_api_v3_schema.as_ref()?.properties.as_ref()?.get("status")
}

fn describe(root: &mut JSONSchemaProps) {
    if !root.description.as_deref().is_none_or(|text| text.starts_with(GENERATED)) {
        return;
    }
    let spec = root.properties.as_ref().and_then(|properties| properties.get("spec"));
    if let Some(text) = spec.and_then(|spec| spec.description.clone()) {
        root.description = Some(text);
    }
}

fn visit(schema: &mut JSONSchemaProps) {
    fix_union(schema);
    fix_format(schema);
    fix_conditions(schema);
    fix_tuple(schema);
    let branches = [&mut schema.all_of, &mut schema.any_of, &mut schema.one_of];
    branches.into_iter().flatten().flatten().for_each(visit);
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(visit);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        visit(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        visit(values);
    }
    schema.not.as_deref_mut().into_iter().for_each(visit);
}

/// What may be anything, such as a `serde_json::Value`, has to say so. Only where a value is described: the branches of a
/// union restrict what is described beside them, and must not.
fn open_untyped(schema: &mut JSONSchemaProps) {
    let described = schema.properties.iter_mut().flat_map(|properties| properties.values_mut());
    let items = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(&mut **items),
        _ => None,
    };
    let values = match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&mut **values),
        _ => None,
    };
    for schema in described.chain(items).chain(values) {
        if schema.type_.is_none() && schema.x_kubernetes_int_or_string != Some(true) && schema.properties.is_none() {
            schema.x_kubernetes_preserve_unknown_fields = Some(true);
        }
        open_untyped(schema);
    }
}

fn fix_format(schema: &mut JSONSchemaProps) {
    let Some(format) = schema.format.as_deref() else { return };
    let (format, unsigned) = match format {
        "int32" | "int64" | "float" | "double" => return,
        "int8" | "int16" => (Some("int32"), false),
        "uint8" | "uint16" => (Some("int32"), true),
        "int" => (Some("int64"), false),
        // int32 would refuse the upper half of u32.
        "uint32" | "uint64" | "uint" => (Some("int64"), true),
        "uint128" => (None, true),
        known if STRING_FORMATS.contains(&known) => return,
        _ => (None, false),
    };
    schema.format = format.map(str::to_owned);
    if unsigned {
        schema.minimum.get_or_insert(0.0);
    }
}

/// An untagged enum of a number and a string arrives as two branches that lost their types, which is not structural.
fn fix_union(schema: &mut JSONSchemaProps) {
    let Some([left, right]) = schema.any_of.as_deref() else { return };
    let untyped = schema.type_.is_none()
        && schema.x_kubernetes_int_or_string.is_none()
        && schema.x_kubernetes_preserve_unknown_fields.is_none()
        && schema.properties.is_none();
    let integer = |branch: &JSONSchemaProps| {
        branch.type_.as_deref() == Some("integer")
            || (branch.type_.is_none() && branch.format.as_deref().is_some_and(|format| format.contains("int")))
    };
    let string =
        |branch: &JSONSchemaProps| branch.type_.as_deref() == Some("string") || *branch == JSONSchemaProps::default();
    if untyped && ((integer(left) && string(right)) || (string(left) && integer(right))) {
        let of_type = |name: &str| JSONSchemaProps { type_: Some(name.to_owned()), ..Default::default() };
        schema.any_of = Some(vec![of_type("integer"), of_type("string")]);
        schema.x_kubernetes_int_or_string = Some(true);
    }
}

/// A tuple arrives as a list with a schema for each place, which a CRD must not have. What its items have in common
/// stays; their number was said beside.
fn fix_tuple(schema: &mut JSONSchemaProps) {
    let Some(JSONSchemaPropsOrArray::Schemas(items)) = &mut schema.items else { return };
    let any = || JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..Default::default() };
    let alike = items.windows(2).all(|pair| pair[0] == pair[1]);
    let shared = items.pop().filter(|_| alike).unwrap_or_else(any);
    schema.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(shared)));
}

fn fix_conditions(schema: &mut JSONSchemaProps) {
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else { return };
    let has = |name| item.properties.as_ref().is_some_and(|properties| properties.contains_key(name));
    let keyed = item.required.iter().flatten().any(|name| name == "type");
    let condition = ["type", "status", "reason", "message", "lastTransitionTime"].into_iter().all(has);
    if keyed && condition && schema.x_kubernetes_list_type.is_none() {
        schema.x_kubernetes_list_type = Some("map".to_owned());
        schema.x_kubernetes_list_map_keys = Some(vec!["type".to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    use kube::{CustomResource, CustomResourceExt};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    /// A thing with numbers.
    #[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[kube(group = "test.kubewright.dev", version = "v1", kind = "Number", namespaced, status = "NumberStatus")]
    struct NumberSpec {
        tiny: u8,
        small: i16,
        medium: u32,
        signed: i32,
        large: u64,
        size: Option<usize>,
        ratio: f64,
        address: std::net::IpAddr,
        port: IntOrString,
        either: Either,
        map: std::collections::BTreeMap<String, u16>,
    }

    #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Text(String),
    }

    #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[serde(rename_all = "camelCase")]
    struct NumberStatus {
        observed_generation: Option<i64>,
        conditions: Vec<Condition>,
    }

    /// Nothing to say.
    #[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[kube(group = "test.kubewright.dev", version = "v1", kind = "Plain", doc = "Said by hand.")]
    struct PlainSpec {}

    fn root(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
        crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
    }

    fn spec() -> String {
        let crd = prepare(Number::crd());
        serde_yaml_ng::to_string(&root(&crd).properties.as_ref().unwrap()["spec"]).unwrap()
    }

    #[test]
    fn formats_are_those_the_api_server_knows() {
        expect_file!["crd/numbers.snapshot"].assert_eq(&spec());
    }

    #[test]
    fn what_may_be_anything_says_so_and_branches_do_not() {
        let any: JSONSchemaProps = serde_json::from_value(serde_json::json!({
            "type": "object",
            "properties": { "any": { "nullable": true }, "port": { "x-kubernetes-int-or-string": true } },
            "oneOf": [{ "properties": { "any": { "enum": [1] } } }],
        }))
        .unwrap();
        let mut list = JSONSchemaProps {
            items: Some(JSONSchemaPropsOrArray::Schema(Box::new(any.clone()))),
            additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::default())),
            ..Default::default()
        };
        open_untyped(&mut list);
        let open = |schema: &JSONSchemaProps| schema.x_kubernetes_preserve_unknown_fields == Some(true);
        let Some(JSONSchemaPropsOrArray::Schema(items)) = &list.items else { panic!("no items") };
        let properties = items.properties.as_ref().unwrap();
        assert!(open(&properties["any"]) && !open(&properties["port"]) && !open(items));
        assert_eq!(items.one_of, any.one_of);
        assert!(matches!(&list.additional_properties, Some(JSONSchemaPropsOrBool::Schema(values)) if open(values)));
    }

    #[test]
    fn items_of_tuples_share_one_schema() {
        let of_type = |name: &str| JSONSchemaProps { type_: Some(name.to_owned()), ..Default::default() };
        let check = |items: &[&str], expected: JSONSchemaProps| {
            let items = items.iter().map(|name| of_type(name)).collect();
            let mut tuple = JSONSchemaProps { items: Some(JSONSchemaPropsOrArray::Schemas(items)), ..of_type("array") };
            visit(&mut tuple);
            assert_eq!(tuple.items, Some(JSONSchemaPropsOrArray::Schema(Box::new(expected))));
        };
        check(&["string", "string"], of_type("string"));
        let any = JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..Default::default() };
        check(&["string", "boolean"], any);
    }

    #[test]
    fn conditions_merge_by_type() {
        let crd = prepare(Number::crd());
        let status = &root(&crd).properties.as_ref().unwrap()["status"];
        let conditions = &status.properties.as_ref().unwrap()["conditions"];
        assert_eq!(conditions.x_kubernetes_list_type.as_deref(), Some("map"));
        assert_eq!(conditions.x_kubernetes_list_map_keys, Some(vec!["type".to_owned()]));
        let all = StatusSchema { subresource: true, conditions: true, observed_generation: true };
        assert_eq!(StatusSchema::of(&crd, "v1"), all);
        assert_eq!(StatusSchema::of(&crd, "v2"), StatusSchema::default());
        assert_eq!(StatusSchema::of(&Plain::crd(), "v1"), StatusSchema::default());
    }

    #[test]
    fn the_description_is_what_a_person_wrote() {
        assert_eq!(root(&prepare(Number::crd())).description.as_deref(), Some("A thing with numbers."));
        assert_eq!(root(&prepare(Plain::crd())).description.as_deref(), Some("Said by hand."));
    }

    #[test]
    fn preparing_twice_changes_nothing_more() {
        let once = prepare(Number::crd());
        assert_eq!(prepare(once.clone()), once);
    }

    #[test]
    fn the_yaml_has_no_noise() {
        let yaml = serde_yaml_ng::to_string(&prepare(Plain::crd())).unwrap();
        assert!(!yaml.contains("status:") && !yaml.contains("creationTimestamp"), "{yaml}");
    }
}
