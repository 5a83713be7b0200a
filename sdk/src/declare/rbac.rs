//! Computes the role of an operator from what it declares: these verbs, no more.
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::ObjectMeta;

use super::{Declaration, Narrow, crd};
use crate::resource::{ResourceType, Scope};

/// What an operator declares, without the type of its primary.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Name of the controller.
    pub name: &'static str,
    /// The primary kind.
    pub primary: ResourceType,
    /// Whether the primary has a status subresource.
    pub status: bool,
    /// The finalizer, if there is a cleanup.
    pub finalizer: Option<String>,
    /// Owned and watched kinds, in the order of the attribute.
    pub relations: Vec<(ResourceType, super::Role, Narrow)>,
    crd: fn() -> CustomResourceDefinition,
}

impl Declared {
    /// Returns the CRD of the primary kind, fit to apply.
    ///
    /// # Panics
    /// Where the schema of the spec has no structural form: kube's derive finds that out only here.
    pub fn crd(&self) -> CustomResourceDefinition {
        crd::prepare((self.crd)())
    }
}

impl<P> Declaration<P> {
    /// Drops the type of the primary.
    pub fn erase(&self) -> Declared {
        let relations = self.relations.iter();
        Declared {
            name: self.name,
            primary: self.primary.clone(),
            status: self.status,
            finalizer: self.finalizer.clone(),
            relations: relations.map(|it| (it.resource.clone(), it.role, it.narrow.clone())).collect(),
            crd: self.crd,
        }
    }
}

/// Who runs the operators, and over what.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name of the roles and bindings.
    pub name: String,
    /// The service account that the operators run as.
    pub service_account: String,
    /// Namespace of that service account.
    pub namespace: String,
    /// The only namespace whose objects the operators watch; all, if not given.
    pub watch_namespace: Option<String>,
}

/// The roles of one binary and their bindings, in the order in which they are printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rbac {
    /// What reaches over all namespaces, or has none.
    pub cluster: Option<(ClusterRole, ClusterRoleBinding)>,
    /// What is confined to one namespace, by namespace.
    pub namespaced: Vec<(Role, RoleBinding)>,
}

/// Verbs in the order in which people write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Get,
    List,
    Watch,
    Create,
    Patch,
    Update,
    Delete,
}

const READ: [Verb; 3] = [Verb::Get, Verb::List, Verb::Watch];
/// Server-side apply needs `create` besides `patch` where the object does not exist.
const OWN: [Verb; 6] = [Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Patch, Verb::Delete];

/// The verbs by (group, resource).
type Grants = BTreeMap<(String, String), BTreeSet<Verb>>;

/// Computes the roles that `operators` need to run as `account`.
///
/// Namespaced kinds that are watched in one namespace only, by declaration or by `watch_namespace`, get a Role there;
/// everything else a ClusterRole. The result depends on what is declared, not on its order.
pub fn rbac(operators: &[Declared], account: &Account) -> Rbac {
    let mut scopes: BTreeMap<Option<String>, Grants> = BTreeMap::new();
    for operator in operators {
        grant_all(&mut scopes, operator, account.watch_namespace.as_deref());
    }
    let cluster = scopes.remove(&None).map(|grants| cluster_role(account, rules(&grants)));
    let namespaced = scopes.into_iter().filter_map(|(namespace, grants)| {
        let namespace = namespace?;
        Some(role(account, &namespace, rules(&grants)))
    });
    Rbac { cluster, namespaced: namespaced.collect() }
}

fn grant_all(scopes: &mut BTreeMap<Option<String>, Grants>, operator: &Declared, watch_namespace: Option<&str>) {
    let mut grant = |resource: &ResourceType, below: &str, narrow: Option<&str>, verbs: &[Verb]| {
        let namespace = narrow.or(watch_namespace).filter(|_| resource.scope == Scope::Namespaced);
        let grants = scopes.entry(namespace.map(str::to_owned)).or_default();
        let name = (resource.group.clone(), format!("{}{below}", resource.plural));
        grants.entry(name).or_default().extend(verbs);
    };
    let primary = &operator.primary;
    grant(primary, "", None, &READ);
    if operator.finalizer.is_some() {
        grant(primary, "", None, &[Verb::Patch]);
    }
    if operator.status {
        grant(primary, "/status", None, &[Verb::Patch]);
    }
    // The admission plugin OwnerReferencesPermissionEnforcement asks for it where blockOwnerDeletion is set.
    if operator.relations.iter().any(|(_, role, _)| *role == super::Role::Owns) {
        grant(primary, "/finalizers", None, &[Verb::Update]);
    }
    for (resource, role, narrow) in &operator.relations {
        let verbs: &[Verb] = match role {
            super::Role::Owns => &OWN,
            super::Role::Watches => &READ,
        };
        let namespaces = narrow.namespaces.iter().map(|namespace| Some(namespace.as_str()));
        let anywhere = narrow.namespaces.is_empty().then_some(None);
        namespaces.chain(anywhere).for_each(|namespace| grant(resource, "", namespace, verbs));
    }
}

/// Joins resources of one group that get the same verbs into one rule.
fn rules(grants: &Grants) -> Vec<PolicyRule> {
    let mut joined: BTreeMap<(&str, &BTreeSet<Verb>), Vec<String>> = BTreeMap::new();
    for ((group, resource), verbs) in grants {
        joined.entry((group, verbs)).or_default().push(resource.clone());
    }
    let rule = |((group, verbs), resources): ((&str, &BTreeSet<Verb>), Vec<String>)| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources),
        verbs: verbs.iter().map(|verb| format!("{verb:?}").to_lowercase()).collect(),
        ..PolicyRule::default()
    };
    let mut rules: Vec<_> = joined.into_iter().map(rule).collect();
    rules.sort_by(|left, right| (&left.api_groups, &left.resources).cmp(&(&right.api_groups, &right.resources)));
    rules
}

fn cluster_role(account: &Account, rules: Vec<PolicyRule>) -> (ClusterRole, ClusterRoleBinding) {
    let metadata = ObjectMeta { name: Some(account.name.clone()), ..ObjectMeta::default() };
    let role = ClusterRole { metadata: metadata.clone(), rules: Some(rules), ..ClusterRole::default() };
    let binding =
        ClusterRoleBinding { metadata, role_ref: role_ref(account, "ClusterRole"), subjects: subjects(account) };
    (role, binding)
}

fn role(account: &Account, namespace: &str, rules: Vec<PolicyRule>) -> (Role, RoleBinding) {
    let namespace = Some(namespace.to_owned());
    let metadata = ObjectMeta { name: Some(account.name.clone()), namespace, ..ObjectMeta::default() };
    let role = Role { metadata: metadata.clone(), rules: Some(rules) };
    let binding = RoleBinding { metadata, role_ref: role_ref(account, "Role"), subjects: subjects(account) };
    (role, binding)
}

fn role_ref(account: &Account, kind: &str) -> RoleRef {
    RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: kind.to_owned(),
        name: account.name.clone(),
    }
}

fn subjects(account: &Account) -> Option<Vec<Subject>> {
    Some(vec![Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.service_account.clone(),
        namespace: Some(account.namespace.clone()),
        ..Subject::default()
    }])
}

#[cfg(test)]
mod tests {
    use super::super::{Declaration, Mapping};
    use super::*;
    use expect_test::{Expect, expect};
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};

    fn no_crd() -> CustomResourceDefinition {
        CustomResourceDefinition::default()
    }

    /// A built-in kind stands in for a custom one: only its names matter here.
    fn site() -> Declaration<ConfigMap> {
        Declaration::new("site", no_crd)
    }

    fn account(watch_namespace: Option<&str>) -> Account {
        Account {
            name: "site".to_owned(),
            service_account: "runner".to_owned(),
            namespace: "system".to_owned(),
            watch_namespace: watch_namespace.map(str::to_owned),
        }
    }

    fn check(operators: &[Declared], watch_namespace: Option<&str>, expected: Expect) {
        let rbac = rbac(operators, &account(watch_namespace));
        let mut lines = Vec::new();
        let mut line = |scope: &str, rules: &Option<Vec<PolicyRule>>| {
            for rule in rules.iter().flatten() {
                let join = |list: &[String]| list.join(",");
                let (groups, resources) = (rule.api_groups.as_deref(), rule.resources.as_deref());
                let (groups, resources) = (join(groups.unwrap_or_default()), join(resources.unwrap_or_default()));
                lines.push(format!("{scope} [{groups}] {resources}: {}\n", join(&rule.verbs)));
            }
        };
        rbac.cluster.iter().for_each(|(role, _)| line("*", &role.rules));
        rbac.namespaced.iter().for_each(|(role, _)| line(role.metadata.namespace.as_deref().unwrap(), &role.rules));
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn a_role_grants_what_is_declared_and_no_more() {
        check(
            &[site().erase()],
            None,
            expect![[r#"
            * [] configmaps: get,list,watch
        "#]],
        );
        let full = site()
            .status()
            .finalizer("a/b")
            .owns::<Deployment>(Narrow::default())
            .owns::<Service>(Narrow::default())
            .watches::<Secret>(Narrow::default().namespace("vault").namespace("safe"), Mapping::ControllerOwner)
            .watches::<Namespace>(Narrow::default().namespace("ignored"), Mapping::ControllerOwner);
        check(
            &[full.erase()],
            None,
            expect![[r#"
                * [] configmaps: get,list,watch,patch
                * [] configmaps/finalizers: update
                * [] configmaps/status: patch
                * [] namespaces: get,list,watch
                * [] services: get,list,watch,create,patch,delete
                * [apps] deployments: get,list,watch,create,patch,delete
                safe [] secrets: get,list,watch
                vault [] secrets: get,list,watch
            "#]],
        );
        check(
            &[full.erase()],
            Some("web"),
            expect![[r#"
                * [] namespaces: get,list,watch
                safe [] secrets: get,list,watch
                vault [] secrets: get,list,watch
                web [] configmaps: get,list,watch,patch
                web [] configmaps/finalizers: update
                web [] configmaps/status: patch
                web [] services: get,list,watch,create,patch,delete
                web [apps] deployments: get,list,watch,create,patch,delete
            "#]],
        );
    }

    #[test]
    fn operators_of_one_binary_share_a_role_whatever_their_order() {
        let one = site().owns::<Deployment>(Narrow::default()).erase();
        let two = site().watches::<Deployment>(Narrow::default(), Mapping::ControllerOwner).status().erase();
        assert_eq!(rbac(&[one.clone(), two.clone()], &account(None)), rbac(&[two, one], &account(None)));
    }

    #[test]
    fn bindings_name_the_account_and_their_own_role() {
        let rbac = rbac(&[site().erase()], &account(Some("web")));
        assert_eq!(rbac.cluster, None);
        let (role, binding) = &rbac.namespaced[0];
        assert_eq!(role.metadata, binding.metadata);
        assert_eq!((&*binding.role_ref.kind, &*binding.role_ref.name), ("Role", "site"));
        let subject = &binding.subjects.as_ref().unwrap()[0];
        assert_eq!((&*subject.name, subject.namespace.as_deref()), ("runner", Some("system")));
    }
}
